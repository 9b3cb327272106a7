"""Habits a reader may rely on, checked over every tracked file."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tracked(suffixes: tuple[str, ...]) -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    if not listed:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed if name.endswith(suffixes) and (ROOT / name).is_file()]


def library() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def test_no_path_of_a_machine() -> None:
    home, here = str(Path.home()) + "/", str(ROOT.parent) + "/"
    texts = (
        (p, p.read_text(encoding="utf-8", errors="ignore")) for p in tracked((".py", ".md", ".toml", ".html", ".svg", "Makefile", "run"))
    )
    assert [str(p) for p, text in texts if here in text or home in text] == []


def test_the_library_has_no_assert_pickle_or_eval() -> None:
    found = []
    for path, tree in library():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                found.append(f"{path}:{node.lineno} assert")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}:
                found.append(f"{path}:{node.lineno} {node.func.id}")
            if isinstance(node, ast.Import | ast.ImportFrom) and "pickle" in ast.unparse(node):
                found.append(f"{path}:{node.lineno} pickle")
    assert found == []


def test_only_base_reads_the_clock_of_the_wall() -> None:
    """``perf_counter`` and ``process_time`` measure; ``time.time`` and ``datetime.now`` would leak into models."""
    calls = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now", "datetime.utcnow", "date.today"}
    found = [
        f"{path}:{node.lineno}"
        for path, tree in library()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls and path.name != "clock.py"
    ]
    assert found == []


def test_no_room_without_a_name() -> None:
    names = {p.name for p in (ROOT / "src").rglob("*.py")}
    assert not names & {"utils.py", "util.py", "helpers.py", "common.py", "misc.py", "manager.py"}
