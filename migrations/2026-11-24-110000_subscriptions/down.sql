DROP TABLE entra_sync.subscription;
