-- The schema itself stays: it belongs to whoever set the role up, and diesel's
-- own version table lives in it.
DROP TABLE entra_sync.owned_organization_member;
DROP TABLE entra_sync.owned_team_member;
DROP TABLE entra_sync.due_default_team;
DROP TABLE entra_sync.owned_user;
DROP TABLE entra_sync.owned_organization;
DROP TABLE entra_sync.owned_team;
DROP TABLE entra_sync.membership_change;
DROP TABLE entra_sync.change;
DROP TABLE entra_sync.run;
DROP TABLE entra_sync.lease;
DROP TABLE entra_sync.source;
