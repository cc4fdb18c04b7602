DROP TABLE entra_sync.pass_request;
