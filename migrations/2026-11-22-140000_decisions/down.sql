-- Before, only whole sets were decided about: they keep the word they have.
DROP TABLE entra_sync.decided_removal;
ALTER TABLE entra_sync.held_plan DROP COLUMN weights;
