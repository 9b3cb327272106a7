"""From what a caller says (ids, a text, a time) to Requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Int32, Int64, Ragged
from zhiyin.base.errors import ConfigError, UnknownNameError, nearest
from zhiyin.base.units import US_PER_MINUTE
from zhiyin.data.cut import excluded
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, HistorySource, Requests
from zhiyin.data.schema import Repeat
from zhiyin.pipeline.merge import joined
from zhiyin.text.vectors import Reader

Time = int | datetime


@dataclass(frozen=True)
class Asking:
    """One question: in words, as a request without exclusions, and the items it is about."""

    asked: str
    request: Requests
    about: Histories | None
    kinds_known: bool  # whether the person's events are those of the data, with their kinds


@dataclass(frozen=True)
class Asker:
    """Finds what callers name in the data; ``reader`` reads the words of a query.

    ``past`` knows the people and what they did: the data itself, or a server's live state over it.
    """

    data: Dataset
    reader: Reader | None
    past: HistorySource

    @cached_property
    def newest_us(self) -> int:
        """The instant just after everything that is known: the default ``now``."""
        times = self.data.events.time_us
        return int(times[-1]) + 1 if len(times) else 0

    def at(self, now: Time | None) -> int:
        """Microseconds of ``now``; ``newest_us`` where none is given and for data without time."""
        if self.data.manifest.order != "time" or now is None:
            return self.newest_us
        if isinstance(now, datetime):
            return round((now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp() * 1e6)
        return now

    def person(self, user: str | None, history: Sequence[str] | None, at: int, notes: list[str]) -> tuple[Int32, Histories]:
        """The user's row, -1 = unknown, (1,), and what he, or the given history, did before ``at``."""
        ix = np.array([-1 if user is None else self.past.find_user(user)], np.int32)
        if user is not None and ix[0] < 0:
            notes.append(f"user '{user}' is unknown")
        if history is not None:
            return ix, self.given(self.found(history, "history", notes), at)
        past = self.histories(ix, at)
        if ix[0] >= 0 and not len(past.item_ix):
            notes.append(f"user '{user}' did nothing before this time")
        return ix, past

    def histories(self, users: Int32, at: int) -> Histories:
        """What each user did before ``at``."""
        timed = self.data.manifest.order == "time"
        return self.past.history(users, np.full(len(users), at, np.int64) if timed else None)

    def given(self, items: list[int], at: int) -> Histories:
        """A history without times: a minute between events, the newest a minute ago."""
        past = Histories.of_items(Ragged.of([items]))
        if self.data.manifest.order != "time":
            return past
        return replace(past, time_us=at - (len(items) - past.time_us) * US_PER_MINUTE)

    def found(self, ids: Iterable[str], role: str, notes: list[str]) -> list[int]:
        """Row numbers of item ids; unknown ones are left out and noted under their role."""
        pairs = [(i, self.data.catalog.items.find(i)) for i in ids]
        missing = [i for i, ix in pairs if ix < 0]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            notes.append(f"{role} item '{missing[0]}'{more} unknown, left out")
        return [ix for _, ix in pairs if ix >= 0]

    def asking(
        self,
        user: str | None,
        history: Sequence[str] | None,
        text: str | None,
        items: Sequence[str] | None,
        now: Time | None,
        place: str | None,
        context: Mapping[str, Any] | None,
        notes: list[str],
    ) -> Asking:
        """What a caller says, found in the data; what cannot be found goes into ``notes``."""
        at = self.at(now)
        if now is not None and self.data.manifest.order != "time":
            notes.append("these events have no time, so the time of asking changes nothing")
        ix, past = self.person(user, history, at, notes)
        request = Requests.of(past, ix, at)
        if place is not None:
            where = self.data.places.find(place)
            if where < 0:
                notes.append(f"place '{place}' is unknown")
            request = replace(request, place_ix=np.array([where], np.int32))
        request = replace(request, context=self.context(context or {}, 1))
        notes += [f"context '{name}' is unknown, left out. {hint}" for name, hint in self.unknown_context(context or {}).items()]
        asked = (
            f"user {user}" if user is not None and history is None else f"history of {len(past.item_ix)}" if len(past.item_ix) else "anyone"
        )
        if text is not None:
            request = replace(request, query=(text,), query_vectors=self.query(text)[None, :])
            asked = f"text '{text}'"
        about = None
        if items is not None:
            about = self.given(self.found(items, "given", notes), at)
            asked = f"{asked} about {len(about.item_ix)} items"
        return Asking(asked, request, about, kinds_known=history is None and items is None)

    def context(self, said: Mapping[str, Any], n: int) -> dict[str, AnyArray]:
        """Equal values for n requests as they carry them, (n,) each; columns the data does not have are left out."""
        known = self.data.manifest.events.context
        return {name: np.full(n, value, object) for name, value in said.items() if name in known}

    def same_context(self, said: Mapping[str, Any], n: int) -> dict[str, AnyArray]:
        """The same for a batch, which has no notes: raises ``UnknownNameError`` for a column the data does not have."""
        for name, hint in self.unknown_context(said).items():
            raise UnknownNameError(f"no context column is named '{name}'", hint)
        return self.context(said, n)

    def unknown_context(self, said: Mapping[str, Any]) -> dict[str, str]:
        """Columns the data does not have, each with what may have been meant."""
        known = self.data.manifest.events.context
        return {name: nearest(name, known) if known else "This data has no context columns." for name in said if name not in known}

    def excluding(self, request: Requests, gone: Sequence[int], n: int, repeat: Repeat | None, placement: str) -> Requests:
        """The request with its exclusions, for n items at a placement."""
        out = self.gone(request.history, request.now_us, repeat, [gone] * len(request))
        return replace(request, n=n, exclude=out, placement=np.full(len(request), placement, object))

    def gone(self, history: Histories, now_us: Int64, repeat: Repeat | None, own: Sequence[Sequence[int]]) -> Ragged | None:
        """The one place where the repeat policy and the askers' own exclusions (one list each) become ``exclude``."""
        out = excluded(history, repeat or self.data.manifest.repeat, now_us)
        if not any(own):
            return out
        lists = Ragged.of(own)
        return lists if out is None else joined(out, lists)

    def query(self, text: str) -> Float32:
        """The unit vector of words; ``ConfigError`` where the items have no text, or nothing was said."""
        if self.reader is None or "text" not in self.data.catalog.vectors:
            raise ConfigError(
                "these items have no text, so a text cannot find them", "Give a user or a history, or name text columns in zhiyin.toml."
            )
        if not text.strip():
            raise ConfigError("the text to search for is empty", "Say what is wanted.")
        return self.reader.query(text)
