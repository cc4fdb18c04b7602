DROP INDEX entra_sync.taken_members;
-- Before, only what the row of now was given was known.
DELETE FROM entra_sync.owned_team_member m WHERE NOT EXISTS (
    SELECT FROM entra_sync.owned_user u WHERE u.source_id = m.source_id
        AND u.person_id = m.person_id AND u.user_id = m.user_id);
DELETE FROM entra_sync.owned_organization_member m WHERE NOT EXISTS (
    SELECT FROM entra_sync.owned_user u WHERE u.source_id = m.source_id
        AND u.person_id = m.person_id AND u.user_id = m.user_id);
ALTER TABLE entra_sync.owned_team_member
    DROP CONSTRAINT owned_team_member_pkey,
    ADD PRIMARY KEY (source_id, group_id, person_id),
    DROP COLUMN user_id;
ALTER TABLE entra_sync.owned_organization_member
    DROP CONSTRAINT owned_organization_member_pkey,
    ADD PRIMARY KEY (source_id, group_id, person_id),
    DROP COLUMN user_id;
