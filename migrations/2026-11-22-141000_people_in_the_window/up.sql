-- The guard counts people apart from memberships, and within its window too.
CREATE TABLE entra_sync.unapproved_person (
    run_id    uuid NOT NULL REFERENCES entra_sync.run ON DELETE CASCADE,
    person_id uuid NOT NULL,
    PRIMARY KEY (run_id, person_id)
);
COMMENT ON TABLE entra_sync.unapproved_person IS
    'Whose access or role a run took without approval.';
