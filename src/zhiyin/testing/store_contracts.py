"""What every event log promises, as checks that any implementation can be run against.

    from zhiyin.testing.store_contracts import LOG_CHECKS, LogCase
    for check in LOG_CHECKS.values():
        check(LogCase(lambda: SegmentLog(empty_folder())))

Each check wants an empty log: ``open`` opens it, and opens the same one again once it was closed. A broken promise
raises ContractError and says which. ``table_contracts`` and ``hot_contracts`` are the same for the other stores.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zhiyin.base.errors import DataError, StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.event_log import MAX_EVENT_BYTES, EventLog, each
from zhiyin.store.names import MAX_ID_BYTES
from zhiyin.testing.contracts import ContractError

__all__ = ["LOG_CHECKS", "LogCase", "by_name", "event", "events", "refused", "require"]


def event(name: str, **told: Any) -> EventRecord:
    """An event of this id, by user "u" if nobody else is named."""
    return EventRecord(**{"event_id": name, "item": "i", **({} if "session" in told else {"user": "u"}), **told})


def events(n: int, start: int = 0, people: int = 5) -> list[EventRecord]:
    """Events e0, e1, ... of users u0, u1, ... in turns."""
    return [event(f"e{i}", user=f"u{i % people}", time_us=i) for i in range(start, start + n)]


def require(kept: bool, promise: str) -> None:
    """Raises ContractError, naming the promise, unless it is kept."""
    if not kept:
        raise ContractError(f"the store breaks its contract: {promise}", "See zhiyin.testing.store_contracts.")


def refused(kind: type[Exception], call: Callable[[], object], promise: str) -> None:
    """Raises ContractError, naming the promise, unless the call raises such an error."""
    try:
        call()
    except kind:
        return
    raise ContractError(f"the store breaks its contract: {promise}", "See zhiyin.testing.store_contracts.")


def by_name(checks: Iterable[Callable[[Any], None]]) -> dict[str, Callable[[Any], None]]:
    """Checks by the names of their functions."""
    return {check.__name__: check for check in checks}


@dataclass(frozen=True)
class LogCase:
    """How to open one event log. ``keeps`` unless it forgets all when it is closed."""

    open: Callable[[], EventLog]
    keeps: bool = True

    def again(self, log: EventLog) -> EventLog:
        """The log after it was closed and opened, if it keeps anything."""
        if not self.keeps:
            return log
        log.close()
        return self.open()


def comes_back_whole(case: LogCase) -> None:
    """Every field of an event is read as it was written, in the order of writing, at ascending positions."""
    log = case.open()
    full = event(
        "知音-1", item="商品 🎧", kind="buy", user="u", session="s", time_us=-5, received_us=2**53, value=-0.1, place="p", placement="home",
        trace="t", context={"device": "phone", "n": [1, 2.5, None, True], "deep": {"a": "é"}},
    )  # fmt: skip
    asked = [full, event("2"), event("3", session="s")]
    require(log.append(asked[:2]) == [True, True] and log.append(asked[2:]) == [True], "a new event is answered with True")
    for reopened in (False, True):
        log = case.again(log) if reopened else log
        got = list(log.read())
        require([record for _, record in got] == asked, "events come back as they were, in their order, also after opening again")
        require(all(a < b for (a, _), (b, _) in pairwise(got)) and got[0][0] > 0, "positions ascend from above 0")
    require(log.status().end == got[-1][0] and not log.status().failing, "status tells the last position")
    log.close()


def counts_once(case: LogCase) -> None:
    """An event id counts once, within a call, over calls, over threads, over restarts; the first one stays."""
    log = case.open()
    require(log.append([event("a"), event("b"), event("a", item="other")]) == [True, True, False], "an id counts once in a call")
    require(log.append([event("b", item="other"), event("c")]) == [False, True], "an id counts once over calls")
    log = case.again(log)
    require(log.append([event(name) for name in "abcd"]) == [False, False, False, True], "an id counts once over restarts")
    answers: list[list[bool]] = []

    def send() -> None:
        answers.extend([log.append(events(3, start)) for start in range(0, 60, 3)])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(sum(sum(answer) for answer in answers) == 60, "of many senders of one event exactly one is told True")
    got = [record for _, record in log.read()]
    require(len({record.event_id for record in got}) == len(got) == 64, "what is read holds every id once")
    require(all(record.item == "i" for record in got), "the first event of an id stays")
    log.close()


def waits_together(case: LogCase) -> None:
    """Many wait at once: all are answered, each with its own, and a sender's events keep their order."""
    log = case.open()
    futures = [(k, log.submit([event(f"{k}-0"), event(f"{k}-1"), event(f"{k % 20}-0")])) for k in range(100)]
    for k, future in futures:
        require(future.result() == [True, True, False], f"every waiting call gets its own answer (call {k})")
    got = [record.event_id for _, record in log.read()]
    require(len(got) == 200, "everything that was answered can be read")
    require(all(got.index(f"{k}-0") < got.index(f"{k}-1") for k in range(100)), "events of one call keep their order")
    require(log.append([]) == [], "nothing in, nothing out")
    log.close()


