"""Group commit and its async face: who waits together is written together, who fails fails alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from zhiyin.base.errors import DataError, StoreBusyError, StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.async_append import AsyncAppender
from zhiyin.store.event_log import Packed, packed
from zhiyin.store.group_commit import GroupCommit
from zhiyin.store.memory_log import MemoryLog
from zhiyin.store.segment_log import SegmentLog
from zhiyin.testing.disks import MemoryDisk
from zhiyin.testing.store_contracts import event, events


class Slow:
    """A commit that waits until it may go on."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.groups: list[list[str]] = []
        self.error: Exception | None = None

    def commit(self, group: Packed) -> list[bool]:
        self.begun.release()
        self.go.acquire()
        self.groups.append(group.ids)
        if self.error:
            raise self.error
        return [True] * len(group)


def test_all_that_wait_share_one_commit() -> None:
    slow = Slow()
    group = GroupCommit(slow.commit, name="log")
    first = group.submit(packed(events(1)))
    slow.begun.acquire()
    rest = [group.submit(packed(events(2, i))) for i in range(10, 16, 2)]
    assert not first.cancel(), "what is in the queue will be written"
    slow.go.release(2)
    assert first.result() == [True] and [future.result() for future in rest] == [[True, True]] * 3
    assert slow.groups == [["e0"], ["e10", "e11", "e12", "e13", "e14", "e15"]]
    group.close()


def test_what_waits_is_bounded() -> None:
    slow = Slow()
    one = packed(events(1, 1)).size
    group = GroupCommit(slow.commit, name="event log 'x'", max_waiting_bytes=3 * one)
    first = group.submit(packed(events(1, 1)))
    slow.begun.acquire()
    rest = [group.submit(packed(events(1, i))) for i in (2, 3)]
    with pytest.raises(StoreBusyError, match=r"event log 'x' has 111 bytes waiting to be written \(E710\). Try again in a moment"):
        group.submit(packed(events(1, 4)))
    slow.go.release(9)
    assert [future.result() for future in (first, *rest)] == [[True]] * 3
    assert group.submit(packed(events(9))).result() == [True] * 9, "one call may be larger than the bound when nothing waits"
    group.close()


def test_a_failure_reaches_everybody_in_the_group_and_nobody_else() -> None:
    slow = Slow()
    group = GroupCommit(slow.commit, name="the log")
    first = group.submit(packed(events(1)))
    slow.begun.acquire()
    rest = [group.submit(packed(events(1, i))) for i in (1, 2)]
    slow.go.release()
    assert first.result() == [True]
    slow.begun.acquire()
    slow.error = ZeroDivisionError("oops")
    slow.go.release()
    errors = [future.exception() for future in rest]
    assert [str(error) for error in errors] == ["the log failed: ZeroDivisionError: oops (E700). Please report it."] * 2
    assert errors[0] is not errors[1], "a traceback is nobody else's"
    slow.error = None
    slow.go.release(2)
    group.between(lambda: None)
    with pytest.raises(ValueError, match="between"):
        group.between(lambda: int("between"))
    assert group.submit(packed(events(1))).result() == [True], "it goes on"
    group.close()
    with pytest.raises(StoreError, match="the log is closed"):
        group.submit(packed([]))


def test_close_writes_what_waits() -> None:
    disk = MemoryDisk()
    log = SegmentLog("/log", disk=disk)
    futures = [log.submit(events(3, 3 * i)) for i in range(50)]
    log.close()
    assert all(future.result() == [True] * 3 for future in futures)


class Counting(MemoryLog):
    """Counts hand-overs, answers from another thread."""

    calls = 0

    def submit(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        self.calls += 1
        later: Future[list[bool]] = Future()
        done = super().submit(records)
        threading.Thread(target=lambda: later.set_exception(e) if (e := done.exception()) else later.set_result(done.result())).start()
        return later


def test_tasks_that_wait_together_are_one_hand_over() -> None:
    log = Counting()

    async def main() -> list[list[bool]]:
        appender = AsyncAppender(log)
        first = await asyncio.gather(*(appender.append([event(f"{i}"), event(f"{i % 3}")]) for i in range(50)))
        assert await appender.append([event("0"), event("late")]) == [False, True]
        return first

    answers = asyncio.run(main())
    assert log.calls == 2
    assert answers == [[True, False]] * 50
    assert len(list(log.read())) == 51


def test_a_task_that_sends_what_cannot_be_kept_fails_alone() -> None:
    log = Counting()

    async def main() -> list[list[bool] | BaseException]:
        appender = AsyncAppender(log)
        sent = [[event("a")], [event("b"), event("")], [event("c")]]
        return await asyncio.gather(*map(appender.append, sent), return_exceptions=True)

    one, two, three = asyncio.run(main())
    assert (one, three) == ([True], [True]) and isinstance(two, DataError)
    assert [record.event_id for _, record in log.read()] == ["a", "c"]


def test_tasks_learn_of_a_failing_store_and_of_a_closed_one() -> None:
    log = Counting()
    log.failing = "disk full"

    async def main() -> None:
        appender = AsyncAppender(log)
        told = await asyncio.gather(*(appender.append([event(str(i))]) for i in range(3)), return_exceptions=True)
        assert [str(error) for error in told] == ["disk full (E700). Nothing of this call was kept."] * 3
        log.failing = ""
        assert await appender.append([event("1")]) == [True]
        waiting = asyncio.ensure_future(appender.append([event("2")]))
        await asyncio.sleep(0)
        waiting.cancel()
        assert await appender.append([event("3"), event("2")]) == [True, False], "a cancelled task undoes nothing"
        log.close()
        for _ in range(2):
            with pytest.raises(StoreError, match="closed"):
                await appender.append([event("4")])

    asyncio.run(main())


def test_tasks_that_wait_are_bounded() -> None:
    async def main() -> None:
        appender = AsyncAppender(MemoryLog(), max_waiting=4)
        tasks = [asyncio.ensure_future(appender.append(events(2, 2 * i))) for i in range(3)]
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert told[:2] == [[True, True], [True, True]] and isinstance(told[2], StoreBusyError)
        assert await appender.append(events(9)) == [False] * 4 + [True] * 5, "one call may be larger than the bound"

    asyncio.run(main())


def test_what_is_durable_is_told_once_for_a_group_and_before_its_answers() -> None:
    log, seen = Counting(), []

    def durable() -> None:
        seen.append(len(list(log.read())))
        if len(seen) == 2:
            raise DataError("it cannot act", "Wait.")

    async def main() -> None:
        appender = AsyncAppender(log, durable=durable)
        assert await asyncio.gather(*(appender.append([event(str(i))]) for i in range(5))) == [[True]] * 5
        assert seen == [5]
        told = await asyncio.gather(*(appender.append([event(str(i))]) for i in range(5, 7)), return_exceptions=True)
        assert [str(error) for error in told] == ["it cannot act (E200). Wait."] * 2 and told[0] is not told[1]
        assert await appender.append([event("6")]) == [False] and seen == [5, 7, 7]

    asyncio.run(main())
