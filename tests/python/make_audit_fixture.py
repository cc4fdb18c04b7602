#!/usr/bin/env python3
"""Writes the fixture audit_rows.json from the originals.

What: rows of LiteLLM_AuditLog as LiteLLM's own code hands them to its database,
for each event that entra-sync audits: its single-sign-on code makes a team, and
its hooks record new users, changed rosters, updated and deleted teams and
deleted keys, from rows that the fixture names too.

How: needs litellm 1.109.1 with the packages that its proxy imports:

    python tests/python/make_audit_fixture.py

An updated team is the one event whose row Prisma's client prints: a model with
the same columns stands in for it.

Leaves behind: the fixture, the same bytes every time but for reset times.
"""

import asyncio
import copy
import json
import logging
import os
import sys
import types
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

# LiteLLM otherwise asks the network for a price list while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402
from fastapi import Request  # noqa: E402
from pydantic import create_model  # noqa: E402

from litellm.proxy._types import (  # noqa: E402
    CommonProxyErrors,
    LiteLLM_TeamTable,
    LiteLLM_UserTable,
    LitellmUserRoles,
    Member,
    NewTeamRequest,
    NewUserResponse,
    UpdateTeamRequest,
    UserAPIKeyAuth,
)

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
CAUGHT = []


async def nothing(*_args, **_kwargs):
    return []


class Table:
    def __init__(self, name):
        self.name = name

    async def count(self, **_):
        return 0

    async def find_unique(self, **_):
        return None

    find_first = find_unique

    async def find_many(self, **_):
        return []

    async def create(self, data=None, **_):
        if self.name == "litellm_auditlog":
            CAUGHT.append(data)
        return SimpleNamespace(
            id=1, budget_id="budget", object_permission_id="permission", team_id="group", members_with_roles=[],
            model_dump=dict,
        )

    async def create_many(self, data=None, **_):
        CAUGHT.extend(data)


class Database:
    def __getattr__(self, name):
        return Table(name)

    @asynccontextmanager
    async def tx(self, **_):
        yield self


def stand_in_for_the_proxy():
    """The module that the code under test takes its surroundings from."""
    proxy = types.ModuleType("litellm.proxy.proxy_server")
    proxy._license_check = SimpleNamespace(
        is_team_count_over_limit=lambda team_count: False, is_over_limit=lambda total_users: False
    )
    proxy.general_settings = {}
    proxy.litellm_proxy_admin_name = "default_user_id"
    proxy.llm_router = None
    proxy.user_api_key_cache = MagicMock()
    proxy.proxy_logging_obj = MagicMock()
    proxy.CommonProxyErrors = CommonProxyErrors
    proxy.premium_user = True
    proxy.prisma_client = None
    sys.modules["litellm.proxy.proxy_server"] = proxy
    return proxy


PROXY = stand_in_for_the_proxy()

from litellm.proxy.hooks import user_management_event_hooks as user_hooks  # noqa: E402
from litellm.proxy.hooks.key_management_event_hooks import KeyManagementEventHooks  # noqa: E402
from litellm.proxy.management_endpoints import team_endpoints, ui_sso  # noqa: E402
from litellm.proxy.management_helpers import audit_logs, object_permission_utils  # noqa: E402
from litellm.proxy.utils import PrismaClient  # noqa: E402

logging.disable(logging.CRITICAL)


class Client:
    jsonify_object = PrismaClient.jsonify_object
    jsonify_team_object = PrismaClient.jsonify_team_object

    def __init__(self):
        self.db = self.writer_db = Database()

    def tx(self, **_):
        return self.db.tx()

    async def get_data(self, **_):
        return None


PROXY.prisma_client = Client()
PROXY.create_audit_log_for_update = audit_logs.create_audit_log_for_update
litellm.store_audit_logs = True
team_endpoints._add_team_members_to_team = nothing
team_endpoints.reconcile_team_access_group_membership = nothing
team_endpoints.invalidate_access_group_caches = nothing


async def no_servers(*_args, **_kwargs):
    return {}


object_permission_utils._resolve_mcp_server_identifiers_to_ids = no_servers

# As the login and SCIM act.
NOBODY = UserAPIKeyAuth(user_role=LitellmUserRoles.PROXY_ADMIN)


def caught(work):
    """The one audit row that this leads to, as PostgreSQL would hold it."""
    CAUGHT.clear()

    async def run():
        answer = work()
        if asyncio.iscoroutine(answer):
            await answer
        await asyncio.sleep(0)
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.gather(*others)

    asyncio.run(run())
    (data,) = CAUGHT
    row = {"changed_by_api_key": "", "before_value": None, "updated_values": None, **data}
    row["table_name"] = getattr(row["table_name"], "value", row["table_name"])
    assert len(row.pop("id")) == 36 and isinstance(row.pop("updated_at"), datetime)
    for column in ("before_value", "updated_values"):
        if row[column] is not None:
            row[column] = json.loads(row[column])
    return row


