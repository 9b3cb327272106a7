"""What people were shown lately: what fatigue counts.

Kept only where some placement of the tenant has the re-ranker ``fatigue``, and never of people who want nothing stored or no
personal answers. In memory, or in Redis for several workers; all of it may be lost. Away, it says that nothing was shown.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zhiyin.base.arrays import Bool, Int64, offsets_of
from zhiyin.base.errors import StoreError
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.fatigue import FatigueSpec, Impressions, tired
from zhiyin.online.asks import Ask, Shown
from zhiyin.online.people import SESSION
from zhiyin.store.hot import HotState, Showing
from zhiyin.store.memory_hot import MemoryHot

log = logging.getLogger("zhiyin.serve")
_PAUSE_S = 1.0
"""So long a store that did not answer is not asked again."""
_MOST_WAITING = 10_000


class Asking(Protocol):
    """What is read of a row of an ask."""

    @property
    def ask(self) -> Ask: ...

    @property
    def at_us(self) -> int: ...


@dataclass(frozen=True, eq=False)
class JustShown:
    """The re-ranker ``fatigue`` over what the people of one batch were shown; ``now_us`` (n,) is their clock, whatever that of the
    data is."""

    spec: FatigueSpec
    shown: Impressions
    now_us: Int64

    def rerank(self, requests: Requests, slates: Slates) -> Slates:
        """See ``Reranker.rerank``."""
        return tired(slates, self.shown, self.now_us, self.spec)


class Showings:
    """Over a hot state; one that is ``far`` (another process) is written by a thread of its own, so that no answer waits."""

    def __init__(self, hot: HotState | None = None, *, far: bool = False) -> None:
        self._hot = hot or MemoryHot()
        self._far = far
        self._away_until = 0.0
        self._waiting: deque[tuple[str, Showing]] = deque(maxlen=_MOST_WAITING)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, ask: Ask, items: Sequence[Shown], now_us: int) -> None:
        """Remember what somebody was shown; advertisements are not counted."""
        who = _names(ask)
        if not who or not items:
            return
        showing = Showing(now_us, [one.item for one in items if not one.ad])
        if not self._far:
            self._hot.show({who[0]: [showing]})
            return
        self._waiting.append((who[0], showing))
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="zhiyin-showings", daemon=True)
            self._thread.start()
        self._wake.set()

    def fatigue(self, spec: FatigueSpec, catalog: Catalog, rows: Sequence[Asking], history: Histories) -> JustShown:
        """The re-ranker for a batch; what somebody did with an item after it was shown makes that showing count as nothing."""
        shown = self._read([_names(row.ask) for row in rows])
        ids = [item for some in shown for one in some for item in one.items]
        lists = np.repeat(np.arange(len(rows)), [sum(len(one.items) for one in some) for some in shown])
        when = np.array([one.time_us for some in shown for one in some for _ in one.items], np.int64)
        ix = catalog.items.ix_of(ids).astype(np.int32) if ids else np.zeros(0, np.int32)
        done = history.items.rows
        row = np.concatenate([lists[ix >= 0], done])
        order = np.argsort(row, kind="stable")
        clicked: Bool = np.concatenate([np.zeros(int((ix >= 0).sum()), np.bool_), np.ones(len(done), np.bool_)])
        found = Impressions(
            offsets_of(np.bincount(row, minlength=len(rows))),
            np.concatenate([ix[ix >= 0], history.item_ix])[order],
            np.concatenate([when[ix >= 0], history.time_us])[order],
            clicked[order],
        )
        return JustShown(spec, found, np.array([row.at_us for row in rows], np.int64))

    def forget(self, user: str, sessions: Sequence[str]) -> None:
        """Drop what somebody was shown; raises ``StoreError`` where that cannot be done now."""
        names = [user, *(SESSION + session for session in sessions)]
        self._waiting = deque((one for one in self._waiting if one[0] not in names), maxlen=_MOST_WAITING)
        self._hot.forget(names)

    def anew(self) -> None:
        """Somebody was erased elsewhere, and nobody says who: what this process alone remembers goes."""
        if not self._far:
            self._hot = MemoryHot()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self._hot.close()

    def _read(self, people: list[list[str]]) -> list[list[Showing]]:
        flat = [name for names in people for name in names]
        if not flat or time.monotonic() < self._away_until:
            return [[] for _ in people]
        try:
            found = iter(self._hot.shown(flat))
        except StoreError as error:
            self._away(error)
            return [[] for _ in people]
        return [[one for _ in names for one in next(found)] for names in people]

    def _write(self) -> None:
        while self._wake.wait() and not self._stop.is_set():
            self._wake.clear()
            together: dict[str, list[Showing]] = {}
            while self._waiting:
                who, showing = self._waiting.popleft()
                together.setdefault(who, []).append(showing)
            try:
                self._hot.show(together)
            except StoreError as error:
                self._away(error)
                self._stop.wait(_PAUSE_S)

    def _away(self, error: StoreError) -> None:
        self._away_until = time.monotonic() + _PAUSE_S
        log.warning("what was shown is not counted now: %s", error.message)


def _names(ask: Ask) -> list[str]:
    """Whom showings are remembered of: the user, and the session he is in; nobody where nothing personal is wanted."""
    if not ask.personalized:
        return []
    said = [ask.user] if ask.user else []
    return [*said, *([SESSION + ask.session] if ask.session else [])]
