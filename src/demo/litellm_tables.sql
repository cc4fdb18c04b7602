-- Tables shaped like LiteLLM's, for machines without LiteLLM: the demo and
-- tests read and write these. Names, types, defaults, keys and foreign keys are
-- those that LiteLLM's own migrations leave behind; a test compares them with
-- the genuine schema. LiteLLM's other tables, and foreign keys to those, are
-- left out.
--
-- Lists are text[] without NOT NULL, some without a default; times are UTC
-- without a zone; ids have no default: LiteLLM's client makes them.

CREATE TABLE IF NOT EXISTS "LiteLLM_BudgetTable" (
    "budget_id" text NOT NULL,
    "max_budget" double precision,
    "soft_budget" double precision,
    "max_parallel_requests" integer,
    "tpm_limit" bigint,
    "rpm_limit" bigint,
    "tpd_limit" bigint,
    "model_max_budget" jsonb,
    "budget_duration" text,
    "budget_reset_at" timestamp(3),
    "allowed_models" text[] DEFAULT ARRAY[]::text[],
    "temp_budget_increase" double precision,
    "temp_budget_expiry" timestamp(3),
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" text NOT NULL,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_by" text NOT NULL,
    CONSTRAINT "LiteLLM_BudgetTable_pkey" PRIMARY KEY ("budget_id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_ObjectPermissionTable" (
    "object_permission_id" text NOT NULL,
    "mcp_servers" text[] DEFAULT ARRAY[]::text[],
    "vector_stores" text[] DEFAULT ARRAY[]::text[],
    "mcp_access_groups" text[] DEFAULT ARRAY[]::text[],
    "agents" text[] DEFAULT ARRAY[]::text[],
    "agent_access_groups" text[] DEFAULT ARRAY[]::text[],
    "blocked_tools" text[] DEFAULT ARRAY[]::text[],
    "models" text[] DEFAULT ARRAY[]::text[],
    "mcp_toolsets" text[] DEFAULT ARRAY[]::text[],
    "search_tools" text[] DEFAULT ARRAY[]::text[],
    "skills" text[] DEFAULT ARRAY[]::text[],
    "mcp_tool_permissions" jsonb,
    "mcp_tool_search_enabled" boolean,
    CONSTRAINT "LiteLLM_ObjectPermissionTable_pkey" PRIMARY KEY ("object_permission_id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_ModelTable" (
    "id" serial NOT NULL,
    "aliases" jsonb,
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" text NOT NULL,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_by" text NOT NULL,
    CONSTRAINT "LiteLLM_ModelTable_pkey" PRIMARY KEY ("id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_OrganizationTable" (
    "organization_id" text NOT NULL,
    "organization_alias" text NOT NULL,
    "budget_id" text NOT NULL,
    "metadata" jsonb NOT NULL DEFAULT '{}',
    "models" text[],
    "spend" double precision NOT NULL DEFAULT 0.0,
    "model_spend" jsonb NOT NULL DEFAULT '{}',
    "object_permission_id" text,
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" text NOT NULL,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_by" text NOT NULL,
    CONSTRAINT "LiteLLM_OrganizationTable_pkey" PRIMARY KEY ("organization_id"),
    CONSTRAINT "LiteLLM_OrganizationTable_budget_id_fkey" FOREIGN KEY ("budget_id")
        REFERENCES "LiteLLM_BudgetTable" ("budget_id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_OrganizationTable_object_permission_id_fkey"
        FOREIGN KEY ("object_permission_id")
        REFERENCES "LiteLLM_ObjectPermissionTable" ("object_permission_id")
        ON DELETE SET NULL ON UPDATE CASCADE
);

CREATE TABLE IF NOT EXISTS "LiteLLM_TeamTable" (
    "team_id" text NOT NULL,
    "team_alias" text,
    "organization_id" text,
    "object_permission_id" text,
    "admins" text[],
    "members" text[],
    "members_with_roles" jsonb NOT NULL DEFAULT '{}',
    "metadata" jsonb NOT NULL DEFAULT '{}',
    "max_budget" double precision,
    "soft_budget" double precision,
    "spend" double precision NOT NULL DEFAULT 0.0,
    "models" text[],
    "max_parallel_requests" integer,
    "tpm_limit" bigint,
    "rpm_limit" bigint,
    "tpd_limit" bigint,
    "budget_duration" text,
    "budget_reset_at" timestamp(3),
    "blocked" boolean NOT NULL DEFAULT false,
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "model_spend" jsonb NOT NULL DEFAULT '{}',
    "model_max_budget" jsonb NOT NULL DEFAULT '{}',
    "router_settings" jsonb DEFAULT '{}',
    "team_member_permissions" text[] DEFAULT ARRAY[]::text[],
    "access_group_ids" text[] DEFAULT ARRAY[]::text[],
    "policies" text[] DEFAULT ARRAY[]::text[],
    "model_id" integer,
    "allow_team_guardrail_config" boolean NOT NULL DEFAULT false,
    "budget_limits" jsonb,
    "default_team_member_models" text[] DEFAULT ARRAY[]::text[],
    CONSTRAINT "LiteLLM_TeamTable_pkey" PRIMARY KEY ("team_id"),
    CONSTRAINT "LiteLLM_TeamTable_organization_id_fkey" FOREIGN KEY ("organization_id")
        REFERENCES "LiteLLM_OrganizationTable" ("organization_id")
        ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_TeamTable_model_id_fkey" FOREIGN KEY ("model_id")
        REFERENCES "LiteLLM_ModelTable" ("id") ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_TeamTable_object_permission_id_fkey" FOREIGN KEY ("object_permission_id")
        REFERENCES "LiteLLM_ObjectPermissionTable" ("object_permission_id")
        ON DELETE SET NULL ON UPDATE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "LiteLLM_TeamTable_model_id_key" ON "LiteLLM_TeamTable" ("model_id");
CREATE INDEX IF NOT EXISTS "LiteLLM_TeamTable_organization_id_idx" ON "LiteLLM_TeamTable" ("organization_id");
CREATE INDEX IF NOT EXISTS "LiteLLM_TeamTable_team_alias_idx" ON "LiteLLM_TeamTable" ("team_alias");
CREATE INDEX IF NOT EXISTS "LiteLLM_TeamTable_created_at_idx" ON "LiteLLM_TeamTable" ("created_at");

CREATE TABLE IF NOT EXISTS "LiteLLM_UserTable" (
    "user_id" text NOT NULL,
    "user_alias" text,
    "team_id" text,
    "sso_user_id" text,
    "organization_id" text,
    "object_permission_id" text,
    "password" text,
    "teams" text[] DEFAULT ARRAY[]::text[],
    "user_role" text,
    "max_budget" double precision,
    "spend" double precision NOT NULL DEFAULT 0.0,
    "user_email" text,
    "models" text[],
    "metadata" jsonb NOT NULL DEFAULT '{}',
    "max_parallel_requests" integer,
    "tpm_limit" bigint,
    "rpm_limit" bigint,
    "budget_duration" text,
    "budget_reset_at" timestamp(3),
    "allowed_cache_controls" text[] DEFAULT ARRAY[]::text[],
    "policies" text[] DEFAULT ARRAY[]::text[],
    "model_spend" jsonb NOT NULL DEFAULT '{}',
    "model_max_budget" jsonb NOT NULL DEFAULT '{}',
    "password_reset_required" boolean,
    "last_breach_check_at" timestamp(3),
    "created_at" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    "updated_at" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_UserTable_pkey" PRIMARY KEY ("user_id"),
    CONSTRAINT "LiteLLM_UserTable_organization_id_fkey" FOREIGN KEY ("organization_id")
        REFERENCES "LiteLLM_OrganizationTable" ("organization_id")
        ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_UserTable_object_permission_id_fkey" FOREIGN KEY ("object_permission_id")
        REFERENCES "LiteLLM_ObjectPermissionTable" ("object_permission_id")
        ON DELETE SET NULL ON UPDATE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "LiteLLM_UserTable_sso_user_id_key" ON "LiteLLM_UserTable" ("sso_user_id");
CREATE INDEX IF NOT EXISTS "LiteLLM_UserTable_user_email_lower_idx"
    ON "LiteLLM_UserTable" (lower("user_email"));

CREATE TABLE IF NOT EXISTS "LiteLLM_OrganizationMembership" (
    "user_id" text NOT NULL,
    "organization_id" text NOT NULL,
    "user_role" text,
    "spend" double precision DEFAULT 0.0,
    "budget_id" text,
    "created_at" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    "updated_at" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_OrganizationMembership_pkey" PRIMARY KEY ("user_id", "organization_id"),
    CONSTRAINT "LiteLLM_OrganizationMembership_user_id_fkey" FOREIGN KEY ("user_id")
        REFERENCES "LiteLLM_UserTable" ("user_id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_OrganizationMembership_organization_id_fkey"
        FOREIGN KEY ("organization_id")
        REFERENCES "LiteLLM_OrganizationTable" ("organization_id")
        ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_OrganizationMembership_budget_id_fkey" FOREIGN KEY ("budget_id")
        REFERENCES "LiteLLM_BudgetTable" ("budget_id") ON DELETE SET NULL ON UPDATE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "LiteLLM_OrganizationMembership_user_id_organization_id_key"
    ON "LiteLLM_OrganizationMembership" ("user_id", "organization_id");

CREATE TABLE IF NOT EXISTS "LiteLLM_TeamMembership" (
    "user_id" text NOT NULL,
    "team_id" text NOT NULL,
    "spend" double precision NOT NULL DEFAULT 0.0,
    "budget_id" text,
    "total_spend" double precision NOT NULL DEFAULT 0.0,
    CONSTRAINT "LiteLLM_TeamMembership_pkey" PRIMARY KEY ("user_id", "team_id"),
    CONSTRAINT "LiteLLM_TeamMembership_budget_id_fkey" FOREIGN KEY ("budget_id")
        REFERENCES "LiteLLM_BudgetTable" ("budget_id") ON DELETE SET NULL ON UPDATE CASCADE
);

CREATE TABLE IF NOT EXISTS "LiteLLM_VerificationToken" (
    "token" text NOT NULL,
    "key_name" text,
    "key_alias" text,
    "soft_budget_cooldown" boolean NOT NULL DEFAULT false,
    "spend" double precision NOT NULL DEFAULT 0.0,
    "total_spend" double precision NOT NULL DEFAULT 0.0,
    "expires" timestamp(3),
    "models" text[],
    "aliases" jsonb NOT NULL DEFAULT '{}',
    "config" jsonb NOT NULL DEFAULT '{}',
    "router_settings" jsonb DEFAULT '{}',
    "user_id" text,
    "team_id" text,
    "agent_id" text,
    "project_id" text,
    "permissions" jsonb NOT NULL DEFAULT '{}',
    "max_parallel_requests" integer,
    "metadata" jsonb NOT NULL DEFAULT '{}',
    "blocked" boolean,
    "tpm_limit" bigint,
    "rpm_limit" bigint,
    "tpd_limit" bigint,
    "max_budget" double precision,
    "budget_duration" text,
    "budget_reset_at" timestamp(3),
    "allowed_cache_controls" text[] DEFAULT ARRAY[]::text[],
    "allowed_routes" text[] DEFAULT ARRAY[]::text[],
    "policies" text[] DEFAULT ARRAY[]::text[],
    "access_group_ids" text[] DEFAULT ARRAY[]::text[],
    "model_spend" jsonb NOT NULL DEFAULT '{}',
    "model_max_budget" jsonb NOT NULL DEFAULT '{}',
    "budget_limits" jsonb,
    "budget_fallbacks" jsonb NOT NULL DEFAULT '{}',
    "budget_id" text,
    "organization_id" text,
    "object_permission_id" text,
    "key_type" text,
    "created_at" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    "created_by" text,
    "updated_at" timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    "updated_by" text,
    "settings_updated_at" timestamp(3),
    "last_active" timestamp(3),
    "rotation_count" integer DEFAULT 0,
    "auto_rotate" boolean DEFAULT false,
    "rotation_interval" text,
    "last_rotation_at" timestamp(3),
    "key_rotation_at" timestamp(3),
    CONSTRAINT "LiteLLM_VerificationToken_pkey" PRIMARY KEY ("token"),
    CONSTRAINT "LiteLLM_VerificationToken_budget_id_fkey" FOREIGN KEY ("budget_id")
        REFERENCES "LiteLLM_BudgetTable" ("budget_id") ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_VerificationToken_organization_id_fkey" FOREIGN KEY ("organization_id")
        REFERENCES "LiteLLM_OrganizationTable" ("organization_id")
        ON DELETE SET NULL ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_VerificationToken_object_permission_id_fkey"
        FOREIGN KEY ("object_permission_id")
        REFERENCES "LiteLLM_ObjectPermissionTable" ("object_permission_id")
        ON DELETE SET NULL ON UPDATE CASCADE
);

CREATE TABLE IF NOT EXISTS "LiteLLM_JWTKeyMapping" (
    "id" text NOT NULL,
    "jwt_issuer" text NOT NULL DEFAULT '',
    "jwt_claim_name" text NOT NULL,
    "jwt_claim_value" text NOT NULL,
    "token" text NOT NULL,
    "description" text,
    "is_active" boolean NOT NULL DEFAULT true,
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" text,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_by" text,
    CONSTRAINT "LiteLLM_JWTKeyMapping_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "LiteLLM_JWTKeyMapping_token_fkey" FOREIGN KEY ("token")
        REFERENCES "LiteLLM_VerificationToken" ("token") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "LiteLLM_JWTKeyMapping_jwt_claim_name_jwt_claim_value_key"
    ON "LiteLLM_JWTKeyMapping" ("jwt_claim_name", "jwt_claim_value");

CREATE TABLE IF NOT EXISTS "LiteLLM_AuditLog" (
    "id" text NOT NULL,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "changed_by" text NOT NULL DEFAULT '',
    "changed_by_api_key" text NOT NULL DEFAULT '',
    "action" text NOT NULL,
    "table_name" text NOT NULL,
    "object_id" text NOT NULL,
    "before_value" jsonb,
    "updated_values" jsonb,
    CONSTRAINT "LiteLLM_AuditLog_pkey" PRIMARY KEY ("id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_DeletedTeamTable" (
    "id" text NOT NULL,
    "team_id" text NOT NULL,
    "team_alias" text,
    "organization_id" text,
    "object_permission_id" text,
    "admins" text[],
    "members" text[],
    "members_with_roles" jsonb NOT NULL DEFAULT '{}',
    "metadata" jsonb NOT NULL DEFAULT '{}',
    "max_budget" double precision,
    "soft_budget" double precision,
    "spend" double precision NOT NULL DEFAULT 0.0,
    "models" text[],
    "max_parallel_requests" integer,
    "tpm_limit" bigint,
    "rpm_limit" bigint,
    "tpd_limit" bigint,
    "budget_duration" text,
    "budget_reset_at" timestamp(3),
    "blocked" boolean NOT NULL DEFAULT false,
    "model_spend" jsonb NOT NULL DEFAULT '{}',
    "model_max_budget" jsonb NOT NULL DEFAULT '{}',
    "router_settings" jsonb DEFAULT '{}',
    "team_member_permissions" text[] DEFAULT ARRAY[]::text[],
    "access_group_ids" text[] DEFAULT ARRAY[]::text[],
    "policies" text[] DEFAULT ARRAY[]::text[],
    "model_id" integer,
    "allow_team_guardrail_config" boolean NOT NULL DEFAULT false,
    "created_at" timestamp(3),
    "updated_at" timestamp(3),
    "deleted_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_by" text,
    "deleted_by_api_key" text,
    "litellm_changed_by" text,
    CONSTRAINT "LiteLLM_DeletedTeamTable_pkey" PRIMARY KEY ("id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_DeletedVerificationToken" (
    "id" text NOT NULL,
    "token" text NOT NULL,
    "key_name" text,
    "key_alias" text,
    "soft_budget_cooldown" boolean NOT NULL DEFAULT false,
    "spend" double precision NOT NULL DEFAULT 0.0,
    "total_spend" double precision NOT NULL DEFAULT 0.0,
    "expires" timestamp(3),
    "models" text[],
    "aliases" jsonb NOT NULL DEFAULT '{}',
    "config" jsonb NOT NULL DEFAULT '{}',
    "router_settings" jsonb DEFAULT '{}',
    "user_id" text,
    "team_id" text,
    "agent_id" text,
    "project_id" text,
    "permissions" jsonb NOT NULL DEFAULT '{}',
    "max_parallel_requests" integer,
    "metadata" jsonb NOT NULL DEFAULT '{}',
    "blocked" boolean,
    "tpm_limit" bigint,
    "rpm_limit" bigint,
    "tpd_limit" bigint,
    "max_budget" double precision,
    "budget_duration" text,
    "budget_reset_at" timestamp(3),
    "allowed_cache_controls" text[] DEFAULT ARRAY[]::text[],
    "allowed_routes" text[] DEFAULT ARRAY[]::text[],
    "policies" text[] DEFAULT ARRAY[]::text[],
    "access_group_ids" text[] DEFAULT ARRAY[]::text[],
    "model_spend" jsonb NOT NULL DEFAULT '{}',
    "model_max_budget" jsonb NOT NULL DEFAULT '{}',
    "budget_fallbacks" jsonb NOT NULL DEFAULT '{}',
    "budget_id" text,
    "organization_id" text,
    "object_permission_id" text,
    "key_type" text,
    "created_at" timestamp(3),
    "created_by" text,
    "updated_at" timestamp(3),
    "updated_by" text,
    "settings_updated_at" timestamp(3),
    "last_active" timestamp(3),
    "rotation_count" integer DEFAULT 0,
    "auto_rotate" boolean DEFAULT false,
    "rotation_interval" text,
    "last_rotation_at" timestamp(3),
    "key_rotation_at" timestamp(3),
    "deleted_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_by" text,
    "deleted_by_api_key" text,
    "litellm_changed_by" text,
    CONSTRAINT "LiteLLM_DeletedVerificationToken_pkey" PRIMARY KEY ("id")
);
CREATE INDEX IF NOT EXISTS "LiteLLM_DeletedVerificationToken_token_idx"
    ON "LiteLLM_DeletedVerificationToken" ("token");

CREATE TABLE IF NOT EXISTS "LiteLLM_Config" (
    "param_name" text NOT NULL,
    "param_value" jsonb,
    "last_run_at" timestamp(3),
    "reload_revision" bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_Config_pkey" PRIMARY KEY ("param_name")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_SSOConfig" (
    "id" text NOT NULL DEFAULT 'sso_config',
    "sso_settings" jsonb NOT NULL,
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_SSOConfig_pkey" PRIMARY KEY ("id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_UISettings" (
    "id" text NOT NULL DEFAULT 'ui_settings',
    "ui_settings" jsonb NOT NULL,
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_UISettings_pkey" PRIMARY KEY ("id")
);

CREATE TABLE IF NOT EXISTS "LiteLLM_AccessGroupTable" (
    "access_group_id" text NOT NULL,
    "access_group_name" text NOT NULL,
    "description" text,
    "access_model_names" text[] DEFAULT ARRAY[]::text[],
    "access_mcp_server_ids" text[] DEFAULT ARRAY[]::text[],
    "mcp_tool_permissions" jsonb,
    "access_agent_ids" text[] DEFAULT ARRAY[]::text[],
    "access_skill_names" text[] DEFAULT ARRAY[]::text[],
    "assigned_team_ids" text[] DEFAULT ARRAY[]::text[],
    "assigned_key_ids" text[] DEFAULT ARRAY[]::text[],
    "created_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" text,
    "updated_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_by" text,
    CONSTRAINT "LiteLLM_AccessGroupTable_pkey" PRIMARY KEY ("access_group_id")
);
CREATE UNIQUE INDEX IF NOT EXISTS "LiteLLM_AccessGroupTable_access_group_name_key"
    ON "LiteLLM_AccessGroupTable" ("access_group_name");

CREATE TABLE IF NOT EXISTS "LiteLLM_InvitationLink" (
    "id" text NOT NULL,
    "user_id" text NOT NULL,
    "is_accepted" boolean NOT NULL DEFAULT false,
    "accepted_at" timestamp(3),
    "expires_at" timestamp(3) NOT NULL,
    "created_at" timestamp(3) NOT NULL,
    "created_by" text NOT NULL,
    "updated_at" timestamp(3) NOT NULL,
    "updated_by" text NOT NULL,
    CONSTRAINT "LiteLLM_InvitationLink_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "LiteLLM_InvitationLink_user_id_fkey" FOREIGN KEY ("user_id")
        REFERENCES "LiteLLM_UserTable" ("user_id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_InvitationLink_created_by_fkey" FOREIGN KEY ("created_by")
        REFERENCES "LiteLLM_UserTable" ("user_id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "LiteLLM_InvitationLink_updated_by_fkey" FOREIGN KEY ("updated_by")
        REFERENCES "LiteLLM_UserTable" ("user_id") ON DELETE RESTRICT ON UPDATE CASCADE
);

CREATE TABLE IF NOT EXISTS "LiteLLM_VerifiedSubject" (
    "subject_id" text NOT NULL,
    "issuer" text NOT NULL,
    "tenant_id" text NOT NULL,
    "oid" text NOT NULL,
    "kind" text NOT NULL DEFAULT 'human',
    "user_id" text,
    "verified_via" text NOT NULL DEFAULT 'sso_interactive',
    "verified_at" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_VerifiedSubject_pkey" PRIMARY KEY ("subject_id"),
    CONSTRAINT "LiteLLM_VerifiedSubject_user_id_fkey" FOREIGN KEY ("user_id")
        REFERENCES "LiteLLM_UserTable" ("user_id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "LiteLLM_VerifiedSubject_issuer_tenant_id_oid_key"
    ON "LiteLLM_VerifiedSubject" ("issuer", "tenant_id", "oid");

CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id" varchar(36) NOT NULL,
    "checksum" varchar(64) NOT NULL,
    "finished_at" timestamptz,
    "migration_name" varchar(255) NOT NULL,
    "logs" text,
    "rolled_back_at" timestamptz,
    "started_at" timestamptz NOT NULL DEFAULT now(),
    "applied_steps_count" integer NOT NULL DEFAULT 0,
    CONSTRAINT "_prisma_migrations_pkey" PRIMARY KEY ("id")
);
