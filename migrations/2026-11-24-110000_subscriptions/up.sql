-- Subscriptions to Microsoft Graph's change notifications.

CREATE TABLE entra_sync.subscription (
    subscription_id uuid PRIMARY KEY,
    source_id       integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    watched         text NOT NULL CHECK (watched IN ('groups', 'users')),
    url             text NOT NULL,
    state_digest    bytea NOT NULL CHECK (octet_length(state_digest) = 32),
    tend_at         timestamptz NOT NULL,
    UNIQUE (source_id, watched)
);
COMMENT ON TABLE entra_sync.subscription IS
    'What Graph tells of, where, and what proves that it is Graph who tells.';
COMMENT ON COLUMN entra_sync.subscription.state_digest IS
    'SHA-256 of the secret that Graph repeats with every notification.';
COMMENT ON COLUMN entra_sync.subscription.tend_at IS
    'When it is to be prolonged.';
