-- The directory as it was last known, so that a pass need only ask what has
-- changed. Memberships are kept in one place, with the person: 4 bytes each.

CREATE TABLE entra_sync.directory (
    source_id       integer PRIMARY KEY REFERENCES entra_sync.source ON DELETE CASCADE,
    fingerprint     text NOT NULL,
    compared        text NOT NULL,
    read_at         timestamptz NOT NULL,
    heard_at        timestamptz NOT NULL,
    roles           jsonb NOT NULL,
    people_link     text,
    groups_numbered integer NOT NULL DEFAULT 0,
    open_everything boolean NOT NULL,
    open_people     uuid[] NOT NULL DEFAULT '{}',
    open_groups     uuid[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE entra_sync.directory IS
    'What is known of a source as a whole. No row: nothing is known, the next pass reads in full.';
COMMENT ON COLUMN entra_sync.directory.fingerprint IS
    'Of the settings that what is known depends on. Another one: it cannot be gone on with.';
COMMENT ON COLUMN entra_sync.directory.compared IS
    'Of the settings that a plan depends on. Another one: everything is compared again.';
COMMENT ON COLUMN entra_sync.directory.read_at IS 'When the last full reading began.';
COMMENT ON COLUMN entra_sync.directory.heard_at IS 'When the last round of delta queries began.';
COMMENT ON COLUMN entra_sync.directory.people_link IS
    'Where users/delta goes on. NULL: there is nothing to go on from. Never logged.';
COMMENT ON COLUMN entra_sync.directory.groups_numbered IS
    'How many numbers of groups have been given out: none is given out twice.';
COMMENT ON COLUMN entra_sync.directory.open_everything IS
    'No pass has settled what this state led to.';
COMMENT ON COLUMN entra_sync.directory.open_people IS
    'Who has changed since, without a pass having settled it; likewise open_groups.';

CREATE TABLE entra_sync.directory_assignment (
    source_id    integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('group', 'person')),
    principal_id uuid NOT NULL,
    app_role_id  uuid NOT NULL,
    PRIMARY KEY (source_id, kind, principal_id, app_role_id)
);

CREATE TABLE entra_sync.directory_group (
    source_id     integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    group_id      uuid NOT NULL,
    number        integer NOT NULL,
    display_name  text,
    unread        text CHECK (unread IN ('excluded', 'out_of_scope', 'not_found', 'hidden', 'failed')),
    unread_says   text,
    headcount     bigint NOT NULL,
    other_members bigint NOT NULL,
    has_bearers   boolean NOT NULL,
    read_again    boolean NOT NULL,
    PRIMARY KEY (source_id, group_id),
    UNIQUE (source_id, number)
);
COMMENT ON COLUMN entra_sync.directory_group.number IS
    'What stands for the group in directory_person. A group that comes back gets another one.';
COMMENT ON COLUMN entra_sync.directory_group.unread IS
    'Why its members are not known; those kept in directory_person are then of an earlier reading.';
COMMENT ON COLUMN entra_sync.directory_group.has_bearers IS
    'Its app roles go to those who have it in directory_person.bears, not to all members.';
COMMENT ON COLUMN entra_sync.directory_group.read_again IS
    'What is known of it contradicts itself: it is read in full before anything is concluded.';

CREATE TABLE entra_sync.directory_bucket (
    source_id integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    bucket    integer NOT NULL,
    link      text NOT NULL,
    groups    uuid[] NOT NULL,
    PRIMARY KEY (source_id, bucket)
);
COMMENT ON TABLE entra_sync.directory_bucket IS
    'Where groups/delta goes on for some groups, those named when the link was begun.';
COMMENT ON COLUMN entra_sync.directory_bucket.link IS 'Never logged.';

CREATE TABLE entra_sync.directory_unread_person (
    source_id   integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    person_id   uuid NOT NULL,
    unread      text NOT NULL CHECK (unread IN ('excluded', 'out_of_scope', 'not_found', 'hidden', 'failed')),
    unread_says text,
    PRIMARY KEY (source_id, person_id)
);
COMMENT ON TABLE entra_sync.directory_unread_person IS
    'Why the object of somebody who is assigned directly could not be read.';

CREATE TABLE entra_sync.directory_person (
    source_id     integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    person_id     uuid NOT NULL,
    known         boolean NOT NULL,
    disabled      boolean NOT NULL,
    deleted       boolean NOT NULL,
    subject       text COLLATE "C",
    email         text COLLATE "C",
    alias         text,
    also_known_as text[],
    groups        integer[] NOT NULL,
    bears         integer[],
    PRIMARY KEY (source_id, person_id)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX directory_person_by_email ON entra_sync.directory_person (source_id, email)
    WHERE email IS NOT NULL;
CREATE INDEX directory_person_by_subject ON entra_sync.directory_person (source_id, subject)
    WHERE subject IS NOT NULL;
-- Somebody in more than some 450 groups: numbers do not get smaller by trying.
ALTER TABLE entra_sync.directory_person
    ALTER COLUMN groups SET STORAGE EXTERNAL,
    ALTER COLUMN bears SET STORAGE EXTERNAL;
COMMENT ON TABLE entra_sync.directory_person IS
    'Everybody in an assigned group or assigned directly. Those who were deleted keep their groups.';
COMMENT ON COLUMN entra_sync.directory_person.known IS
    'Whether Graph showed the attributes; else they are NULL.';
COMMENT ON COLUMN entra_sync.directory_person.subject IS 'NULL: the object id.';
COMMENT ON COLUMN entra_sync.directory_person.groups IS
    'Numbers of groups, ascending. One that directory_group does not have is over.';

-- Ways to ask about some people only.
CREATE INDEX owned_team_member_by_person
    ON entra_sync.owned_team_member (source_id, person_id);
CREATE INDEX owned_organization_member_by_person
    ON entra_sync.owned_organization_member (source_id, person_id);
CREATE INDEX earlier_user_by_user ON entra_sync.earlier_user (user_id);
CREATE INDEX taken_by_user ON entra_sync.taken (user_id)
    WHERE kind = 'team_membership' AND undone_by IS NULL;
