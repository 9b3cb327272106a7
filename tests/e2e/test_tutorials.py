"""The tutorials are run as they are printed: each page in an empty folder, its blocks in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def script_of(page: Path) -> str:
    """One shell script: Python blocks of a page share their names until a bash block comes in between."""
    parts: list[tuple[str, str]] = []
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if parts and parts[-1][0] == language:
            parts[-1] = (language, parts[-1][1] + "\n" + code)
        else:
            parts.append((language, code))
    lines = ["set -eu"]
    for language, code in parts:
        lines.append(f"python - <<'END_OF_BLOCK'\n{code}END_OF_BLOCK" if language == "python" else code)
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])
def test_a_tutorial_runs_as_printed(page: Path, tmp_path: Path) -> None:
    script = script_of(page)
    assert script.count("\n") > 10, "a tutorial without blocks"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_two_readmes_say_the_same_commands() -> None:
    """Code blocks, up to comments, are equal in both languages; so are the rows of results."""

    def told(name: str) -> tuple[list[str], list[str]]:
        text = (ROOT / name).read_text(encoding="utf-8")
        code = re.findall(r"^```.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        results = text.split("RESULTS END")[0].split("|---|")[-1].splitlines()[1:]
        return [re.sub(r"\s*#.*", "", line) for block in code for line in block.splitlines()], results

    assert told("README.md") == told("README.zh-CN.md")
