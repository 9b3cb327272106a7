"""Appending from an event loop: tasks that wait at the same time cost the loop one hand-over, not one each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from zhiyin.base.errors import DataError, StoreBusyError, ZhiyinError
from zhiyin.data.record import EventRecord
from zhiyin.store.event_log import EventLog, packed

_Waiter = tuple[Sequence[EventRecord], "asyncio.Future[list[bool]]"]


class AsyncAppender:
    """``await appender.append(records)`` on any ``EventLog``; what arrives while a group is being written is the next group.

    Belongs to one event loop. Use it in a server; threads call the log itself. ``durable`` is called once for each group
    that is, before its answers are given; what it raises they raise. ``max_waiting`` bounds the events that wait for a disk
    which is slow or hangs.
    """

    def __init__(self, log: EventLog, *, durable: Callable[[], object] = lambda: None, max_waiting: int = 100_000) -> None:
        self._log = log
        self._durable = durable
        self._max_waiting = max_waiting
        self._n_waiting = 0
        self._waiting: list[_Waiter] = []
        self._busy = False

    async def append(self, records: Sequence[EventRecord]) -> list[bool]:
        """Durable when it returns; see ``EventLog.submit`` for the answer and what is raised. Cancelling it undoes nothing."""
        if self._n_waiting and self._n_waiting + len(records) > self._max_waiting:
            raise StoreBusyError(f"{self._n_waiting:,} events wait to be written", "Try again in a moment.")
        loop = asyncio.get_running_loop()
        self._n_waiting += len(records)
        answer: asyncio.Future[list[bool]] = loop.create_future()
        self._waiting.append((records, answer))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._hand_over, loop)
        try:
            return await answer
        finally:
            self._n_waiting -= len(records)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        group, self._waiting = self._waiting, []
        self._busy = bool(group)
        if not group:
            return
        try:
            done = self._log.submit([record for records, _ in group for record in records])
        except DataError:
            self._one_by_one(loop, group)
        except Exception as error:  # nobody may be left waiting
            self._busy = False
            for _, answer in group:
                _fail(answer, error)
        else:
            done.add_done_callback(lambda future: loop.call_soon_threadsafe(self._landed, loop, group, future))

    def _one_by_one(self, loop: asyncio.AbstractEventLoop, group: list[_Waiter]) -> None:
        """One of these cannot be stored: only its own caller shall learn of it."""
        sound: list[_Waiter] = []
        for records, answer in group:
            try:
                packed(records)
            except DataError as error:
                _fail(answer, error)
            else:
                sound.append((records, answer))
        self._waiting = sound + self._waiting
        self._hand_over(loop)

    def _landed(self, loop: asyncio.AbstractEventLoop, group: list[_Waiter], done: Future[list[bool]]) -> None:
        error = done.exception()
        answers = [] if error else done.result()
        if error is None:
            try:
                self._durable()
            except Exception as failed:
                error = failed
        at = 0
        for records, answer in group:
            if error is not None:
                _fail(answer, error)
            elif not answer.done():
                answer.set_result(answers[at : at + len(records)])
            at += len(records)
        loop.call_soon(self._hand_over, loop)  # after those that go on now: what they send next shares the next flush


def _fail(answer: asyncio.Future[list[bool]], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(type(error)(error.message, error.hint) if isinstance(error, ZhiyinError) else error)
