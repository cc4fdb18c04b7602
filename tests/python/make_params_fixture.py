#!/usr/bin/env python3
"""Writes the fixtures team_params, user_params and yaml_scalars from the originals.

What: `default_team_params` and `default_internal_user_params` accept far more
than they document, coerce values, fold some of them into metadata and refuse
others. The answers here are LiteLLM's: its own single-sign-on code runs up to
the point where it would write a row, and that row is the answer.

How: needs litellm 1.109.1 with the packages that its proxy imports:

    python tests/python/make_params_fixture.py

LiteLLM reads its file with PyYAML, whose idea of a plain scalar (12:00 is 720)
is the third fixture.

Leaves behind: the fixtures, the same bytes every time. Cases in which LiteLLM
raises anything at all have the answer null.
"""

import asyncio
import json
import logging
import os
import random
import sys
import types
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

# LiteLLM otherwise asks the network for a price list while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402
import yaml  # noqa: E402
from fastapi import Request  # noqa: E402
from litellm.proxy._types import CommonProxyErrors, NewTeamRequest, UserAPIKeyAuth  # noqa: E402

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


async def nothing(*_args, **_kwargs):
    return None


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
    proxy.create_audit_log_for_update = nothing
    proxy.CommonProxyErrors = CommonProxyErrors
    proxy.premium_user = False
    proxy.prisma_client = None
    sys.modules["litellm.proxy.proxy_server"] = proxy
    return proxy


PROXY = stand_in_for_the_proxy()

from litellm.proxy.management_endpoints import team_endpoints, ui_sso  # noqa: E402
from litellm.proxy.management_helpers import object_permission_utils  # noqa: E402
from litellm.proxy.utils import PrismaClient  # noqa: E402
from litellm.repositories.user_repository import UserRepository  # noqa: E402

logging.disable(logging.CRITICAL)


class Written(Exception):
    """The row that was asked for has been caught."""


class Table:
    def __init__(self, name, rows):
        self.name, self.rows = name, rows

    async def count(self, **_):
        return 0

    async def find_unique(self, **_):
        return None

    find_first = find_unique

    async def find_many(self, **_):
        return []

    async def create(self, data=None, **_):
        self.rows[self.name] = data
        if self.name == "litellm_teamtable":
            raise Written
        return SimpleNamespace(id=1, budget_id=data.get("budget_id"), object_permission_id="permission")


class Database:
    def __init__(self, rows):
        self.rows = rows

    def __getattr__(self, name):
        return Table(name, self.rows)

    @asynccontextmanager
    async def tx(self, **_):
        yield self


class Client:
    jsonify_object = PrismaClient.jsonify_object
    jsonify_team_object = PrismaClient.jsonify_team_object

    def __init__(self, rows):
        self.rows = rows
        self.db = self.writer_db = Database(rows)

    def tx(self, **_):
        return self.db.tx()

    async def get_data(self, **_):
        return None

    async def insert_data(self, data, table_name):
        self.rows[table_name] = data
        raise Written


async def organization(**_):
    return SimpleNamespace(organization_id="org", litellm_budget_table=None, models=[])


async def no_servers(*_args, **_kwargs):
    return {}


async def no_users(*_args, **_kwargs):
    return 0


team_endpoints.get_org_object = organization
object_permission_utils._resolve_mcp_server_identifiers_to_ids = no_servers
UserRepository.count_billable_users = no_users


