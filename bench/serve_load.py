"""Load for a server, from a process of its own: raw HTTP/1.1 over kept connections, bounded in count and time.

    python bench/serve_load.py PORT REQUESTS --connections 32 --seconds 5 [--count N] [--rate PER_S] [--first N]

REQUESTS holds one request a line, ``METHOD PATH BODY``, taken in turn and again from the top; ``@@@@@@@@`` in a
line becomes the name of the running number of the request, from ``--first`` on, so that every event has an id of
its own, in no order, as ids made by clients have none.
Without ``--rate`` each connection sends when its answer has come (closed loop). With it, requests are due at
fixed times and wait for a free connection; the wait is part of their latency, so that a server which stalls
cannot hide it. ``--answered`` and ``--kept`` write the numbers of requests answered 2xx, and the answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

TOKEN = b"@" * 8


def name_of(number: int) -> str:
    """Eight hex digits, other ones for every number below 2^32."""
    return f"{number * 0x9E3779B1 & 0xFFFFFFFF:08x}"  # an odd factor: one to one


GRACE_S = 10.0
"""How long answers are waited for after the last request."""


@dataclass(frozen=True)
class Plan:
    """What is sent: ``requests`` are whole, but for the token."""

    port: int
    requests: list[bytes]
    connections: int
    seconds: float
    count: int | None
    rate: float | None
    first: int
    keep: bool


@dataclass
class Tally:
    """What came back. ``latencies`` in seconds, in the order of the answers."""

    latencies: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[int] = field(default_factory=Counter)
    answered: list[int] = field(default_factory=list)
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    degraded: int = 0
    empty: int = 0
    dropped: int = 0  # requests whose connection ended before the answer


class Source:
    """The next request, as long as there is one and it is time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.number = plan.first
        self.begun = time.perf_counter()

    def next(self) -> tuple[int, bytes] | None:
        plan, number = self.plan, self.number
        if plan.count is not None and number - plan.first >= plan.count:
            return None
        if plan.rate is None and time.perf_counter() - self.begun > plan.seconds:
            return None
        self.number += 1
        return number, plan.requests[number % len(plan.requests)].replace(TOKEN, name_of(number).encode())


class Connection(asyncio.Protocol):
    """One kept connection: a request, its answer, the next request."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.buffer = b""
        self.number = -1  # of the request under way
        self.since = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class, which asyncio does not know
        self.crowd.free(self)

    def send(self, number: int, request: bytes, since: float) -> None:
        self.number, self.since = number, since
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        low = self.buffer[:head].lower()
        at = low.find(b"content-length:")
        size = int(low[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < head + 4 + size:
            return
        body, self.buffer = self.buffer[head + 4 : head + 4 + size], b""
        self.crowd.came(self, int(low[9:12]), body)

    def connection_lost(self, _: Exception | None) -> None:
        self.crowd.gone(self)


class Crowd:
    """All connections of a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.tally, self.source = plan, Tally(), Source(plan)
        self.ended = asyncio.get_running_loop().create_future()
        self.idle: deque[Connection] = deque()
        self.due: deque[tuple[int, bytes, float]] = deque()
        self.n_open = plan.connections
        self.n_under_way = 0
        self.all_sent = False

    def free(self, connection: Connection) -> None:
        """A connection has nothing to do."""
        if self.plan.rate is not None:
            if self.due:
                self._send(connection, *self.due.popleft())
            else:
                self.idle.append(connection)
            return
        following = self.source.next()
        if following is not None:
            self._send(connection, *following, time.perf_counter())
        elif connection.transport is not None:
            self.all_sent = True
            connection.transport.close()

    def came(self, connection: Connection, status: int, body: bytes) -> None:
        tally = self.tally
        tally.latencies.append(time.perf_counter() - connection.since)
        tally.statuses[status] += 1
        self.n_under_way -= 1
        if 200 <= status < 300:
            tally.answered.append(connection.number)
            tally.degraded += b'"degraded":true' in body
            tally.empty += b'"items":[]' in body
        if self.plan.keep:
            tally.kept.append((connection.number, body))
        connection.number = -1
        if self.all_sent and not self.n_under_way and not self.due and self.plan.rate is not None:
            self._end()
        self.free(connection)

    def gone(self, connection: Connection) -> None:
        self.n_open -= 1
        if connection.number >= 0:
            self.tally.dropped += 1
            self.n_under_way -= 1
        if connection in self.idle:
            self.idle.remove(connection)
        if not self.n_open:
            self._end()

    async def paced(self) -> None:
        """Requests at their times, whether or not a connection is free."""
        rate, begun, sent = self.plan.rate or 1.0, time.perf_counter(), 0
        while (now := time.perf_counter() - begun) < self.plan.seconds and not self.ended.done():
            while sent <= now * rate:
                following = self.source.next()
                if following is None:
                    break
                due = (*following, begun + sent / rate)
                sent += 1
                if self.idle:
                    self._send(self.idle.popleft(), *due)
                else:
                    self.due.append(due)
            await asyncio.sleep(0.001)
        self.all_sent = True
        if not self.n_under_way and not self.due:
            self._end()

    def _send(self, connection: Connection, number: int, request: bytes, since: float) -> None:
        self.n_under_way += 1
        connection.send(number, request, since)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def load(plan: Plan) -> tuple[Tally, float, int]:
    """Run it: what came back, how many seconds it took, and how many requests nobody answered."""
    loop = asyncio.get_running_loop()
    crowd = Crowd(plan)
    begun = time.perf_counter()
    for _ in range(plan.connections):
        await loop.create_connection(lambda: Connection(crowd), "127.0.0.1", plan.port)
    pacing = loop.create_task(crowd.paced()) if plan.rate is not None else None
    try:
        await asyncio.wait_for(crowd.ended, plan.seconds + GRACE_S)
    except TimeoutError:
        print("some requests were never answered", file=sys.stderr)
    if pacing is not None:
        pacing.cancel()
    return crowd.tally, time.perf_counter() - begun, crowd.n_under_way + len(crowd.due) + crowd.tally.dropped


