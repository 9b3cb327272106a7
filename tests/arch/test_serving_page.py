"""docs/serving.md names what there is: files, operations, commands."""

from __future__ import annotations

import re
from pathlib import Path

from zhiyin.ads.campaigns import FILE as CAMPAIGNS
from zhiyin.cli.app import app
from zhiyin.online.bundles import FILE as BUNDLES
from zhiyin.online.expectations import FILE as EXPECTATIONS
from zhiyin.serve.access import FILE as KEYS
from zhiyin.serve.keeper import RULES, SYNONYMS
from zhiyin.serve.routes import OPERATIONS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`\n]+)`", PAGE))


def test_every_file_of_a_served_folder_is_named() -> None:
    assert {CAMPAIGNS, BUNDLES, EXPECTATIONS, KEYS, RULES, *SYNONYMS, "webhooks.toml", "events/", "traces/", "tables.sqlite"} <= NAMED


def test_every_group_of_operations_is_named() -> None:
    groups = {op.path.split("/")[3] for op in OPERATIONS if op.path.startswith("/v1/{tenant}/")}
    assert groups <= NAMED


def test_the_commands_of_a_server_are_commands() -> None:
    said = set(re.findall(r"zhiyin ([a-z]+)\b", PAGE))
    assert said <= {c.name for c in app.registered_commands} | {g.name for g in app.registered_groups}


def test_links_lead_somewhere() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    assert [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if not (docs / link).exists()] == []
