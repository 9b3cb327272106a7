"""Two workers behind one port: what one is told the other knows, and neither death nor farewell loses anything."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from zhiyin.testing.wire import connected, read_answer, request

LIMIT_S = 60.0


def wait_for(what: Callable[[], Any]) -> Any:
    """The first true thing it gives; what takes a minute does not come."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


class Served:
    """A server in processes of its own."""

    def __init__(self, folder: Path, *more: str) -> None:
        code = "from zhiyin.cli.app import main; main()"
        command = [sys.executable, "-c", code, "serve", str(folder), "--port", "0", "--deadline-ms", "5000", *more]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.said = ""
        while not (found := re.search(r"at http://127\.0\.0\.1:(\d+)", self.said)):
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line
        self.port = int(found.group(1))
        self.parent = psutil.Process(self.process.pid)

    def workers(self) -> list[psutil.Process]:
        return [child for child in self.parent.children() if child.status() != psutil.STATUS_ZOMBIE]

    def worker_of(self, connection: socket.socket) -> int:
        """Which process answers a connection that has been used."""
        mine = connection.getsockname()[1]
        for worker in self.workers():
            if any(c.raddr and c.raddr.port == mine for c in worker.net_connections("tcp")):
                return worker.pid
        return 0

    def close(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        with self.process:
            return self.process.wait(LIMIT_S)


@pytest.fixture(scope="module")
def folder(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers") / "shop"
    folder.symlink_to(trained_shop)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    served = Served(folder, "--workers", "2")
    yield served
    if served.process.poll() is None:
        served.close()


def called(connection: socket.socket, path: str, body: object = None, method: str = "POST") -> Any:
    connection.sendall(request(path, b"" if body is None else json.dumps(body).encode(), method=method))
    answer = read_answer(connection)
    assert answer is not None and answer.status == 200, answer
    return answer.json() if answer.headers["content-type"] == "application/json" else answer.body


def two(served: Served, kept: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Connections to two different workers."""
    wait_for(lambda: len(served.workers()) == 2)
    first = kept.enter_context(connected(served.port, limit_s=LIMIT_S))
    called(first, "/health/live", method="GET")

    def other() -> socket.socket | None:
        called(first, "/health/live", method="GET")  # a connection that is idle for long is closed
        connection = kept.enter_context(connected(served.port, limit_s=LIMIT_S))
        called(connection, "/health/live", method="GET")
        return connection if served.worker_of(connection) != served.worker_of(first) else None

    return first, wait_for(other)


def test_what_one_worker_is_told_the_other_knows(served: Served) -> None:
    with ExitStack() as kept:
        one, other = two(served, kept)
        called(one, "/v1/shop/event", {"event_id": "a", "user": "somebody new", "item": "i3"})
        wait_for(lambda: called(other, "/v1/shop/recommend", {"user": "somebody new"})["served_by"] == "transitions")
        assert called(other, "/v1/shop/event", {"event_id": "a", "user": "somebody new", "item": "i3"}) == {"new": 0, "known": 1}
        called(other, "/v1/shop/items/fresh", {"title": "fresh"}, "PUT")
        wait_for(lambda: "fresh" in str(called(one, "/v1/shop/popular", {"n": 40})["items"]))
        called(one, "/v1/shop/users/u1/consent", {"personalize": False}, "PUT")
        wait_for(lambda: called(other, "/v1/shop/users/u1/consent", method="GET")["personalize"] is False)
        trace = called(one, "/v1/shop/recommend", {"user": "u2"})["trace"]
        assert called(other, f"/v1/shop/replay/{trace}", method="GET")["trace"] == trace


def test_somebody_erased_by_one_is_forgotten_by_all(served: Served) -> None:
    with ExitStack() as kept:
        one, other = two(served, kept)
        events = [{"event_id": f"x{i}", "user": "somebody to forget", "item": f"i{i}"} for i in range(5)]
        called(one, "/v1/shop/events", events)
        told: Callable[[], Any] = lambda: called(other, "/v1/shop/recommend", {"user": "somebody to forget"})["notes"]  # noqa: E731
        wait_for(lambda: told() == [])
        erased = called(one, "/v1/shop/users/somebody%20to%20forget/erase")
        assert (erased["events"], erased["left"]) == (5, [])
        wait_for(lambda: told() == ["user 'somebody to forget' is unknown"])


def test_figures_are_those_of_all_workers(served: Served) -> None:
    with ExitStack() as kept:
        one, other = two(served, kept)

        def n_live(connection: socket.socket) -> float:
            text = called(connection, "/metrics", method="GET").decode()
            found = re.search(r'^zhiyin_requests_total\{operation="live",status="200"\} (\S+)$', text, re.M)
            return float(found.group(1)) if found else 0.0

        before = n_live(one)
        for connection in (one, other, other):
            called(connection, "/health/live", method="GET")
        assert n_live(one) == n_live(other) == before + 3


def test_a_worker_that_is_killed_is_started_again_and_nothing_stored_is_lost(served: Served) -> None:
    with ExitStack() as kept:
        one, other = two(served, kept)
        called(one, "/v1/shop/event", {"event_id": "before", "user": "k", "item": "i3"})
        killed = served.worker_of(one)
        os.kill(killed, signal.SIGKILL)
        for i in range(20):  # the other one goes on meanwhile
            called(other, "/v1/shop/event", {"event_id": f"after{i}", "user": "k", "item": "i3"})
        wait_for(lambda: len(served.workers()) == 2 and killed not in [w.pid for w in served.workers()])
        with ExitStack() as again:
            fresh, _ = two(served, again)
            assert called(fresh, "/v1/shop/event", {"event_id": "before", "user": "k", "item": "i3"}) == {"new": 0, "known": 1}


def test_told_to_stop_all_of_them_end_and_so_they_do_without_their_parent(served: Served, folder: Path) -> None:
    workers = served.workers()
    assert served.close() == 0
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    orphaned = Served(folder, "--workers", "2")
    workers = orphaned.workers()
    assert len(workers) == 2
    orphaned.process.kill()
    orphaned.ended()
    wait_for(lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers))


def test_a_server_that_cannot_begin_says_why(tmp_path: Path, folder: Path) -> None:
    broken = tmp_path / "shop"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "arrays.safetensors").write_bytes(b"no arrays")
    code = "from zhiyin.cli.app import main; main()"
    command = [sys.executable, "-c", code, "serve", str(broken), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 2
    assert "is truncated" in done.stderr and "no worker could begin" in done.stderr
