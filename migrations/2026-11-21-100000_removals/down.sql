DROP TABLE entra_sync.alert;
DROP TABLE entra_sync.taken;
DROP TABLE entra_sync.held_plan;
DROP TABLE entra_sync.waiting_removal;
DROP TABLE entra_sync.unapproved_removal;
ALTER TABLE entra_sync.run DROP COLUMN unapproved_removals;
ALTER TABLE entra_sync.owned_user DROP COLUMN deactivated_by_us;
ALTER TABLE entra_sync.owned_team DROP COLUMN block_lifted;
ALTER TABLE entra_sync.owned_team DROP COLUMN blocked_by_us;