def plain(value):
    """jsonb columns arrive as JSON text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value


def row(data, leave_out):
    return {key: plain(value) for key, value in sorted(data.items()) if key not in leave_out and value is not None}


async def team(params, premium):
    rows = {}
    PROXY.prisma_client, PROXY.premium_user = Client(rows), premium
    litellm.default_team_params = params
    try:
        request = NewTeamRequest(team_id="group", team_alias="Group")
        if params:
            request = ui_sso.SSOAuthenticationHandler._cast_and_deepcopy_litellm_default_team_params(
                default_team_params=params,
                litellm_team_id="group",
                litellm_team_name="Group",
                team_request=request,
            )
        await team_endpoints.new_team(
            data=request,
            http_request=Request(scope={"type": "http", "method": "POST"}),
            user_api_key_dict=UserAPIKeyAuth(token="", key_alias="litellm.MicrosoftSSOHandler"),
        )
    except Exception:
        if "litellm_teamtable" not in rows:
            return None
    finally:
        litellm.default_team_params = None
    answer = {"team": row(rows["litellm_teamtable"], TEAM_CONSTANTS)}
    answer["team"].get("metadata", {}).pop("team_member_budget_id", None)
    for limit in answer["team"].get("budget_limits", []):
        limit.pop("reset_at")
    for name, table in (
        ("budget", "litellm_budgettable"),
        ("object_permission", "litellm_objectpermissiontable"),
        ("model_table", "litellm_modeltable"),
    ):
        if table in rows:
            answer[name] = row(rows[table], CONSTANTS)
    try:
        json.dumps(answer, allow_nan=False)
    except ValueError:  # PostgreSQL would refuse it
        return None
    return answer


TEAM_CONSTANTS = {"team_id", "team_alias", "budget_reset_at", "model_id", "object_permission_id", "members_with_roles",
                  "model_spend", "allow_team_guardrail_config"}
CONSTANTS = {"budget_id", "budget_reset_at", "created_by", "updated_by"}

ANYTHING = [None, True, 0, 1, -1, 5.0, 5.5, "5", "5.5", "", "x", [], ["a"], [1], {}, {"a": 1}, {"a": "5"}, {"a": None}]
DURATIONS = ["1d", "30d", "monthly", "2mo", "0d", "1hr", "30"]
NUMBERS = [" 7 ", "1_000", "1e3", "inf", "nan", "-Infinity", "5.00", "5.", 2**62, 1e15, 0.1]
FLAGS = ["yes", "OFF", "t", " true", 2, False]
BUDGET = {"max_budget": 5, "budget_duration": "1d"}
MODEL_BUDGETS = [
    {"m": BUDGET}, {"m": {"budget_limit": "5", "time_period": "30d"}}, {"m": {"max_budget": 5}},
    {"m": {"budget_duration": "1d"}}, {"m": {**BUDGET, "max_budget": -1}}, {"m": {**BUDGET, "budget_duration": "2mo"}},
    {"m": {**BUDGET, "tpm_limit": 5}}, {"m": {**BUDGET, "rpm_limit": None}}, {" ": BUDGET}, {"m": {**BUDGET, "odd": 1}},
    {"m": {**BUDGET, "time_period": "30d"}}, {"m": {}}, {"m": []}, {"*": {**BUDGET, "max_budget": 0}},
]
SECRETS = {"langfuse_secret_key": "s", "langfuse_host": "h"}

FIELDS = {
    "organization_id": ["org", " "],
    "admins": ["u"], "members": ["u"],
    "members_with_roles": [[{"role": "user", "user_id": "u"}]],
    "team_member_permissions": [["/key/generate", "/key/odd"]],
    "metadata": [
        {"a": {"b": [None, 1.5, "c"]}}, {"team_member_budget_id": "b"}, {"team_member_budget_id": None},
        {"default_estimated_output_tokens": 5}, {"default_estimated_output_tokens": None},
        {"default_estimated_output_tokens_per_model": {}}, {"batch_enqueued_token_limit": 5},
        {"max_batch_file_records": 1}, {"max_batch_file_uploads_per_day": 1}, {"max_file_downloads_per_minute": 1},
        {"max_file_downloads_per_minute": None}, {"allowed_passthrough_routes": ["/a"]},
        {"allowed_passthrough_routes": []}, {"denied_passthrough_routes": ["/a"]}, {"denied_passthrough_routes": []},
        {"denied_passthrough_routes": "/a"}, {"denied_passthrough_routes": [1]}, {"disable_global_guardrails": True},
        {"disable_global_guardrails": "x"}, {"disable_global_guardrails": False}, {"require_trace_id": True},
        {"require_trace_id": "x"}, {"require_trace_id": False}, {"guardrails": ["g"]}, {"tags": ["t"]},
        {"logging": [{"callback_name": "langfuse", "callback_vars": {"langfuse_host": "h"}}]},
        {"model_rpm_limit": {"m": 1}},
    ],
    "max_budget": NUMBERS, "soft_budget": NUMBERS, "budget_duration": DURATIONS,
    "tpm_limit": NUMBERS, "rpm_limit": NUMBERS, "tpd_limit": NUMBERS,
    "budget_limits": [
        [BUDGET], [{**BUDGET, "max_budget": "5"}], [{**BUDGET, "max_budget": -1}], [{**BUDGET, "budget_duration": "2mo"}],
        [{**BUDGET, "budget_duration": "0d"}], [{**BUDGET, "budget_duration": "abc"}],
        [{"budget_limit": 5, "time_period": "1d"}], [{"max_budget": 5}], [{**BUDGET, "odd": 1}],
        [{**BUDGET, "reset_at": "2026-01-01T00:00:00Z"}], [{**BUDGET, "reset_at": "soon"}], [BUDGET, BUDGET],
    ],
    "models": [["gpt-4o", "gpt-4o"], [""]],
    "blocked": FLAGS,
    "router_settings": [{"num_retries": 3, "odd": None}, {"weights": {}}, {"weights": None}, {"weights": {"g": {}}},
                        {"weights": {"g": {"d": 1}}}, {"weights": 1}],
    "access_group_ids": [["g", "g"]], "default_team_member_models": [["gpt-4o"]],
    "model_aliases": [{"a": "b"}, {"a": {"b": 1}}],
    "model_max_budget": MODEL_BUDGETS, "team_member_model_max_budget": MODEL_BUDGETS,
    "tags": [["a", 1, None, {"b": 1}], [None]], "guardrails": [["g"]], "policies": [["p"]], "prompts": [["p"]],
    "object_permission": [
        {"mcp_servers": ["s"], "vector_stores": None, "models": []}, {"mcp_servers": ["all-proxy-mcpservers"]},
        {"mcp_tool_search_enabled": "yes"}, {"mcp_tool_search_enabled": 2}, {"odd": 1}, {"agents": "a"},
        {"mcp_tool_permissions": {"8e6ee11b-7a5a-4b5e-9a50-e2d1ba1a7a11": ["t"]}}, {"mcp_tool_permissions": {"name": ["t"]}},
        {"mcp_tool_permissions": {"name": "t"}},
        {key: ["a"] for key in ("mcp_access_groups", "mcp_toolsets", "blocked_tools", "vector_stores", "agents",
                                "agent_access_groups", "models", "search_tools", "skills")},
    ],
    "allowed_passthrough_routes": [], "denied_passthrough_routes": [], "disable_global_guardrails": FLAGS,
    "require_trace_id": FLAGS, "secret_manager_settings": [{"a": {"b": None}}],
    "model_rpm_limit": [{"m": -1}, {"m": 5.0}, {"m": 5.5}], "model_tpm_limit": [{"m": "7.0"}], "mcp_rpm_limit": [],
    "rpm_limit_type": ["guaranteed_throughput", "best_effort_throughput"],
    "tpm_limit_type": ["guaranteed_throughput", "best_effort_throughput"],
    "default_estimated_output_tokens": [], "default_estimated_output_tokens_per_model": [],
    "team_member_budget": NUMBERS, "team_member_rpm_limit": NUMBERS, "team_member_tpm_limit": NUMBERS,
    "team_member_key_duration": DURATIONS, "team_member_budget_duration": DURATIONS,
    "allowed_vector_store_indexes": [
        [{"index_name": "i", "index_permissions": ["read", "write"]}], [{"index_name": "i", "index_permissions": ["own"]}],
        [{"index_name": "i"}], [{"index_name": "i", "index_permissions": [], "odd": 1}],
    ],
    "enforced_batch_output_expires_after": [{"anchor": "created_at", "days": 30, "odd": None}],
    "enforced_file_expires_after": [{"anchor": "created_at", "days": "30"}],
}
NO_FIELDS = ["model_itpm_limit", "logging", "max_parallel_requests", "spend", "team_budget"]

TOGETHER = [
    {}, {"max_budget": 5, "soft_budget": 5}, {"max_budget": 5, "soft_budget": 4.99}, {"soft_budget": 7},
    {"max_budget": 0, "soft_budget": 0}, {"team_member_budget": 1, "budget_duration": "7d"},
    {"team_member_budget": 1, "budget_duration": "7d", "team_member_budget_duration": None},
    {"team_member_budget": 1, "budget_duration": "7d", "team_member_budget_duration": "1d"},
    {"team_member_tpm_limit": 0}, {"team_member_budget_duration": None, "budget_duration": "7d"},
    {"metadata": {"guardrails": ["a"], "kept": 1}, "guardrails": ["b"]},
    {"metadata": {"origin": "sso"}, "team_member_budget": 2.5, "team_member_rpm_limit": 5},
    {"organization_id": "org", "max_budget": 5, "models": ["m"]},
    {"metadata": {"require_trace_id": True}, "require_trace_id": False},
    {"metadata": {"default_estimated_output_tokens": 5}, "default_estimated_output_tokens": None},
    {"policies": ["p"], "metadata": None}, {"tpm_limit": 5, "tpm_limit_type": "guaranteed_throughput"},
    {"team_id": "mine"}, {"team_alias": "mine"}, {"team_id": None},
]


def team_inputs():
    missing = set(NewTeamRequest.model_fields) - set(FIELDS) - {"team_id", "team_alias"}
    assert not missing, missing
    for field, values in FIELDS.items():
        for value in [*ANYTHING, *values]:
            yield {field: value}
    for name in NO_FIELDS:
        yield {name: 1}
    yield from TOGETHER


def team_cases():
    for params in team_inputs():
        free = asyncio.run(team(json.loads(json.dumps(params)), False))
        paid = asyncio.run(team(json.loads(json.dumps(params)), True))
        if free == paid:
            yield {"params": params, "licence": "any", "answer": free}
        else:
            yield {"params": params, "licence": "absent", "answer": free}
            yield {"params": params, "licence": "valid", "answer": paid}


async def user(params, role, budget, duration):
    rows = {}
    PROXY.prisma_client, PROXY.premium_user = Client(rows), True
    # What proxy_server.py makes of the value while it loads the file.
    if params and params.get("max_budget") is not None:
        try:
            params = {**params, "max_budget": float(params["max_budget"])}
        except (TypeError, ValueError):
            return None
    litellm.default_internal_user_params = params
    litellm.max_internal_user_budget, litellm.internal_user_budget_duration = budget, duration
    try:
        await ui_sso.insert_sso_user(
            result_openid=ui_sso.CustomOpenID(id="person", email="p@example.com", display_name="P", provider="microsoft",
                                                team_ids=[]),
            user_defined_values={"models": [], "user_id": "person", "user_email": "p@example.com", "max_budget": budget,
                                 "user_role": role, "budget_duration": duration},
        )
    except Exception:
        if "user" not in rows:
            return None
    finally:
        litellm.default_internal_user_params = None
        litellm.max_internal_user_budget = litellm.internal_user_budget_duration = None
    answer = row(rows["user"], {"budget_reset_at", "user_id", "sso_user_id", "user_email", "user_alias", "spend",
                                "allowed_cache_controls", "teams"})
    answer["user_role"] = str(getattr(answer["user_role"], "value", answer["user_role"]))
    try:
        json.dumps(answer, allow_nan=False)
    except ValueError:
        return None
    return answer


USER_FIELDS = {
    "user_role": ["internal_user", "internal_user_viewer", "proxy_admin", "proxy_admin_viewer", "org_admin", "team",
                  "customer", "INTERNAL_USER"],
    "max_budget": NUMBERS, "budget_duration": DURATIONS, "models": [["gpt-4o"]],
    "tpm_limit": [7], "rpm_limit": [7], "max_parallel_requests": [7],
    "available_teams": [["t"]], "user_email": [], "user_id": [], "auto_create_key": [], "odd": [], "request_type": [],
    "llm_router": [], "send_welcome": [],
}


def user_cases():
    roles = [None, "internal_user", "proxy_admin"]
    for field, values in USER_FIELDS.items():
        for value in [*ANYTHING, *values]:
            yield from user_case({field: value}, [None], None, None)
    for params in (None, {"max_budget": 5, "models": ["m"], "tpm_limit": 3, "max_parallel_requests": 2},
                   {"max_budget": None, "budget_duration": None}, {"user_role": "internal_user", "max_budget": None},
                   {"user_role": "proxy_admin", "models": ["m"], "budget_duration": "7d"}):
        for budget, duration in ((None, None), (9.0, "30d")):
            yield from user_case(params, roles, budget, duration)


def user_case(params, roles, budget, duration):
    for role in roles:
        answer = asyncio.run(user(json.loads(json.dumps(params)), role, budget, duration))
        yield {"params": params, "role": role, "max_internal_user_budget": budget,
               "internal_user_budget_duration": duration, "answer": answer}


SCALARS = """yes no on off y n True tRUE ~ null Null nUll 0 00 017 08 0o17 0x1F 0X1f 0b101 0b 0x -0 +1 -1_000 1__0 _1 1_
12:00 1:30 00:30 01:30 1:60 1:2:3 -1:30 190:20:30 1.5 1. .5 -.5 +.5 . .. 1.2.3 1e3 1.0e3 1.0e+3 1.0E-3 .5e+1 1_0.5_0 1:30.5
-1:30.5 1:30. .inf -.inf +.INF .nan .NaN nan inf = << 30d 1h 1mo 2026-01-31 2026-1-31 2026-01-31T10:00:00Z
2026-1-3T1:02:03 2026-01-31x 18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809
gpt-4o os.environ/X 0x_1 0b_1 0_7 0_ 1:5 -0x1f +0b11 -017 0.0 -0.0 00.5 0:0 1:00 9:59:59""".split()


def scalars():
    letters = random.Random(20261121)
    made = ("".join(letters.choices("0123456789+-._:eExobaTZ", k=letters.randint(1, 7))) for _ in range(1500))
    loader = yaml.SafeLoader("")
    for text in dict.fromkeys([*SCALARS, *made]):
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        try:
            value = loader.construct_object(yaml.ScalarNode(tag, text))
            json.dumps(value, allow_nan=False)
            beyond = isinstance(value, int) and not -(2**63) <= value < 2**64
        except (TypeError, ValueError, yaml.YAMLError):
            beyond = True
        # 1.1's own types for `=` and `<<` have no meaning as values.
        yield {"text": text, "error": True} if beyond else {"text": text, "value": value}


def write(name, source, cases):
    lines = ",\n  ".join(json.dumps(case, sort_keys=True) for case in cases)
    text = f'{{\n "source": {json.dumps(source)},\n "cases": [\n  {lines}\n ]\n}}\n'
    (FIXTURES / name).write_text(text)
    print(name, text.count("\n"), "lines")


if __name__ == "__main__":
    write(
        "team_params.json",
        "Rows that litellm 1.109.1 writes for a team with these default_team_params: team_endpoints.new_team, called as "
        "its single-sign-on code does, up to the insert. Constants, ids and reset times are left out; null = it raises. "
        "Made by tests/python/make_params_fixture.py.",
        team_cases(),
    )
    write(
        "user_params.json",
        "Rows that litellm 1.109.1 writes for a user with these default_internal_user_params: ui_sso.insert_sso_user up to "
        "the insert, role = what the login brought. Constants, ids and reset times are left out; null = it raises. Made by "
        "tests/python/make_params_fixture.py.",
        user_cases(),
    )
    write(
        "yaml_scalars.json",
        "What PyYAML 6 (SafeLoader) makes of a scalar without quotes; error = nothing that JSON could hold. Made by "
        "tests/python/make_params_fixture.py.",
        scalars(),
    )
