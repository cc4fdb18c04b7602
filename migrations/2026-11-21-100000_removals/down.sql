DROP TABLE entra_sync.alert;
DROP TABLE entra_sync.taken;
DROP TABLE entra_sync.held_plan;
DROP TABLE entra_sync.waiting_removal;
DROP TABLE entra_sync.unapproved_removal;
ALTER TABLE entra_sync.run DROP COLUMN unapproved_removals;
ALTER TABLE entra_sync.owned_user DROP COLUMN deactivated_by_us;
ALTER TABLE entra_sync.owned_team DROP COLUMN block_lifted;
ALTER TABLE entra_sync.owned_team DROP COLUMN blocked_by_us;
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
