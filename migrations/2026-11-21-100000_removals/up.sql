-- What taking access away needs: what is our doing, what waits, what is held
-- and who decided about it, and copies of what was taken.

ALTER TABLE entra_sync.owned_team ADD COLUMN blocked_by_us boolean NOT NULL DEFAULT false;
ALTER TABLE entra_sync.owned_team ADD COLUMN block_lifted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN entra_sync.owned_team.block_lifted IS
    'A person ended our block: it is not made again before the group was assigned again.';
ALTER TABLE entra_sync.owned_user ADD COLUMN deactivated_by_us boolean NOT NULL DEFAULT false;
ALTER TABLE entra_sync.run ADD COLUMN unapproved_removals bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN entra_sync.run.unapproved_removals IS
    'Removals this run applied that no operator had approved: the guard counts them for guard.window.';

CREATE TABLE entra_sync.unapproved_removal (
    run_id   uuid NOT NULL REFERENCES entra_sync.run ON DELETE CASCADE,
    group_id uuid NOT NULL,
    removals bigint NOT NULL,
    PRIMARY KEY (run_id, group_id)
);
COMMENT ON TABLE entra_sync.unapproved_removal IS
    'The part of run.unapproved_removals that one group lost.';

CREATE TABLE entra_sync.waiting_removal (
    source_id integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    key       text NOT NULL,
    since     timestamptz NOT NULL,
    PRIMARY KEY (source_id, key)
);
COMMENT ON TABLE entra_sync.waiting_removal IS
    'Removals within deprovision.grace, since the first complete reading that lacked them.';

CREATE TABLE entra_sync.held_plan (
    source_id  integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    digest     text NOT NULL,
    status     text NOT NULL CHECK (status IN ('held', 'approved', 'rejected', 'closed')),
    reason     text NOT NULL,
    items      text[] NOT NULL,
    run_id     uuid NOT NULL,
    held_at    timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    PRIMARY KEY (source_id, digest)
);
COMMENT ON TABLE entra_sync.held_plan IS
    'Sets of removals that the guard held; the digest is over exactly these items.';

CREATE TABLE entra_sync.taken (
    taken_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id    uuid NOT NULL REFERENCES entra_sync.run ON DELETE CASCADE,
    kind      text NOT NULL,
    parent_id text,
    user_id   text,
    removal   jsonb NOT NULL,
    copy      jsonb NOT NULL,
    owned     jsonb NOT NULL,
    undone_by uuid
);
CREATE INDEX taken_by_run ON entra_sync.taken (run_id, taken_id);
COMMENT ON TABLE entra_sync.taken IS
    'Whole copies of what a run took away: roster entry, membership with its spend, keys.';
COMMENT ON COLUMN entra_sync.taken.removal IS
    'What was decided: what the guard and the plan called it.';
COMMENT ON COLUMN entra_sync.taken.owned IS
    'What the ledger held about it: it comes back with the copy.';
COMMENT ON COLUMN entra_sync.taken.undone_by IS
    'The run that gave it back. Without a foreign key: that run may be pruned earlier or later.';

-- What keeps a source from its passes outlives the process that met it.
CREATE TABLE entra_sync.alert (
    source_id integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    kind      text NOT NULL,
    stage     text NOT NULL,
    failures  bigint NOT NULL CHECK (failures > 0),
    since     timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    next_at   timestamptz NOT NULL,
    opened_at timestamptz,
    closed_at timestamptz,
    error     text NOT NULL,
    message   text NOT NULL,
    PRIMARY KEY (source_id, kind)
);
COMMENT ON TABLE entra_sync.alert IS
    'Failures of whole passes in a row, one row for each kind. The schedule waits until next_at; closed_at ends it.';
COMMENT ON COLUMN entra_sync.alert.opened_at IS
    'NULL while there were too few failures for an alert.';
