-- What is told of an alert and of held removals is told once, whichever process
-- runs the passes.
ALTER TABLE entra_sync.held_plan ADD COLUMN asked boolean NOT NULL DEFAULT false;
UPDATE entra_sync.held_plan SET asked = true WHERE status = 'held';
COMMENT ON COLUMN entra_sync.held_plan.asked IS
    'Somebody was told that it is held, and not yet that it is over.';

ALTER TABLE entra_sync.alert ADD COLUMN left_out_at timestamptz;
COMMENT ON COLUMN entra_sync.alert.left_out_at IS
    'When a time of the schedule was first left out for it while its alert was open.';
