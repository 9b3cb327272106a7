"""Both READMEs say the same, and name every command."""

from __future__ import annotations

import re
from pathlib import Path

from zhiyin.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))


def blocks(text: str) -> list[list[str]]:
    """The lines of each code block without their comments."""
    return [[line.split("#")[0].rstrip() for line in body.splitlines()] for body in re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)]


def test_the_same_sections_blocks_rows_and_names() -> None:
    assert len(re.findall(r"^## ", ENGLISH, re.M)) == len(re.findall(r"^## ", CHINESE, re.M))
    assert blocks(ENGLISH) == blocks(CHINESE)
    rows = [re.findall(r"^\| .* \| `python bench/.*$", text, re.M) for text in (ENGLISH, CHINESE)]
    assert rows[0] == rows[1] and len(rows[0]) > 10
    names = [set(re.findall(r"`[^`\n]+`", text)) - {"`zhiyin COMMAND --help`", "`zhiyin 命令 --help`"} for text in (ENGLISH, CHINESE)]
    assert names[0] == names[1]


def test_every_command_is_named() -> None:
    commands = {c.name for c in app.registered_commands} | {g.name for g in app.registered_groups}
    assert commands <= set(re.findall(r"zhiyin ([a-z]+)", ENGLISH)) == set(re.findall(r"zhiyin ([a-z]+)", CHINESE))
