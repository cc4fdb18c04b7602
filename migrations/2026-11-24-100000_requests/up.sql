-- Passes that somebody asks the daemon for: on the command line, over HTTP, or
-- Microsoft Graph, when something has changed.

CREATE TABLE entra_sync.pass_request (
    request_id uuid PRIMARY KEY,
    source_id  integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    mode       text NOT NULL CHECK (mode IN ('full', 'incremental')),
    trigger    text NOT NULL CHECK (trigger IN ('resync', 'api', 'notification')),
    asked_by   text NOT NULL,
    asked_at   timestamptz NOT NULL,
    run_id     uuid REFERENCES entra_sync.run ON DELETE CASCADE,
    taken_at   timestamptz,
    CHECK ((run_id IS NULL) = (taken_at IS NULL))
);
CREATE UNIQUE INDEX pass_request_that_waits
    ON entra_sync.pass_request (source_id, mode, trigger, asked_by) WHERE run_id IS NULL;
CREATE INDEX pass_request_by_run ON entra_sync.pass_request (run_id) WHERE run_id IS NOT NULL;
COMMENT ON TABLE entra_sync.pass_request IS
    'Who asked for a pass, and the run that took the request. Of one asker at most one of each kind waits.';
COMMENT ON COLUMN entra_sync.pass_request.asked_at IS
    'When it was last asked for: who asks again while it waits does not make another row.';
