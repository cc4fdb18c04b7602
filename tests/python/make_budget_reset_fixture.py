#!/usr/bin/env python3
"""Writes tests/fixtures/budget_reset.json from LiteLLM's own functions.

What: LiteLLM does not add a budget duration to the clock; it aligns resets to
hours, days, Mondays and months in a configured zone, with quirks of its own
(48h is the next midnight, a local time that does not exist is shifted). The
answers here are LiteLLM's, so the Rust port is compared with the original and
not with our reading of it.

How: needs requirements.txt, which `scripts/test` installs into .cache:

    PYTHONPATH=$(echo .cache/python-*) python3 tests/python/make_budget_reset_fixture.py

Leaves behind: the fixture, the same bytes every time.
"""

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

# LiteLLM otherwise asks the network for a price list while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm.litellm_core_utils.duration_parser import get_next_standardized_reset_time  # noqa: E402
from litellm.proxy.common_utils.timezone_utils import (  # noqa: E402
    budget_duration_error,
    parse_budget_reset_time,
)

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "budget_reset.json"

# Durations that follow the time of day, and durations that ignore it.
DAYS_AND_LONGER = ["1d", "7d", "1w", "weekly", "30d", "1mo", "monthly", "2d", "14d", "2w", "31d", "60d"]
SHORTER = ["1h", "5h", "7h", "24h", "daily", "25h", "48h", "100h", "5m", "7m", "90m", "1500m", "30s", "45s", "3600s", "100000s"]
# A unit that LiteLLM does not know is accepted and means the next midnight.
UNKNOWN_UNIT = ["1hr", "30days", "1month", "5min"]

RESET_TIMES = [None, "12:00", "02:30", "23:59:59"]

# Wall-clock moments per zone; "+fold" marks the second pass through a repeated hour.
MOMENTS = {
    "UTC": [
        "2026-11-21 19:30:15.123", "2026-11-23 00:00:00", "2026-11-01 00:00:00", "2026-12-31 23:59:59.999",
        "2028-02-28 12:00:00", "2028-02-29 02:30:00", "2026-01-31 12:00:00", "2026-04-30 23:00:00",
        "2026-11-21 00:00:00", "2026-11-21 23:55:00", "2026-06-01 02:29:59", "2026-06-01 12:00:00.001",
    ],
    "Europe/Berlin": [
        "2026-03-28 13:00:00", "2026-03-29 01:59:30", "2026-03-29 03:00:00", "2026-03-28 02:30:00",
        "2026-10-24 12:00:01", "2026-10-25 02:15:00", "2026-10-25 02:45:00+fold", "2026-10-25 01:30:00",
        "2026-11-21 19:30:15.123", "2026-12-31 23:30:00",
    ],
    "America/New_York": [
        "2026-03-07 18:00:00", "2026-03-08 01:30:00", "2026-10-31 23:50:00", "2026-11-01 01:10:00",
        "2026-11-01 01:10:00+fold", "2026-11-01 00:00:00", "2026-07-04 12:00:00",
    ],
    "Asia/Kolkata": ["2026-11-22 00:10:00", "2026-11-30 23:45:10", "2026-11-23 12:00:00"],
    # Half an hour of daylight saving.
    "Australia/Lord_Howe": ["2026-04-05 01:20:00", "2026-04-05 01:45:00+fold", "2026-10-03 22:00:00"],
    # Midnight itself does not exist, or exists twice, on the days of change.
    "America/Santiago": ["2024-09-07 15:00:00", "2024-04-06 22:30:00", "2024-04-06 23:30:00+fold", "2024-08-31 23:00:00"],
    # LiteLLM falls back to UTC.
    "Not/AZone": ["2026-11-21 19:30:15.123"],
}

# Whether LiteLLM accepts the text as a budget duration at all.
DURATIONS = (
    DAYS_AND_LONGER + SHORTER + UNKNOWN_UNIT
    + ["0d", "0s", "00h", "30", "", "1y", "abc", "-1d", "2mo", "12mo", "1.5h", "1 d", " 1d", "1d ", "30D", "MONTHLY", " Daily ",
       "hourly", "yearly", "d30", "1d12h", "3000000d", "9999999h", "1mow", "1wk", "1ms"]
)

RESET_TIME_SETTINGS = [
    None, "", "00:00", "12:00", "7:05", "23:59", "23:59:59", "24:00", "12", "12:60", "12:00 PM", " 12:00", "12:00:61",
    "noon", 720, 12.5, True,
]


def instant(zone, moment):
    """The moment on the zone's wall clock, in UTC."""
    text, _, fold = moment.partition("+")
    local = datetime.fromisoformat(text).replace(fold=1 if fold else 0)
    try:
        return local.replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
    except Exception:  # the zone that is none
        return local.replace(tzinfo=timezone.utc)


def utc_text(moment):
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def case(duration, zone, reset_time, now):
    try:
        answer = utc_text(
            get_next_standardized_reset_time(
                duration=duration,
                current_time=now,
                timezone_str=zone,
                reset_time_of_day=parse_budget_reset_time(reset_time),
            )
        )
    except (ValueError, OverflowError):
        answer = None
    return {"duration": duration, "timezone": zone, "reset_time": reset_time, "now": utc_text(now), "reset_at": answer}


def reset_time_setting(raw):
    try:
        parsed = parse_budget_reset_time(raw).isoformat()
    except ValueError:
        parsed = None
    return {"raw": raw, "time": parsed}


def cases():
    """Every long duration and a rotating third of the others at every moment."""
    turn = 0
    for zone, moments in MOMENTS.items():
        for moment in moments:
            now = instant(zone, moment)
            for duration in DAYS_AND_LONGER:
                yield case(duration, zone, RESET_TIMES[turn % len(RESET_TIMES)], now)
                turn += 1
            turn += 1
            for duration in (SHORTER + UNKNOWN_UNIT)[turn % 3 :: 3]:
                yield case(duration, zone, RESET_TIMES[turn % len(RESET_TIMES)], now)
    now = instant("UTC", "2026-11-21 19:30:15.123")
    for duration in ["2mo", "12mo", "3000000d"]:
        yield case(duration, "UTC", None, now)


def lines(name, items):
    """One item on a line, so that a difference is read as one."""
    body = ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in items)
    return f' "{name}": [\n{body}\n ]'


def main():
    import importlib.metadata

    version = importlib.metadata.version("litellm")
    source = (
        f"Answers of litellm {version}: accepted = proxy.common_utils.timezone_utils.budget_duration_error is None, "
        "time = parse_budget_reset_time of the same module, reset_at = "
        "litellm_core_utils.duration_parser.get_next_standardized_reset_time (null where it raises). "
        "Made by tests/python/make_budget_reset_fixture.py."
    )
    text = "{\n" + f' "source": {json.dumps(source)},\n' + ",\n".join([
        lines("durations", ({"duration": d, "accepted": budget_duration_error(d) is None} for d in DURATIONS)),
        lines("reset_times", (reset_time_setting(raw) for raw in RESET_TIME_SETTINGS)),
        lines("cases", list(cases())),
    ]) + "\n}\n"
    json.loads(text)
    FIXTURE.write_text(text, encoding="utf-8")
    print(f"{FIXTURE.name}: {len(json.loads(text)['cases'])} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
