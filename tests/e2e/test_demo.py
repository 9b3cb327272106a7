"""The demo as a newcomer sees it: the page, then a server that answers the lines it printed, until ctrl-C."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], subprocess.Popen[str], Path]]:
    """What a demo said until it serves; its port was taken by somebody else."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-c", "from zhiyin.cli.app import main; main()", "demo", "--quick", "--users", "60", "--out", str(out)]
        process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines = []
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if "/search" in line:
                break
        yield lines, process, out
        process.kill()
        process.wait()


def test_the_page_has_people_new_items_and_plots(said: tuple[list[str], subprocess.Popen[str], Path]) -> None:
    lines, _, out = said
    page = (out / "demo.html").read_text()
    people = json.loads(page.split('id="people"')[1].split(">", 1)[1].split("</script>")[0])
    assert set(people["models"]) == {"popular", "ease", "content", "sequence"}
    assert all(len(person["lists"][m]) == 10 for person in people["people"] for m in people["models"])
    assert "New in town" in page and page.count("<svg") >= 3
    assert not [word for word in ("http://", "https://") if word in page.replace("http://www.w3.org", "")]
    assert f"page: {(out / 'demo.html').resolve()}" in lines


def test_the_printed_lines_work_and_ctrl_c_ends_it_cleanly(said: tuple[list[str], subprocess.Popen[str], Path]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine (apt-get install curl)")
    lines, process, _ = said
    asked = [line.strip() for line in lines if line.startswith("  curl ")]
    assert len(asked) == 3
    recommended, taken, found = (
        json.loads(subprocess.run([*shlex.split(line), "--silent", "--fail"], capture_output=True, check=True).stdout) for line in asked
    )
    assert len(recommended["items"]) == 3 and not recommended["degraded"]
    assert taken == {"new": 1, "known": 0}
    assert len(found["items"]) == 3
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest.strip().startswith("stopped; zhiyin serve ")