def wire(line: bytes) -> bytes:
    """``METHOD PATH BODY`` as HTTP."""
    method, path, *rest = line.split(b" ", 2)
    body = rest[0] if rest else b""
    head = b"%s %s HTTP/1.1\r\nhost: localhost\r\n" % (method, path)
    if body:
        head += b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    return head + b"\r\n" + body


@dataclass(frozen=True)
class Said:
    """The figures of a run."""

    n: int
    seconds: float
    rps: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    statuses: dict[str, int]
    unanswered: int
    degraded: int
    empty: int
    load_cpu_share: float  # of one core, of the process that makes the load

    @property
    def ok(self) -> int:
        return sum(n for status, n in self.statuses.items() if status.startswith("2"))

    @property
    def errors(self) -> int:
        """Everything that is no full answer."""
        return self.n - self.ok + self.unanswered + self.empty


def start(
    port: int, requests: Path, *, connections: int, seconds: float, count: int | None = None, rate: float | None = None,
    first: int = 0, answered: Path | None = None, kept: Path | None = None,
) -> subprocess.Popen[str]:  # fmt: skip
    """A load generator at work; ``finish`` waits for its figures."""
    said: list[Any] = [port, requests, "--connections", connections, "--seconds", seconds, "--first", first]
    for name, value in (("--count", count), ("--rate", rate), ("--answered", answered), ("--kept", kept)):
        said += [name, value] if value is not None else []
    return subprocess.Popen([sys.executable, __file__, *map(str, said)], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Said:
    told, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the load generator ended with {process.returncode}")
    return Said(**json.loads(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--answered", type=Path, default=None)
    parser.add_argument("--kept", type=Path, default=None)
    said = parser.parse_args()
    lines = [wire(line) for line in said.requests.read_bytes().splitlines()]
    plan = Plan(said.port, lines, said.connections, said.seconds, said.count, said.rate, said.first, said.kept is not None)
    used = time.process_time()
    tally, took, unanswered = uvloop.run(load(plan))
    used = time.process_time() - used
    ms = sorted(1e3 * latency for latency in tally.latencies) or [float("nan")]
    told = {
        "n": len(tally.latencies), "seconds": took, "rps": len(tally.latencies) / took,
        "p50_ms": ms[len(ms) // 2], "p99_ms": ms[min(len(ms) - 1, int(0.99 * len(ms)))], "max_ms": ms[-1],
        "statuses": {str(status): n for status, n in sorted(tally.statuses.items())}, "unanswered": unanswered,
        "degraded": tally.degraded, "empty": tally.empty, "load_cpu_share": used / took,
    }  # fmt: skip
    if said.answered is not None:
        said.answered.write_text("\n".join(map(str, tally.answered)), encoding="utf-8")
    if said.kept is not None:
        said.kept.write_bytes(b"\n".join(b"%d %s" % pair for pair in tally.kept))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