def team_created(params, zone=None):
    params = copy.deepcopy(params)
    litellm.timezone = zone
    request = NewTeamRequest(team_id="group", team_alias="Group")

    async def make():
        data = request
        litellm.default_team_params = params
        if params:
            data = ui_sso.SSOAuthenticationHandler._cast_and_deepcopy_litellm_default_team_params(
                default_team_params=params, litellm_team_id="group", litellm_team_name="Group", team_request=request
            )
        await team_endpoints.new_team(
            data=data,
            http_request=Request(scope={"type": "http", "method": "POST"}),
            user_api_key_dict=UserAPIKeyAuth(token="", key_alias="litellm.MicrosoftSSOHandler"),
        )

    return {"params": params, "timezone": zone, "audit": caught(make)}


def user_created(row):
    """`row` is what the table holds; LiteLLM reads it again for this."""

    class Repository:
        def __init__(self, _client):
            pass

        async def find_by_id(self, _user):
            return LiteLLM_UserTable(**in_utc(row))

    user_hooks.UserRepository = Repository
    response = NewUserResponse(user_id=row["user_id"], key="")
    make = user_hooks.UserManagementEventHooks._create_user_created_audit_log
    return caught(
        lambda: make(response=response, user_api_key_dict=NOBODY, litellm_proxy_admin_name="default_user_id")
    )


def in_utc(row):
    """Prisma gives times with their zone; PostgreSQL keeps them without."""
    return {
        name: datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
        if name in TIMES and value is not None
        else copy.deepcopy(value)
        for name, value in row.items()
    }


TIMES = {"created_at", "updated_at", "budget_reset_at", "expires", "last_active", "settings_updated_at"}


def roster_changed(before, after):
    members = [[Member(**member) for member in members] for members in (before, after)]
    return {
        "before": before,
        "after": after,
        "audit": caught(
            lambda: team_endpoints._schedule_team_membership_audit_log(
                team_id="group",
                team_alias="Group",
                before_members=members[0],
                after_members=members[1],
                user_api_key_dict=NOBODY,
                litellm_proxy_admin_name="default_user_id",
            )
        ),
    }


def team_updated(row, changes):
    # Prisma's client makes such a model; nested values stay as they are.
    stand_in = create_model(
        "LiteLLM_TeamTable", **{name: (datetime | None if name in TIMES else Any, None) for name in row}
    )
    request = UpdateTeamRequest(team_id=row["team_id"], **changes)
    changed = PROXY.prisma_client.jsonify_team_object(db_data=request.json(exclude_unset=True))
    audit = caught(
        lambda: team_endpoints._create_team_update_audit_log(
            existing_team_row=stand_in(**in_utc(row)),
            updated_kv=changed,
            team_id=row["team_id"],
            litellm_changed_by=None,
            user_api_key_dict=NOBODY,
            litellm_proxy_admin_name="default_user_id",
        )
    )
    return {"row": row, "changes": changes, "audit": audit}


def team_deleted(row):
    return {
        "row": row,
        "audit": caught(
            lambda: team_endpoints._schedule_deleted_team_audit_rows(
                teams=[LiteLLM_TeamTable(**in_utc(row))],
                user_api_key_dict=NOBODY,
                litellm_changed_by=None,
            )
        ),
    }


def key_deleted(row):
    return {
        "row": row,
        "audit": caught(
            lambda: KeyManagementEventHooks.create_key_deleted_audit_logs(
                keys_being_deleted=[SimpleNamespace(**in_utc(row))],
                user_api_key_dict=NOBODY,
            )
        ),
    }


BUDGET = {"max_budget": 5, "budget_duration": "1d"}
PARAMS = [
    None,
    {"models": ["m"], "max_budget": 10, "budget_duration": "30d", "tpm_limit": 100, "rpm_limit": 0},
    {"soft_budget": 0.5, "max_budget": 1.5, "tpd_limit": 7, "blocked": True},
    {"team_member_permissions": ["/key/generate"], "access_group_ids": ["g"]},
    {"policies": ["p"]},
    {"default_team_member_models": ["m"], "router_settings": {"num_retries": 2, "timeout": None}},
    {"metadata": {"note": None, "api_key": "sk-1234567890", "deep": {"some-key": ["short", "123456789"]}}},
    {"model_aliases": {"a": "b"}, "object_permission": {"mcp_servers": ["s"]}},
    {"team_member_budget": 5, "team_member_key_duration": "30d", "tags": ["t"]},
    {"budget_limits": [BUDGET], "model_max_budget": {"m": BUDGET}},
]

