"""What a server loses when it is killed, and when the power goes: counted over many random moments.

    python bench/crash.py [--json PATH] [--points 40] [--seed 0] [--folder FOLDER]

``kill -9``: clients send single events and batches to ``zhiyin serve`` over eight connections until it is killed at a
random moment; it starts again on the same folder, and the clients send again what was not answered, and some that
was. ``lost`` are answered events that the log does not hold, ``double`` those it (or the memory of the server)
holds twice; ``restart_s`` is from the start of the process to its first recommendation.

``power cut``: the same application over ``zhiyin.testing.disks``, a disk which forgets what was not flushed (in whole,
in part, out of order) and loses power at a random operation.

``flush before the answer`` looks with strace at a real server and a real disk: of n events sent one after the other,
how many were answered before ``fdatasync`` of the log had returned.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import httpx

from rows import Row, show, write
from serve_load import finish, name_of, start
from serve_process import Process, zhiyin
from serve_world import small
from zhiyin.serve.app import Server
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.store.segment_log import SegmentLog
from zhiyin.testing.disks import MemoryDisk

CONNECTIONS, AGAIN, TOGETHER = 8, 40, 20
EVENT = '{"event_id":"%s","user":"u%d","item":"i%d"}'


@dataclass
class Count:
    """What happened over all points."""

    points: int = 0
    answered: int = 0
    lost: int = 0
    double: int = 0
    restart_s: list[float] = field(default_factory=list)

    def rows(self, case: str) -> list[Row]:
        told = {"points": self.points, "answered": self.answered, "lost": self.lost, "double": self.double}
        rows = [Row("crash", case, metric, value, value, value, self.points) for metric, value in told.items()]
        s = self.restart_s
        return [*rows, Row("crash", case, "restart_s", statistics.median(s), min(s), max(s), len(s), "s, range")]


# kill -9


def requests(folder: Path) -> Path:
    """Every third request is a batch; the place in the batch ends the id."""
    lines = []
    for i in range(999):
        if i % 3:
            lines.append("POST /v1/shop/event " + EVENT % ("@@@@@@@@", i % 2_000, i % 1_000))
        else:
            batch = ",".join(EVENT % (f"@@@@@@@@-{k}", (i + k) % 2_000, (i * k) % 1_000) for k in range(TOGETHER))
            lines.append(f"POST /v1/shop/events [{batch}]")
    path = folder / "requests"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def ids_of(number: int) -> list[str]:
    """The events of a request."""
    return [name_of(number)] if number % 999 % 3 else [f"{name_of(number)}-{k}" for k in range(TOGETHER)]


def killed(folder: Path, points: int, rng: random.Random) -> Count:
    """Serve, kill, serve again on the same folder."""
    shop, sent = small(folder), requests(folder)
    count, answered = Count(), folder / "answered"
    promised, new, next_number, position = set[int](), set[int](), 0, 0
    held = Counter[str]()
    for point in range(points + 1):
        server = zhiyin(shop)
        count.restart_s.append(server.s_to_first_answer)
        log = SegmentLog(shop.with_name("shop.live") / "events", access="read")
        for at, event in log.read(position):
            held[event.event_id] += 1
            position = at
        log.close()
        count.lost += sum(event not in held for number in new for event in ids_of(number))
        _check_memory(server, count, len(held))
        if point == points:
            server.stop()
            break
        load = start(server.port, sent, connections=CONNECTIONS, seconds=30, first=max(0, next_number - AGAIN), answered=answered)
        time.sleep(rng.uniform(0.2, 1.0))  # the load needs .2 s to start
        server.kill()
        finish(load)
        count.points += 1
        new = {int(number) for number in answered.read_text(encoding="utf-8").split()}
        promised |= new
        next_number = max([next_number, *(number + 1 for number in new)]) + CONNECTIONS
    count.answered = sum(len(ids_of(number)) for number in promised)
    count.lost = max(count.lost, sum(event not in held for number in promised for event in ids_of(number)))
    count.double += sum(n - 1 for n in held.values())
    return count


def _check_memory(server: Process, count: Count, n_held: int) -> None:
    """Memory that holds more events than the log counted some twice, one that holds fewer lost some."""
    _, body = server.ask("GET", "/v1/shop/health/ready")
    found = re.search(rb'"events":(\d+)', body)
    n_known = int(found[1]) if found else -1
    count.double += max(0, n_known - n_held)
    count.lost += max(0, n_held - n_known)


# Power cut


@contextmanager
def served_from(folder: Path, disk: MemoryDisk) -> Iterator[tuple[Server, httpx.AsyncClient]]:
    """The whole application, its event log on a disk of ours."""
    with mock.patch("zhiyin.store.segment_log.Disk", lambda: disk):
        server, app = open_server([folder], Settings(deadline_ms=2_000))
    try:
        yield server, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop")
    finally:
        server.close()


async def send(client: httpx.AsyncClient, names: Iterator[int], promised: list[str], n: int) -> None:
    """One client: events and batches until one is refused, n at most."""
    for _ in range(n):
        number = next(names)
        ids = ids_of(number)
        events = [{"event_id": i, "user": f"u{number % 50}", "item": f"i{k % 20}"} for k, i in enumerate(ids)]
        one = number % 999 % 3
        answer = await client.post("/v1/shop/event" if one else "/v1/shop/events", json=events[0] if one else events)
        if answer.status_code != 200:
            return
        promised += ids


def power_cut(folder: Path, points: int, rng: random.Random) -> Count:
    """The power goes at a random operation of the disk; what is left is opened, and must hold what was answered."""
    shop = small(folder, users=50, items=20, events=400)
    count = Count()
    for _ in range(points):
        disk, promised = MemoryDisk(), list[str]()
        for _ in range(rng.choice((1, 1, 2, 3))):  # power may go again after it came back
            with served_from(shop, disk) as (_, client):
                disk.power = len(disk.operations) + rng.randint(1, 120)
                asyncio.run(_clients(client, promised))
            disk = disk.after_power_cut(rng)
        begun = time.perf_counter()
        with served_from(shop, disk) as (server, _):
            count.restart_s.append(time.perf_counter() - begun)
            tenant = server.tenants["shop"].tenant
            held = Counter(event.event_id for _, event in tenant.log.read())
            count.double += sum(held.values()) - len(held) + max(0, tenant.n_events - len(held))
            count.lost += sum(event not in held for event in set(promised)) + max(0, len(held) - tenant.n_events)
        count.answered += len(set(promised))
        count.points += 1
    return count


async def _clients(client: httpx.AsyncClient, promised: list[str]) -> None:
    names = iter(range(1_000_000))
    await asyncio.gather(*(send(client, names, promised, 60) for _ in range(CONNECTIONS)))
    await client.aclose()


# Flush before the answer


def answered_early(folder: Path, n: int = 50) -> list[Row]:
    """strace of a server that takes n events one after the other."""
    if shutil.which("strace") is None:
        return []
    shop, said = small(folder), folder / "strace"
    with zhiyin(shop) as server:
        calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg,read,recvfrom,recvmsg"
        watch = subprocess.Popen(["strace", "-f", "-y", "-qq", "-e", calls, "-o", str(said), "-p", str(server.pid)])
        time.sleep(1.0)
        for i in range(n):
            server.ask("POST", "/v1/shop/event", EVENT % (f"traced-{i}", i, i))
        watch.send_signal(signal.SIGINT)
        watch.wait()
    n_answers, early = early_answers(said.read_text(errors="replace").splitlines())
    told = {"answers": n_answers, "answers_before_flush": early}
    return [Row("crash", "flush before the answer", metric, value, value, value, n_answers) for metric, value in told.items()]


def early_answers(lines: Sequence[str]) -> tuple[int, int]:
    """Answers in a trace, and those that no finished flush of the log stands before since the request was read."""
    answers = early = 0
    flushed = False
    flushing = set[str]()  # threads within a flush of the log
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if "POST /v1/shop/event" in call:
            flushed = False
        elif call.startswith(("fdatasync(", "fsync(")) and "/events/" in call:
            flushing.add(thread)
            flushed |= call.endswith("= 0")
        elif call.startswith(("<... fdatasync resumed", "<... fsync resumed")) and thread in flushing:
            flushed |= call.endswith("= 0")
        elif "HTTP/1.1 200" in call:
            answers += 1
            early += not flushed
    return answers, early


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to use")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the application complains of the power, as it should
    rows = []
    for case, run in (("kill -9", killed), ("power cut", power_cut)):
        with tempfile.TemporaryDirectory(prefix="zhiyin-crash-", dir=given.folder) as folder:
            rows += run(Path(folder), given.points, random.Random(given.seed)).rows(case)
    with tempfile.TemporaryDirectory(prefix="zhiyin-crash-", dir=given.folder) as folder:
        rows += answered_early(Path(folder))
    show(rows, "crash")
    write(rows, given.json)


if __name__ == "__main__":
    main()
