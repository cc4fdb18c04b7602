-- The role that entra-sync works under: exactly the rights a pass needs, and
-- `entra-sync undo`.
--
-- Run it with psql in LiteLLM's database, as the owner of LiteLLM's tables who
-- may create roles, or as a superuser; after LiteLLM has made its tables:
--
--   psql "$LITELLM_DATABASE_URL" -v password="'a long random one'" -f role.sql
--
-- Variables, each with -v name=value:
--   role            name of the role                     entra_sync
--   password        quoted, as above                     left as it is
--   litellm_schema  where LiteLLM's tables are           public
--   removals        on: also memberships and keys go     on
--   delete_teams    on: also `unassigned_group: delete`  off
--   audit           on: also `store_audit_logs: true`    off
--
-- It may be run again at any time: rights are first taken back, then given, so
-- that a run with fewer of them leaves fewer. Run it again after an upgrade of
-- LiteLLM that added tables or columns. What a LiteLLM release does not have
-- yet is left out. It prints what it grants.
--
-- Never granted: any CREATE, ALTER or DROP in LiteLLM's schema; writing to
-- LiteLLM's settings or models; an UPDATE of spend; people's password hashes.

\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
\if :{?role}           \else \set role entra_sync       \endif
\if :{?litellm_schema} \else \set litellm_schema public \endif
\if :{?removals}       \else \set removals on           \endif
\if :{?delete_teams}   \else \set delete_teams off      \endif
\if :{?audit}          \else \set audit off             \endif

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
\if :{?password}
ALTER ROLE :"role" PASSWORD :password;
\endif

-- Its own schema, for its ledger. Who is no superuser must belong to a role to
-- give it something.
SELECT format('GRANT %I TO CURRENT_USER', :'role')
FROM pg_roles WHERE rolname = current_user AND NOT rolsuper \gexec
SELECT format('CREATE SCHEMA entra_sync AUTHORIZATION %I', :'role')
WHERE to_regnamespace('entra_sync') IS NULL \gexec

SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM %I', current_database(), :'role') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec

SELECT set_config('entra_sync.role', :'role', true), set_config('entra_sync.litellm', :'litellm_schema', true)
\g /dev/null

-- Grants on what this release of LiteLLM has, and says so. Without columns:
-- on the whole table.
CREATE FUNCTION pg_temp.allow(privilege text, tables text[], columns text[] DEFAULT NULL) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    schema text := current_setting('entra_sync.litellm');
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s%s ON %I.%I TO %I', privilege, ' (' || list || ')', schema, wanted, current_setting('entra_sync.role'))
        FROM unnest(tables) AS wanted
        LEFT JOIN LATERAL (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS list
            FROM pg_attribute
            WHERE attrelid = to_regclass(format('%I.%I', schema, wanted)) AND attnum > 0 AND NOT attisdropped
              AND attname = ANY (columns)
        ) AS present ON true
        WHERE to_regclass(format('%I.%I', schema, wanted)) IS NOT NULL AND (columns IS NULL OR list IS NOT NULL)
    LOOP
        EXECUTE statement;
        RETURN NEXT statement;
    END LOOP;
END $$;

DO $$
BEGIN
    IF to_regclass(format('%I."LiteLLM_TeamTable"', current_setting('entra_sync.litellm'))) IS NULL THEN
        RAISE EXCEPTION 'no LiteLLM tables in schema "%" of database "%"',
            current_setting('entra_sync.litellm'), current_database()
            USING HINT = 'Let LiteLLM start once, or give their schema with -v litellm_schema=...';
    END IF;
    IF (SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'entra_sync')
        <> quote_ident(current_setting('entra_sync.role'))::regrole THEN
        RAISE EXCEPTION 'schema entra_sync belongs to another role than "%"', current_setting('entra_sync.role')
            USING HINT = 'Give that role with -v role=..., or pass on what it has: REASSIGN OWNED BY ... TO ...';
    END IF;
END $$;

GRANT USAGE ON SCHEMA :"litellm_schema" TO :"role";
REVOKE ALL ON ALL TABLES IN SCHEMA :"litellm_schema" FROM :"role";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA :"litellm_schema" FROM :"role";

-- 1. Passes that add and change. An UPDATE right on one column is also what
--    SELECT ... FOR UPDATE asks for. Nobody's password hash is read or set.

SELECT pg_temp.allow('SELECT', '{
    LiteLLM_BudgetTable, LiteLLM_OrganizationTable, LiteLLM_OrganizationMembership,
    LiteLLM_TeamTable, LiteLLM_TeamMembership, LiteLLM_VerifiedSubject, _prisma_migrations}');
