-- Whose a row is, which rows people were before, and where a role came from.

ALTER TABLE entra_sync.owned_user
    ADD COLUMN subject text,
    ADD COLUMN role_assigned boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN entra_sync.owned_user.subject IS
    'What binds the row to the person, if it is not the object id. Another value in LiteLLM: the row is somebody else''s.';
COMMENT ON COLUMN entra_sync.owned_user.role_assigned IS
    'The role came from an app role; else it is the default of the time.';
UPDATE entra_sync.owned_user SET subject = user_id
    WHERE origin = 'created' AND user_id <> person_id::text;
-- No default makes administrators. Of the other roles the next pass says it.
UPDATE entra_sync.owned_user SET role_assigned = true
    WHERE role IN ('proxy_admin', 'proxy_admin_viewer');

CREATE TABLE entra_sync.earlier_user (
    source_id         integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    person_id         uuid NOT NULL,
    user_id           text NOT NULL,
    origin            text NOT NULL CHECK (origin IN ('created', 'adopted')),
    alias_written     boolean NOT NULL,
    alias             text,
    email_written     boolean NOT NULL,
    email             text,
    role              text,
    role_assigned     boolean NOT NULL,
    subject           text,
    deactivated_by_us boolean NOT NULL,
    PRIMARY KEY (source_id, person_id, user_id)
);
COMMENT ON TABLE entra_sync.earlier_user IS
    'Rows that people were before they got another: while bound to them, they lose access with them.';
