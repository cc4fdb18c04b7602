DROP TABLE entra_sync.earlier_user;
ALTER TABLE entra_sync.owned_user DROP COLUMN role_assigned, DROP COLUMN subject;
