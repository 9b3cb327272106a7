"""What a server answers while something beneath it is broken, and what it claims that is not so.

    python bench/faults.py [--json PATH] [--only "disk full" ...] [--seconds 2] [--folder FOLDER]

For each fault, recommendations (or pages, searches, ...: 100 a second) and single events (50 a second) go on while it
lasts. Means: a small tmpfs that is filled, a file-size limit (RLIMIT_FSIZE), a preloaded library that makes writes fail and clocks jump
(``fault_shim.c``), a bit flipped or a file cut in the folder of a stopped server, a lock held by another process, and
a model or index that hangs, spins or raises (``faults_model.py``), and a Redis that ends.

* ``lost``: events answered 2xx that are not in the log afterwards, or not as they were sent.
* ``silent``: false claims: ready although events are refused, an answer without the model that is not marked degraded,
  damage that nobody noted, an event taken that does not act.
* ``answered_share``: of the asks, those answered 200 with items (completions: answered 200). ``p99_ms`` is theirs.
* ``recovered``: 1 when events are taken again once the fault has gone, without a restart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults_answers import ANSWERS
from faults_kinds import FAULTS, Bed, Fault
from rows import Row, show, write
from serve_load import Said, finish, name_of, start
from serve_process import Process
from zhiyin.base.errors import ZhiyinError

EVERY = (*FAULTS, *ANSWERS)
EVENT = 'POST /v1/shop/event {"event_id":"@@@@@@@@","user":"u%d","item":"i%d"}'


@dataclass
class Outcome:
    """The figures of one fault, and remarks for whoever mends it."""

    lost: int = 0
    silent: int = 0
    answered_share: float = 0.0
    p99_ms: float | None = None
    recovered: float | None = None
    events_taken_share: float = 0.0
    remarks: list[str] = field(default_factory=list)

    def wrong(self, n: int, what: str) -> None:
        """A claim that is not so."""
        self.silent += n
        if n:
            self.remarks.append(what)

    def rows(self, case: str, n: int) -> list[Row]:
        told = {"lost": self.lost, "silent": self.silent, "answered_share": self.answered_share, "p99_ms": self.p99_ms}
        told |= {"events_taken_share": self.events_taken_share, "recovered": self.recovered}
        return [Row("faults", case, metric, float(v), float(v), float(v), n) for metric, v in told.items() if v is not None]


class Load:
    """Events with ids of their own, and asks, for as long as a fault lasts."""

    def __init__(self, folder: Path, seconds: float, ask: str) -> None:
        self.seconds = seconds
        self.events, self.asks, self.answered = folder / "events.load", folder / "asks.load", folder / "answered"
        self.events.write_text("\n".join(EVENT % (i % 2_000, i % 1_000) for i in range(1_000)), encoding="utf-8")
        self.asks.write_text("\n".join(ask % (i % 1_000) for i in range(1_000)), encoding="utf-8")
        self.sent = 0
        self.promised: set[str] = set()

    def run(self, port: int, between: Callable[[], None] = lambda: None) -> tuple[Said, Said]:
        """Asks and events side by side: what came back. ``between`` is called while they run."""
        asking = start(port, self.asks, connections=8, seconds=self.seconds, rate=100)
        taking = start(port, self.events, connections=8, seconds=self.seconds, rate=50, first=self.sent, answered=self.answered)
        between()
        asked, taken = finish(asking), finish(taking)
        self.sent += taken.n + taken.unanswered + 1
        self.promised |= {name_of(int(number)) for number in self.answered.read_text(encoding="utf-8").split()}
        return asked, taken


def suffer(fault: Fault, bed: Bed, seconds: float) -> Outcome:
    """Serve, break, look, mend, look again, stop, count."""
    out, load = Outcome(), Load(bed.folder, seconds, fault.ask)
    if fault.damage is not None:
        with bed.serve() as server:
            load.run(server.port)
            server.kill()
        before = bed.events()
        fault.damage(bed)
    try:
        with bed.serve() as server:
            if fault.damage is None:
                load.run(server.port)
                during(fault, bed, server, load, out)
                after(fault, bed, server, load, out)
            else:
                damaged(fault, bed, server, load, out, before)
    except SystemExit as error:
        out.remarks.append(f"the server does not start: {str(error)[-300:]}")
    except OSError as error:
        out.remarks.append(f"the server does not answer: {error}")
    fault.end(bed)
    try:
        held = bed.events()
    except ZhiyinError as error:
        out.remarks.append(str(error))
        held = {}
    out.lost += len(load.promised - held.keys())
    return out


def during(fault: Fault, bed: Bed, server: Process, load: Load, out: Outcome) -> None:
    states: list[bool] = []
    fault.begin(bed, server)

    def look() -> None:
        """What the server says of itself while events fail, after a first one has had time to."""
        time.sleep(load.seconds * 0.8)
        try:
            states.append(server.ask("GET", "/v1/shop/health/ready")[0] == 200)
        except OSError:
            out.remarks.append("the server does not say how it is within 10 seconds")

    asked, taken = load.run(server.port, look)
    _answered(out, asked)
    out.events_taken_share = taken.ok / max(taken.n + taken.unanswered, 1)
    if out.events_taken_share < 0.5:
        out.wrong(sum(states), "it says it is ready while events are refused")
    if fault.model:
        out.wrong(asked.ok - asked.degraded, "answers without the model are not marked degraded")
    for said in fault.check(bed, server):
        out.wrong(1, said)
    if taken.unanswered:
        out.remarks.append(f"{taken.unanswered} events got no answer at all")


def after(fault: Fault, bed: Bed, server: Process, load: Load, out: Outcome) -> None:
    fault.end(bed)
    asked, taken = load.run(server.port)
    out.recovered = float(taken.ok > 0.8 * taken.n and asked.ok - asked.degraded > 0.5 * asked.n)
    if not out.recovered:
        out.remarks.append(f"afterwards: {taken.statuses} for events, {asked.degraded} of {asked.n} answers degraded")


def damaged(fault: Fault, bed: Bed, server: Process, load: Load, out: Outcome, before: dict[str, str]) -> None:
    """A server started on what was damaged."""
    held = bed.events()
    changed = sum(event in held and held[event] != said for event, said in before.items())
    missing = len(before.keys() - held.keys())
    status, body = server.ask("GET", "/v1/shop/health/ready")
    noted = bool(json.loads(body).get("notes"))
    out.wrong(changed, f"{changed} events read as something else")
    out.wrong(missing if not noted else 0, f"{missing} events are gone and nobody says so")
    asked, taken = load.run(server.port)
    _answered(out, asked)
    out.events_taken_share = taken.ok / max(taken.n + taken.unanswered, 1)
    if fault.model:
        out.wrong(asked.ok - asked.degraded, "answers without the model are not marked degraded")
    if out.events_taken_share < 0.5:
        out.wrong(int(status == 200), "it says it is ready while events are refused")


def _answered(out: Outcome, asked: Said) -> None:
    out.answered_share = (asked.ok - asked.empty) / max(asked.n + asked.unanswered, 1)
    out.p99_ms = asked.p99_ms if asked.n else None
    wrong = {status: n for status, n in asked.statuses.items() if not status.startswith("2")}
    if wrong or asked.unanswered:
        out.remarks.append(f"recommendations got {wrong}, {asked.unanswered} no answer")


@contextmanager
def bed_of(fault: Fault, folder: Path | None) -> Iterator[Bed]:
    with tempfile.TemporaryDirectory(prefix="zhiyin-faults-", dir=folder) as made, fault.bed(Path(made)) as bed:
        yield bed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--only", nargs="*", choices=sorted({fault.name for fault in EVERY}), default=None)
    parser.add_argument("--seconds", type=float, default=2.0, help="that a fault lasts")
    parser.add_argument("--folder", type=Path, default=None, help="where the folders of the servers are made")
    given = parser.parse_args()
    rows: list[Row] = []
    remarks: list[str] = []
    for fault in EVERY:
        if given.only is not None and fault.name not in given.only:
            continue
        with bed_of(fault, given.folder) as bed:
            found = suffer(fault, bed, given.seconds)
        case = f"{fault.name} ({fault.means})"
        print(f"{case}: {found.answered_share:.3f} answered", file=sys.stderr)
        rows += found.rows(case, round(100 * given.seconds))
        remarks += [f"{case}: {remark}" for remark in found.remarks]
    show(rows, "faults")
    print("\n".join(remarks))
    write(rows, given.json)


if __name__ == "__main__":
    main()