SELECT pg_temp.allow(privilege, '{LiteLLM_UserTable}', (
    SELECT array_agg(attname::text) FROM pg_attribute
    WHERE attrelid = to_regclass(format('%I."LiteLLM_UserTable"', :'litellm_schema'))
      AND attnum > 0 AND NOT attisdropped AND attname <> 'password'))
FROM unnest('{SELECT, INSERT}'::text[]) AS privilege;

SELECT pg_temp.allow('INSERT', '{
    LiteLLM_BudgetTable, LiteLLM_OrganizationTable, LiteLLM_OrganizationMembership,
    LiteLLM_TeamTable, LiteLLM_TeamMembership}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_UserTable}',
    '{user_email, user_alias, user_role, sso_user_id, teams, updated_at}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_TeamTable}',
    '{team_alias, organization_id, models, members_with_roles, updated_at}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_OrganizationTable}',
    '{organization_alias, updated_at, updated_by}');

-- What default_team_params may ask for: model aliases, object permissions, and
-- access groups that a new team enters.
SELECT pg_temp.allow('INSERT', '{LiteLLM_ModelTable, LiteLLM_ObjectPermissionTable}');
SELECT pg_temp.allow('SELECT', '{LiteLLM_ModelTable}', '{id}');
SELECT format('GRANT USAGE ON SEQUENCE %I."LiteLLM_ModelTable_id_seq" TO %I', :'litellm_schema', :'role')
WHERE to_regclass(format('%I."LiteLLM_ModelTable_id_seq"', :'litellm_schema')) IS NOT NULL \gexec
SELECT pg_temp.allow('SELECT', '{LiteLLM_AccessGroupTable}', '{access_group_id, assigned_team_ids}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_AccessGroupTable}', '{assigned_team_ids, updated_at}');

-- 2. Removals: memberships go, with the keys of that team; deactivated people's
--    keys are blocked, and teams, if the settings say so; `undo` puts all of it
--    back. Not needed when `deprovision` has been `keep` throughout.

\if :removals
SELECT pg_temp.allow('DELETE', '{LiteLLM_TeamMembership, LiteLLM_OrganizationMembership}');
SELECT pg_temp.allow('INSERT', '{LiteLLM_DeletedVerificationToken}');
SELECT pg_temp.allow('SELECT, INSERT, DELETE', '{LiteLLM_VerificationToken}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_VerificationToken}', '{blocked, metadata, updated_at}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_UserTable}', '{metadata}');
SELECT pg_temp.allow('UPDATE', '{LiteLLM_TeamTable}', '{blocked}');
-- Before LiteLLM's migration 20260717000000 a mapping kept its key from going;
-- `undo` puts it back with its key.
SELECT pg_temp.allow('SELECT, INSERT, DELETE', '{LiteLLM_JWTKeyMapping}');
-- What a key that comes back belonged to may have gone since.
SELECT pg_temp.allow('SELECT', '{LiteLLM_ProjectTable}', '{project_id}');
SELECT pg_temp.allow('SELECT', '{LiteLLM_ObjectPermissionTable}', '{object_permission_id}');
\endif

-- 3. Deleting teams: only for `deprovision.unassigned_group: delete`; with
--    removals, because members and keys go with their team.

\if :delete_teams
SELECT pg_temp.allow('DELETE', '{LiteLLM_TeamTable}');
SELECT pg_temp.allow('INSERT', '{LiteLLM_DeletedTeamTable}');
\endif

-- 4. LiteLLM's audit log: only for `litellm.store_audit_logs`. Rows can be
--    added, neither read nor changed.

\if :audit
SELECT pg_temp.allow('INSERT', '{LiteLLM_AuditLog}');
\endif

-- 5. Whoever dumps the whole database as the owner of LiteLLM's tables must be
--    able to read what was added to it, or a backup that worked breaks.

SELECT relowner::regrole::text AS litellm_owner FROM pg_class
WHERE oid = to_regclass(format('%I."LiteLLM_TeamTable"', :'litellm_schema')) \gset
GRANT USAGE ON SCHEMA entra_sync TO :litellm_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA entra_sync TO :litellm_owner;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA entra_sync TO :litellm_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE :"role" IN SCHEMA entra_sync GRANT SELECT ON TABLES TO :litellm_owner;
ALTER DEFAULT PRIVILEGES FOR ROLE :"role" IN SCHEMA entra_sync GRANT SELECT ON SEQUENCES TO :litellm_owner;

COMMIT;
