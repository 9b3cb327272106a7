"""Pages that list things list all of them."""

from __future__ import annotations

import re
from pathlib import Path

from zhiyin.serve.errors import STATUS
from zhiyin.serve.operation import Scope
from zhiyin.serve.settings import VARIABLE, Settings

ROOT = Path(__file__).resolve().parents[2]
ERRORS, ACCESS = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("errors.md", "access-and-limits.md"))


def test_every_code_of_an_error_has_its_entry_and_no_other() -> None:
    codes = {code for path in (ROOT / "src").rglob("*.py") for code in re.findall(r'^    code = "(E\d+)"', path.read_text("utf-8"), re.M)}
    entries = re.findall(r"^## (E\d+)$", ERRORS, re.M)
    assert entries == sorted(codes)
    told = dict(zip(entries, re.split(r"^## E\d+$", ERRORS, flags=re.M)[1:], strict=True))
    for code, text in told.items():
        assert "**Do**" in text and re.search(r"\*\([^)]+\)\*\s*$", text), code
    for kind, status in STATUS:
        assert str(status) in told[kind.code].rpartition("*(")[2], kind


def test_every_setting_of_the_server_is_explained_with_its_default() -> None:
    said = dict(re.findall(r"^\| (`ZHIYIN_[^|]+) \| ([^|]+) \|", ACCESS, re.M))
    defaults = {name: default for names, row in said.items() for name, default in zip(names.split(", "), row.split(", "), strict=False)}
    named = {name.strip("`") for names in said for name in names.split(", ")}
    assert named == {VARIABLE + name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        told = defaults.get(f"`{VARIABLE}{name.upper()}`", "none")
        default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        assert told == ("none" if field.default in (None, "", ()) else f"`{default}`"), name


def test_every_scope_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \| ", ACCESS, re.M)) == {scope.name.lower() for scope in Scope if scope is not Scope.PUBLIC}
