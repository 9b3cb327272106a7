"""``zhiyin serve`` on a model that was damaged, and beside a server that writes the same log: it says so, answers, and heals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zhiyin.client import CallError, Client
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.online.standby import STANDBY
from zhiyin.online.tenant import live_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.testing.small import small_world

LIMIT_S = 60.0


@contextmanager
def served(folder: Path) -> Iterator[tuple[Client, str]]:
    """A client of a server of its own, and what that said until it took its address; it is killed at the end."""
    command = [
        sys.executable,
        "-c",
        "from zhiyin.cli.app import main; main()",
        "serve",
        str(folder),
        "--port",
        "0",
        "--deadline-ms",
        "5000",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"at (http://127\.0\.0\.1:\d+)", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        with Client(found.group(1), tenant="shop", retries=0) as client:
            yield client, said
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def healed(client: Client) -> bool:
    until = time.monotonic() + LIMIT_S
    while client.recommend(user="u1").degraded:
        assert time.monotonic() < until
        time.sleep(0.05)
    return True


def test_a_second_server_reads_until_the_first_has_ended_and_a_damaged_model_is_stood_in_for(tmp_path: Path) -> None:
    data, run = small_world("time"), Run(report=silent)
    popular = spec_of("popular").fit(data, run)
    folder = Recommender(spec_of("transitions").fit(data, run), popular, data).save(tmp_path / "shop")
    arrays = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    content = arrays.read_bytes()
    with served(folder) as (first, said):
        assert "tenant" not in said
        assert first.event("i3", user="fresh", event_id="e1").new == 1
        until = time.monotonic() + LIMIT_S
        while not (live_folder(folder) / f"{STANDBY}.json").is_file():
            assert time.monotonic() < until
            time.sleep(0.05)
    os.truncate(arrays, len(content) // 2)
    with served(folder) as (first, said):
        assert re.search(r"tenant shop: .* is truncated.*: a standby of popular items is served instead\. Put the model back", said)
        assert first.recommend(user="u1").items
        assert first.event("i5", user="fresh", event_id="e2").new == 1
        with served(folder) as (second, told):
            assert "events are refused: a server writes" in told
            assert second.recommend(user="u1").degraded
            with pytest.raises(CallError, match="nothing is stored: a server writes") as refused:
                second.event("i7", user="fresh", event_id="e3")
            assert refused.value.status == 503
        arrays.write_bytes(content)
        assert healed(first)
        answer = first.recommend(user="fresh", n=30)
        assert not {"i3", "i5"} & {one.item for one in answer.items}