MEMBERS = [
    {"user_id": "ada", "user_email": "ada@example.com", "role": "admin"},
    {"user_id": "bob", "user_email": None, "role": "user"},
    {"user_id": None, "user_email": "only@example.com", "role": "user"},
]

TEAM = {
    "team_id": "t", "team_alias": "T", "organization_id": None, "admins": [], "members": [],
    "members_with_roles": MEMBERS[:2], "metadata": {"note": None, "team_member_key_duration": "30d", "key": "0123456789"},
    "max_budget": 10.5, "soft_budget": None, "spend": 4.25, "models": ["m", "n"], "max_parallel_requests": None,
    "tpm_limit": 7, "rpm_limit": None, "tpd_limit": None, "budget_duration": "30d",
    "budget_reset_at": "2026-12-01T00:00:00", "blocked": False, "created_at": "2026-01-02T03:04:05.678",
    "updated_at": "2026-02-03T04:05:06.7", "model_spend": {}, "model_max_budget": {}, "router_settings": {},
    "model_id": None, "team_member_permissions": ["/key/generate"], "access_group_ids": [], "policies": [],
    "allow_team_guardrail_config": False, "object_permission_id": None,
    "budget_limits": [{"budget_duration": "1d", "max_budget": 2.0, "reset_at": "2026-12-01T00:00:00+00:00"}],
    "default_team_member_models": ["m"],
}

KEY = {
    "token": "hash-1", "key_name": "sk-...abcd", "key_alias": "Ada in t", "soft_budget_cooldown": False, "spend": 12.5,
    "expires": "2030-01-02T03:04:05", "models": [], "aliases": {}, "config": {}, "user_id": "ada", "team_id": "t",
    "permissions": {}, "max_parallel_requests": None, "metadata": {"note": None, "scim_blocked": True}, "blocked": None,
    "tpm_limit": 7, "rpm_limit": None, "max_budget": 100.0, "budget_duration": "1d",
    "budget_reset_at": "2026-12-01T00:00:00.123", "allowed_cache_controls": [], "model_spend": {},
    "model_max_budget": {}, "budget_id": None, "organization_id": None, "created_at": "2026-01-02T03:04:05.678",
    "created_by": "ada", "updated_at": "2026-01-02T03:04:05.678", "updated_by": "ada", "allowed_routes": [],
    "object_permission_id": None, "auto_rotate": False, "key_rotation_at": None, "last_rotation_at": None,
    "rotation_count": 0, "rotation_interval": None, "project_id": None, "router_settings": {}, "policies": ["p"],
    "access_group_ids": ["g"], "last_active": "2026-03-04T05:06:07", "agent_id": None,
    "budget_limits": [{"budget_duration": "1d", "max_budget": 2.0, "reset_at": "2026-12-01T00:00:00+00:00"}],
    "budget_fallbacks": {}, "key_type": "default", "settings_updated_at": None, "tpd_limit": None, "total_spend": 20.0,
}


def users():
    """The users that LiteLLM itself wrote, each as it was."""
    scenarios = json.loads((FIXTURES / "litellm-reference-rows.json").read_text())
    for name in ("new_user_with_role_from_sso", "team_with_member_defaults", "new_user_joins_existing_teams_only"):
        for row in scenarios[name]["rows"]["LiteLLM_UserTable"]:
            yield {"scenario": name, "row": row, "audit": user_created(row)}


def lines(cases):
    return "[\n  " + ",\n  ".join(json.dumps(case, sort_keys=True) for case in cases) + "\n ]"


if __name__ == "__main__":
    sections = {
        "team_created": [
            *(team_created(params) for params in PARAMS),
            team_created({"budget_limits": [BUDGET], **BUDGET}, "Asia/Tokyo"),
        ],
        "user_created": list(users()),
        "roster_changed": [
            roster_changed(MEMBERS[:2], MEMBERS[:1]),
            roster_changed([], MEMBERS[1:2]),
            roster_changed(MEMBERS[2:], [*MEMBERS[2:], MEMBERS[1]]),
        ],
        "team_updated": [
            team_updated(TEAM, {"team_alias": "New name"}),
            team_updated(TEAM, {"models": ["x"]}),
            team_updated(TEAM, {"team_alias": "New name", "organization_id": "org", "models": []}),
        ],
        "team_deleted": [team_deleted(TEAM)],
        "key_deleted": [key_deleted(KEY)],
    }
    source = (
        "Rows of LiteLLM_AuditLog as litellm 1.109.1's own code hands them to its database, with the row or the "
        "parameters they are about. Made by tests/python/make_audit_fixture.py."
    )
    body = ",\n ".join(f'"{name}": {lines(cases)}' for name, cases in sections.items())
    (FIXTURES / "audit_rows.json").write_text(f'{{\n "source": {json.dumps(source)},\n {body}\n}}\n')
