-- Memberships by LiteLLM row, and a way to ask who was taken out of which team.

-- A person may get another row: what the earlier one was given stays ours.
ALTER TABLE entra_sync.owned_team_member ADD COLUMN user_id text;
ALTER TABLE entra_sync.owned_organization_member ADD COLUMN user_id text;
UPDATE entra_sync.owned_team_member m SET user_id = u.user_id FROM entra_sync.owned_user u
    WHERE u.source_id = m.source_id AND u.person_id = m.person_id;
UPDATE entra_sync.owned_organization_member m SET user_id = u.user_id FROM entra_sync.owned_user u
    WHERE u.source_id = m.source_id AND u.person_id = m.person_id;
DELETE FROM entra_sync.owned_team_member WHERE user_id IS NULL;
DELETE FROM entra_sync.owned_organization_member WHERE user_id IS NULL;
ALTER TABLE entra_sync.owned_team_member
    DROP CONSTRAINT owned_team_member_pkey,
    ADD PRIMARY KEY (source_id, group_id, person_id, user_id);
ALTER TABLE entra_sync.owned_organization_member
    DROP CONSTRAINT owned_organization_member_pkey,
    ADD PRIMARY KEY (source_id, group_id, person_id, user_id);
COMMENT ON COLUMN entra_sync.owned_team_member.user_id IS
    'The row that is the member: the person may have got another one since.';
COMMENT ON COLUMN entra_sync.owned_organization_member.user_id IS
    'The row that is the member: the person may have got another one since.';

-- Each pass asks who was taken out of which team: without the copies themselves.
CREATE INDEX taken_members ON entra_sync.taken (parent_id, user_id, run_id)
    WHERE kind = 'team_membership' AND undone_by IS NULL;
