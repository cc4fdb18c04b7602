ALTER TABLE entra_sync.alert DROP COLUMN left_out_at;
ALTER TABLE entra_sync.held_plan DROP COLUMN asked;
