-- The ledger: what we own in LiteLLM, what we last wrote there, and what every
-- pass did. It lives beside LiteLLM's tables so that a change and its record
-- commit together. No foreign key leaves this schema: it would block LiteLLM's
-- own deletes and table rewrites.

CREATE TABLE entra_sync.source (
    source_id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text NOT NULL UNIQUE,
    tenant               text NOT NULL,
    service_principal_id uuid NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE entra_sync.source IS
    'One tenant and Enterprise Application; every other key starts with its id.';

CREATE TABLE entra_sync.lease (
    source_id  integer PRIMARY KEY REFERENCES entra_sync.source ON DELETE CASCADE,
    epoch      bigint NOT NULL,
    holder     text NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE entra_sync.lease IS
    'Who may write for a source. Each writing transaction reads its epoch FOR KEY SHARE; a takeover raises it.';

CREATE TABLE entra_sync.run (
    run_id      uuid PRIMARY KEY,
    source_id   integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    epoch       bigint NOT NULL,
    trigger     text NOT NULL,
    mode        text NOT NULL,
    status      text,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    plan_digest text,
    report      jsonb,
    error       text
);
CREATE INDEX run_by_start ON entra_sync.run (source_id, started_at DESC);
COMMENT ON COLUMN entra_sync.run.status IS
    'NULL while the pass runs, or for ever when its process died.';
COMMENT ON COLUMN entra_sync.run.report IS
    'The object that entra-sync sync --format json prints.';

CREATE TABLE entra_sync.change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id    uuid NOT NULL REFERENCES entra_sync.run ON DELETE CASCADE,
    action    text NOT NULL,
    kind      text NOT NULL,
    object_id text NOT NULL,
    reason    text NOT NULL,
    before    jsonb,
    after     jsonb
);
CREATE INDEX change_by_run ON entra_sync.change (run_id, change_id);
CREATE INDEX change_by_object ON entra_sync.change (object_id);

CREATE TABLE entra_sync.membership_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id    uuid NOT NULL REFERENCES entra_sync.run ON DELETE CASCADE,
    action    text NOT NULL,
    kind      text NOT NULL,
    parent_id text NOT NULL,
    reason    text NOT NULL,
    user_ids  text[] NOT NULL
);
CREATE INDEX membership_change_by_run ON entra_sync.membership_change (run_id, change_id);
CREATE INDEX membership_change_by_parent ON entra_sync.membership_change (parent_id);
COMMENT ON TABLE entra_sync.membership_change IS
    'One row for all members that one transaction added to, or took from, one team or organization.';

CREATE TABLE entra_sync.owned_team (
    source_id           integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    group_id            uuid NOT NULL,
    origin              text NOT NULL CHECK (origin IN ('created', 'adopted')),
    alias_written       boolean NOT NULL,
    alias               text,
    models_written      boolean NOT NULL,
    models              text[],
    awaits_organization boolean NOT NULL,
    run_id              uuid NOT NULL,
    PRIMARY KEY (source_id, group_id)
);
COMMENT ON COLUMN entra_sync.owned_team.alias IS
    'The alias we last wrote, or found equal to Entra''s, when alias_written.';

CREATE TABLE entra_sync.owned_organization (
    source_id     integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    group_id      uuid NOT NULL,
    origin        text NOT NULL CHECK (origin IN ('created', 'adopted')),
    alias_written boolean NOT NULL,
    alias         text,
    run_id        uuid NOT NULL,
    PRIMARY KEY (source_id, group_id)
);

CREATE TABLE entra_sync.owned_user (
    source_id     integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    person_id     uuid NOT NULL,
    user_id       text NOT NULL,
    origin        text NOT NULL CHECK (origin IN ('created', 'adopted')),
    alias_written boolean NOT NULL,
    alias         text,
    email_written boolean NOT NULL,
    email         text,
    role          text,
    run_id        uuid NOT NULL,
    PRIMARY KEY (source_id, person_id)
);
CREATE INDEX owned_user_by_user ON entra_sync.owned_user (user_id);

CREATE TABLE entra_sync.due_default_team (
    source_id integer NOT NULL,
    team_id   text NOT NULL,
    person_id uuid NOT NULL,
    PRIMARY KEY (source_id, team_id, person_id),
    FOREIGN KEY (source_id, person_id) REFERENCES entra_sync.owned_user ON DELETE CASCADE
);
CREATE INDEX due_default_team_by_person ON entra_sync.due_default_team (source_id, person_id);
COMMENT ON TABLE entra_sync.due_default_team IS
    'Joins of default teams that a new user still waits for: written with the user, gone with the join.';

CREATE TABLE entra_sync.owned_team_member (
    source_id integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    group_id  uuid NOT NULL,
    person_id uuid NOT NULL,
    adopted   boolean NOT NULL,
    PRIMARY KEY (source_id, group_id, person_id)
);

CREATE TABLE entra_sync.owned_organization_member (
    source_id integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    group_id  uuid NOT NULL,
    person_id uuid NOT NULL,
    adopted   boolean NOT NULL,
    PRIMARY KEY (source_id, group_id, person_id)
);
