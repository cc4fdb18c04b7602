-- Several sources in one ledger, and the replicas that share them.

-- A name is what people call a source; tenant and application are what it is.
-- Two rows for the same one would each think that the other wants what it has.
CREATE UNIQUE INDEX source_by_application
    ON entra_sync.source (lower(tenant), service_principal_id);

ALTER TABLE entra_sync.owned_user ADD COLUMN unwanted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN entra_sync.owned_user.unwanted IS
    'This source would take the person''s access away and leaves it to others that manage the row too.';

CREATE TABLE entra_sync.replica (
    replica_id uuid PRIMARY KEY,
    host       text NOT NULL,
    sources    text[] NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE entra_sync.replica IS
    'Daemons that run now: each source belongs to one of those that know it. Only a division of labour: who may write, entra_sync.lease says.';
COMMENT ON COLUMN entra_sync.replica.sources IS
    'What its settings name, as tenant/service principal.';
