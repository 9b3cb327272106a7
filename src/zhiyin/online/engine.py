"""What computes: asks that arrive together go through the model together, and none waits for ever.

An event loop hands in asks and awaits futures. Whatever is not answered by its deadline is answered by the
fallback, at once and marked as degraded; a model that hangs therefore costs quality, never an answer.

Work that was quick so far is done on the loop itself, under an alarm: handing it to a thread and back costs as much as
finding ten items among 100,000. Slow work, and whatever follows an alarm, goes to a thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

from zhiyin.base.errors import ZhiyinError
from zhiyin.online.alarm import ALARM, OverdueError
from zhiyin.online.turns import SOON, shorter

log = logging.getLogger("zhiyin.serve")
A = TypeVar("A")
R = TypeVar("R")
Entry = tuple[A, asyncio.Future[R], float]

PATIENCE = 2
"""Turns of the loop, which cost some microseconds each."""
MOST_TOGETHER = 64
"""More asks in one batch save little and keep the first waiting."""
HERE_S = 0.006
"""So long the loop may be kept from everything else by one batch."""


class Engine(Generic[A, R]):
    """``work`` answers a batch, one result per ask, in order; ``fallback`` answers one ask in microseconds.

    Call ``ask`` from one event loop only. ``deadline_s`` counts from the ask; while a batch is over it, new
    asks go to the fallback without waiting, until the thread comes back.
    """

    def __init__(
        self, work: Callable[[Sequence[A]], Sequence[R]], fallback: Callable[[A, str], R], *, deadline_s: float = 0.04, most: int = 4096
    ) -> None:
        self.work = work
        self.fallback = fallback
        self.deadline_s = deadline_s
        self.most = most
        self._waiting: deque[Entry[A, R]] = deque()
        self._asked: deque[Entry[A, R]] = deque()  # by age, answered ones fall out as they age
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._idle = True
        self._interruptible = self._threaded = False
        self._late = self._hurried = False
        self._cost_s = 0.0  # of one ask of a batch, fading
        self._n_last = 1
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="zhiyin-engine", daemon=True)
        self._thread.start()

    @property
    def late(self) -> bool:
        """True while the thread is busy with something that is over its deadline."""
        return self._late

    def full(self) -> bool:
        """True where another ask should be refused rather than queued."""
        return len(self._waiting) >= self.most

    async def ask(self, ask: A) -> R:
        """The answer of the model, or of the fallback."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self._interruptible = ALARM.usable()
        if self._late:
            return self.fallback(ask, "slow")
        future: asyncio.Future[R] = loop.create_future()
        entry = (ask, future, loop.time())
        self._waiting.append(entry)
        if self._idle:
            self._idle = False
            # Once everything that has arrived with it waits too.
            loop.call_soon(self._begin, loop)
        elif self._threaded:
            self._asked.append(entry)
            self._guarded(loop)
        return await future

    def close(self) -> None:
        """Let the thread end after what it holds."""
        self._stopping = True
        self._wake.put(None)
        self._hurry(False)

    def _begin(self, loop: asyncio.AbstractEventLoop, seen: int = 0, patience: int = PATIENCE) -> None:
        """Work on what waits: here, while that is a matter of a moment, else in the thread.

        Not before some turns of the loop brought nothing more: who was just answered asks again, and two halves of a
        crowd that never meet cost twice as much as one. Who asks alone does not wait.
        """
        n = len(self._waiting)
        if patience and n < MOST_TOGETHER and (n > 1 or self._n_last > 1):
            loop.call_soon(self._begin, loop, n, PATIENCE if n > seen else patience - 1)
            return
        self._n_last = n
        most = int(HERE_S / self._cost_s) if self._interruptible and self._cost_s > 0 else 0
        if not most:
            self._threaded = True
            self._asked.extend(self._waiting)
            self._guarded(loop)
            self._wake.put(None)
            return
        if batch := self._batch(min(most, MOST_TOGETHER)):
            self._work_here(batch, loop)
        if self._waiting:
            loop.call_soon(self._begin, loop)
        else:
            self._idle = True

    def _work_here(self, batch: list[Entry[A, R]], loop: asyncio.AbstractEventLoop) -> None:
        try:
            try:
                ALARM.set(max(self.deadline_s / 4, HERE_S))
                results = self._results([ask for ask, _, _ in batch])
            finally:
                ALARM.clear()
        except OverdueError:
            # Most of the deadline is left: the thread may still be in time, and the loop is free again.
            log.warning("the model took too long, and goes on in a thread")
            self._cost_s = self.deadline_s
            self._waiting.extendleft(reversed(batch))
            self._hurry(True)
            return
        self._deliver(batch, results)

    def _guarded(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let nobody wait for the thread beyond the deadline."""
        if self._timer is None and self._asked:
            self._timer = loop.call_at(self._asked[0][2] + self.deadline_s * (1 - SOON), self._look)

    def _hurry(self, wanted: bool) -> None:
        """Shorter turns for all threads, or usual ones: on the loop."""
        if wanted is not self._hurried:
            self._hurried = wanted
            shorter(self, wanted)

    def _look(self) -> None:
        """Answer what is over its deadline; look again when the next one may be."""
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        while self._asked and (self._asked[0][1].done() or self._asked[0][2] + self.deadline_s <= now + 0.001):
            ask, future, _ = self._asked.popleft()
            if not future.done():
                self._late = True
                future.set_result(self.fallback(ask, "slow"))
        if not self._asked:
            self._timer = None
            return
        due = self._asked[0][2] + self.deadline_s
        if (soon := due - self.deadline_s * SOON) <= now + 0.001:
            self._hurry(True)  # before the deadline, or a thread that spins would make the fallback late as well
        self._timer = loop.call_at(due if self._hurried else soon, self._look)

    def _run(self) -> None:
        while True:
            self._wake.get()
            while self._waiting and not self._stopping:
                if batch := self._batch(self._together()):
                    self._answer(batch)
                if self._interruptible and self._cost_s <= HERE_S:
                    break
            if self._stopping:
                return
            self._call(self._rest)

    def _batch(self, most: int) -> list[Entry[A, R]]:
        """The first asks that nobody has answered yet."""
        batch: list[Entry[A, R]] = []
        while self._waiting and len(batch) < most:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    def _together(self) -> int:
        """So many asks that they are answered well within the deadline: a batch that is late is late for all in it."""
        if self._cost_s <= 0:
            return MOST_TOGETHER
        return int(min(max(self.deadline_s / 3 / self._cost_s, 1), MOST_TOGETHER))

    def _rest(self) -> None:
        """On the loop: the thread sleeps, unless there is more for it."""
        self._late = self._threaded = False
        self._hurry(False)
        if self._waiting and self._loop is not None:
            self._begin(self._loop)
        else:
            self._idle = True

    def _answer(self, batch: list[Entry[A, R]]) -> None:
        results = self._results([ask for ask, _, _ in batch])
        self._call(lambda: self._deliver(batch, results))

    def _results(self, asks: list[A]) -> Sequence[R | Exception]:
        begun = time.monotonic()
        results: Sequence[R | Exception]
        try:
            results = self.work(asks)
        except Exception as error:  # a model may fail in any way; every ask still gets its answer
            # Alone, so that an ask that the model stumbles over costs its own answer and not those beside it.
            results = [self._alone(ask) for ask in asks] if len(asks) > 1 else [self._failed(asks[0], error)]
        spent = (time.monotonic() - begun) / len(asks)
        self._cost_s = spent if not self._cost_s else 0.8 * self._cost_s + 0.2 * spent
        return results

    def _alone(self, ask: A) -> R | Exception:
        try:
            return self.work([ask])[0]
        except Exception as error:
            return self._failed(ask, error)

    def _failed(self, ask: A, error: Exception) -> R | Exception:
        """The words of the error may speak of anybody: they stay here, its kind is told."""
        log.error("the model failed", exc_info=error)
        try:
            return self.fallback(ask, f"the model failed ({type(error).__name__})")
        except Exception as worse:  # the thread lives on, whatever happens to one ask
            return worse

    def _deliver(self, batch: list[Entry[A, R]], results: Sequence[R | Exception]) -> None:
        self._late = False
        self._hurry(False)
        for (_, future, _), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception) and not isinstance(result, ZhiyinError):
                future.set_exception(result)
            else:
                future.set_result(cast(R, result))

    def _call(self, what: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(what)
            except RuntimeError:  # closed between the two lines: nobody waits any more
                return
