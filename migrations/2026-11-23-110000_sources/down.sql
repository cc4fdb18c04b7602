DROP TABLE entra_sync.replica;
ALTER TABLE entra_sync.owned_user DROP COLUMN unwanted;
DROP INDEX entra_sync.source_by_application;
