"""The tutorials are run as they are printed: each page in an empty folder, its blocks in order, on a port that is free."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zhiyin.testing.servers import free_port

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
    if "curl " in script and shutil.which("curl") is None:
        pytest.skip("no curl on this machine (apt-get install curl)")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    script = script.replace("8765", str(free_port()))
    # A busy machine shall answer with the model all the same.
    environment = {**os.environ, "PATH": path, "ZHIYIN_DEADLINE_MS": "5000"}
    with (tmp_path / "said").open("w+") as said:
        running = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            code = running.wait(timeout=300)
        finally:
            with contextlib.suppress(ProcessLookupError):  # a server that the page did not get to stop
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert code == 0, (tmp_path / "said").read_text()[-4000:]


def test_the_two_readmes_say_the_same_commands() -> None:
    """Code blocks, up to comments, are equal in both languages; so are the rows of results."""

    def told(name: str) -> tuple[list[str], list[str]]:
        text = (ROOT / name).read_text(encoding="utf-8")
        code = re.findall(r"^```.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        results = text.split("RESULTS END")[0].split("|---|")[-1].splitlines()[1:]
        return [re.sub(r"\s*#.*", "", line) for block in code for line in block.splitlines()], results

    assert told("README.md") == told("README.zh-CN.md")