def tailed(case: LogCase) -> None:
    """Reading beyond a position gives exactly what came after it, however the reader stops and goes on."""
    log = case.open()
    rng = random.Random(0)
    seen: list[tuple[int, EventRecord]] = []
    for start in range(0, 200, 10):
        log.append(events(10, start))
        if rng.random() < 0.6:
            seen += list(log.read(after=seen[-1][0] if seen else 0))
    seen += list(log.read(after=seen[-1][0]))
    require(
        [record for _, record in seen] == events(200), "a reader that goes on from its last position misses nothing and repeats nothing"
    )
    require(list(log.read()) == seen, "and sees what one reading sees")
    for position, _ in rng.sample(seen, 20):
        require(list(log.read(after=position)) == [pair for pair in seen if pair[0] > position], "reading starts right after any position")
        batches = list(log.batches(after=position))
        require(all(len(positions) == len(records) > 0 for positions, records in batches), "a batch is never empty")
        require([*each(batches)] == [pair for pair in seen if pair[0] > position], "batches hold what is read one by one")
    require(list(log.read(after=seen[-1][0])) == [] == list(log.read(after=2**62)), "beyond the end there is nothing")
    log.close()


def erased(case: LogCase) -> None:
    """A person's events are gone for good, all others stay where they were."""
    log = case.open()
    log.append(events(100))
    log.append(
        [event("s1", session="s", user="u1"), event("s2", session="s"), event("s3", session="z"), event("s4", session="s", user="u3")]
    )
    before = list(log.read())
    left = [(p, r) for p, r in before if r.user not in {"u1", "u2"} and (r.session != "s" or r.user)]
    require(log.erase(users=["u1", "u2", "nobody"], sessions=["s"]) == len(before) - len(left), "erase tells how many events it removed")
    for reopened in (False, True):
        log = case.again(log) if reopened else log
        require(list(log.read()) == left, "erased events cannot be read; the others stay, at their positions")
        require(list(log.read(after=left[40][0])) == left[41:], "reading goes on from any position that is left")
    require(log.erase(users=["u1"]) == 0 == log.erase(), "erasing again removes nothing")
    require(log.append([event("e1", user="u1"), event("e0"), event("s3")]) == [True, False, False], "an erased id is new, others are known")
    require(list(log.read())[-1][0] > before[-1][0], "a position is never given twice")
    log.close()


def positions_last(case: LogCase) -> None:
    """Positions go on after the newest events were erased, also after opening again."""
    log = case.open()
    log.append(events(5, people=1))
    last = list(log.read())[-1][0]
    require(log.erase(users=["u0"]) == 5 and list(log.read()) == [], "everything can be erased")
    log = case.again(log)
    require(log.append([event("new")]) == [True], "an emptied log goes on")
    (found,) = log.read(after=last)
    require(found[1] == event("new"), "a reader that stands at the end does not miss what comes after an erasing")
    log.close()


def refuses(case: LogCase) -> None:
    """What no store can keep is refused by itself, whoever else waits."""
    log = case.open()
    wrong = [event(""), event("\0"), event("x" * (MAX_ID_BYTES + 1)), event("\ud800"), event("a", user="u\0"), event("b", session="")]
    wrong += [event("c", context={"x": object()}), event("d", item="i" * MAX_EVENT_BYTES), event("e", context={"x": 2**70})]
    for record in wrong:
        refused(DataError, lambda record=record: log.submit([event("fine"), record]), f"{record.event_id[:9]!r} is refused at once")  # type: ignore[misc]
    require(log.append([event("知" * (MAX_ID_BYTES // 3)), event("fine")]) == [True, True], "nothing of a refused call was kept")
    log.close()
    log.close()
    refused(StoreError, lambda: log.append([event("late")]), "a closed log takes nothing")
    refused(StoreError, lambda: list(log.read()), "a closed log is not read")


def like_a_list(case: LogCase) -> None:
    """Random calls and restarts give what a list with a set of ids gives."""
    log, rng = case.open(), random.Random(1)
    kept: list[EventRecord] = []
    for _ in range(60):
        if rng.random() < 0.1:
            log = case.again(log)
        if rng.random() < 0.05:
            gone = f"u{rng.randint(0, 4)}"
            log.erase(users=[gone])
            kept = [record for record in kept if record.user != gone]
        sent = [
            event(f"e{rng.randint(0, 600)}", user=f"u{rng.randint(0, 4)}", place="x" * rng.randint(0, 99))
            for _ in range(rng.randint(1, 40))
        ]
        ids = {record.event_id for record in kept}
        new = [record.event_id not in ids and not ids.add(record.event_id) for record in sent]  # type: ignore[func-returns-value]
        require(log.append(sent) == new, "random appends are answered as a list would")
        kept += [record for record, fresh in zip(sent, new, strict=True) if fresh]
    require([record for _, record in log.read()] == kept, "after random calls the log holds what a list would hold")
    log.close()


LOG_CHECKS = by_name((comes_back_whole, counts_once, waits_together, tailed, erased, positions_last, refuses, like_a_list))
"""Every promise of an EventLog by name; each is run on a LogCase of an empty log."""
