"""The composition that answers: a model, what people did, and a fallback for those it knows nothing of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import Float32, Int32, Ragged
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, nearest
from zhiyin.base.units import US_PER_MINUTE
from zhiyin.data.catalog import Catalog
from zhiyin.data.cut import excluded
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import ColumnType, Repeat
from zhiyin.data.slates import Slates
from zhiyin.index.exact import ExactIndex
from zhiyin.models.roles import Model
from zhiyin.pipeline.answer import Answer, Recommended
from zhiyin.pipeline.merge import filled, joined
from zhiyin.text.vectors import Reader

Time = int | datetime
_TOLD: tuple[ColumnType, ...] = ("category", "list", "text", "price")
_FEW = 20_000  # ids above this are too many to look for the nearest one


@dataclass(frozen=True)
class Recommender:
    """Answers known users, histories and texts. Frozen: ``with_items`` gives a new one.

    ``data`` holds the catalogue, the people and the events that histories are made of; ``fallback``
    answers where the model knows nothing (somebody new who says nothing); ``reader`` is None when
    the items have no text.
    """

    model: Model
    fallback: Model
    data: Dataset
    reader: Reader | None = None

    @property
    def catalog(self) -> Catalog:
        return self.data.catalog

    def __repr__(self) -> str:
        size = f"{len(self.catalog):,} items, {self.data.n_users:,} users, {len(self.data.events):,} events"
        return f"Recommender({self.model.spec.kind}: {size})"

    @cached_property
    def newest_us(self) -> int:
        """The instant just after everything this recommender knows: the default ``now``."""
        times = self.data.events.time_us
        return int(times[-1]) + 1 if len(times) else 0

    def recommend(
        self,
        user: str | None = None,
        *,
        history: Sequence[str] | None = None,
        text: str | None = None,
        n: int = 10,
        now: Time | None = None,
        exclude: Iterable[str] = (),
        placement: str = "home",
        repeat: Repeat | None = None,
    ) -> Answer:
        """The n best items for a known user, for a history of item ids (oldest first), or for a text.

        A history stands in for what is known of the user; a text is answered by meaning, without
        what the user must not see again. ``now`` (datetime, or microseconds since 1970 UTC) defaults
        to just after the newest event: only events before it count. Somebody unknown without
        history or text gets what is popular, and ``served_by`` says so. Raises ``ConfigError`` for n
        below 1 and for a text where the items have none.
        """
        if n < 1:
            raise ConfigError(f"n = {n} items cannot be recommended", "Ask for 1 or more.")
        notes: list[str] = []
        at = self._now(now)
        ix, past = self._person(user, history, at, notes)
        request = self._request(ix, past, at, n, repeat, placement, self._ixs(exclude, "excluded", notes))
        if text is not None:
            request = replace(request, query=(text,), query_vectors=self._query(text)[None, :])
            slates, served = self._by_text(request, n), "text"
            asked = f"text '{text}'"
        else:
            slates, served = self._by_model(request, n)
            asked = f"user {user}" if user is not None and history is None else f"history of {len(past.item_ix)}" if len(past) else "anyone"
        policy = str(repeat or self.data.manifest.repeat)
        return Answer(asked, self._told(slates), served, policy, tuple(notes))

    def recommend_users(self, users: Sequence[str], n: int = 10, *, now: Time | None = None, repeat: Repeat | None = None) -> pl.DataFrame:
        """Lists for many known users at once: columns user_id, rank, item_id, score. Unknown ids raise.

        For a nightly job: one batch through the model, several thousand people a second.
        """
        ix = self.data.users.ix_of(users)
        if bool((ix < 0).any()):
            raise self._unknown("user", users[int(np.flatnonzero(ix < 0)[0])], self.data.users.ids.to_pylist())
        at = self._now(now)
        request = self._request(ix, self._histories(ix, at), at, n, repeat, "home", [])
        slates, _ = self._by_model(request, n)
        rank = np.arange(len(slates.item_ix)) - np.repeat(slates.offsets[:-1], slates.lengths) + 1
        ids = self.catalog.items.names(slates.item_ix)
        names = np.asarray(users, object)[slates.items.rows].tolist()
        return pl.DataFrame({"user_id": names, "rank": rank, "item_id": ids, "score": slates.score})

    def similar(self, item: str, n: int = 10, *, by: Literal["auto", "text", "behaviour"] = "auto") -> Answer:
        """The n items most like one: by meaning where items have text, else by what its takers take next.

        Raises ``UnknownNameError`` for an item nobody knows, ``ConfigError`` for ``by="text"`` without text.
        """
        ix = self.catalog.items.find(item)
        if ix < 0:
            raise self._unknown("item", item, self.catalog.items.ids.to_pylist())
        vectors = self.catalog.vectors.get("text")
        readable = vectors is not None and bool(vectors.present[ix])
        if by == "text" and not readable:
            raise ConfigError(f"item '{item}' has no text to compare", 'Say by = "behaviour".')
        itself = Ragged.of([[ix]])
        if vectors is not None and readable and by != "behaviour":
            request = Requests.of(Histories.empty(1), exclude=itself, query_vectors=vectors.matrix[ix][None, :])
            slates, served = self._by_text(request, n), "text"
        else:
            request = replace(
                self._request(np.array([-1], np.int32), self._given([ix], self.newest_us), self.newest_us, n, None, "item", []),
                exclude=itself,
            )
            slates, served = self._by_model(request, n)
        return Answer(f"similar to {self.catalog.titles(np.array([ix]))[0]}", self._told(slates), served, "allow")

    def with_items(self, table: pl.DataFrame | Sequence[Mapping[str, Any]]) -> Self:
        """A recommender that also knows new items, from their text, without training again.

        ``table`` has the catalogue's columns (missing ones are empty, others are ignored) and the id
        column. Raises ``DataError`` for a missing id column, ids known already, or values of another type.
        """
        rows = table if isinstance(table, pl.DataFrame) else pl.DataFrame(list(table), infer_schema_length=None)
        named = self.data.manifest.items.id if self.data.manifest.items else "item_id"
        if named not in rows.columns:
            raise DataError(f"the table of new items has no column '{named}'", f"It has {', '.join(rows.columns) or 'none'}.")
        if rows[named].null_count():
            raise DataError(
                f"column '{named}' of the new items is empty in row {rows[named].is_null().arg_true()[0] + 1}", "Give every item an id."
            )
        try:
            catalog = self.catalog.with_rows([str(i) for i in rows[named].to_list()], rows)
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"the new items do not fit the catalogue: {str(error).splitlines()[0]}", "Give the columns the types they have there."
            ) from None
        if self.reader is not None and "text" in catalog.vectors:
            catalog = self.reader.fill(catalog)
        return replace(
            self, model=self.model.with_catalog(catalog), fallback=self.fallback.with_catalog(catalog), data=self.data.with_catalog(catalog)
        )

    def save(self, folder: str | Path) -> Path:
        """Write everything answers need into one folder, whole or not at all; gives its path."""
        from zhiyin.pipeline.saved import save

        return save(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Open a saved recommender; ``ModelFileError`` for a damaged, newer or other folder."""
        from zhiyin.pipeline.saved import load

        return load(folder)

    # From what a caller says to Requests.

    def _now(self, now: Time | None) -> int:
        if self.data.manifest.order != "time" or now is None:
            return self.newest_us
        if isinstance(now, datetime):
            return round((now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp() * 1e6)
        return now

    def _person(self, user: str | None, history: Sequence[str] | None, at: int, notes: list[str]) -> tuple[Int32, Histories]:
        ix = np.array([-1 if user is None else self.data.users.find(user)], np.int32)
        if user is not None and ix[0] < 0:
            notes.append(f"user '{user}' is unknown")
        if history is not None:
            return ix, self._given(self._ixs(history, "history", notes), at)
        past = self._histories(ix, at)
        if ix[0] >= 0 and not len(past.item_ix):
            notes.append(f"user '{user}' did nothing before this time")
        return ix, past

    def _histories(self, users: Int32, at: int) -> Histories:
        timed = self.data.manifest.order == "time"
        return self.data.history(users, np.full(len(users), at, np.int64) if timed else None)

    def _given(self, items: list[int], at: int) -> Histories:
        """A history without times: a minute between events, the newest a minute ago."""
        past = Histories.of_items(Ragged.of([items]))
        if self.data.manifest.order != "time":
            return past
        return replace(past, time_us=at - (len(items) - past.time_us) * US_PER_MINUTE)

    def _ixs(self, ids: Iterable[str], role: str, notes: list[str]) -> list[int]:
        pairs = [(i, self.catalog.items.find(i)) for i in ids]
        missing = [i for i, ix in pairs if ix < 0]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            notes.append(f"{role} item '{missing[0]}'{more} unknown, left out")
        return [ix for _, ix in pairs if ix >= 0]

    def _request(
        self, users: Int32, past: Histories, at: int, n: int, repeat: Repeat | None, placement: str, exclude: Sequence[int]
    ) -> Requests:
        """The one place where the repeat policy and the asker's own exclusions become ``exclude``."""
        now = np.full(len(users), at, np.int64)
        gone = excluded(past, repeat or self.data.manifest.repeat, now)
        if exclude:
            own = Ragged.of([exclude] * len(users))
            gone = own if gone is None else joined(gone, own)
        where = np.full(len(users), placement, object)
        return Requests.of(past, users, now, n=n, exclude=gone, placement=where)

    def _query(self, text: str) -> Float32:
        if self.reader is None or "text" not in self.catalog.vectors:
            raise ConfigError(
                "these items have no text, so a text cannot find them", "Give a user or a history, or name text columns in zhiyin.toml."
            )
        if not text.strip():
            raise ConfigError("the text to search for is empty", "Say what is wanted.")
        return self.reader.query(text)

    # From Requests to an answer.

    def _by_text(self, request: Requests, n: int) -> Slates:
        """Cosine of query and item vectors; items without text never."""
        vectors = self.catalog.vectors["text"]
        query = request.query_vectors if request.query_vectors is not None else np.zeros((len(request), vectors.dim), np.float32)
        live = vectors.present if self.catalog.available is None else vectors.present & self.catalog.available
        index = ExactIndex(vectors.matrix, live)
        return index.search(query, n, exclude=request.exclude, candidates=request.candidates, allowed=request.allowed)

    def _by_model(self, request: Requests, n: int) -> tuple[Slates, str]:
        """The model's lists, filled up by the fallback where they are short."""
        kind = self.model.spec.kind
        found = self.model.retrieve(request, n)
        short = np.flatnonzero(found.lengths < n)
        if not len(short) or self.model is self.fallback:
            return found, kind
        rest, had = request.take(short), found.take(short).items
        rest = replace(rest, exclude=had if rest.exclude is None else joined(rest.exclude, had))
        whole = filled(found, short, self.fallback.retrieve(rest, n), n)
        said = [kind] if len(found.item_ix) else []
        if len(whole.item_ix) > len(found.item_ix) or not said:
            said.append(self.fallback.spec.kind)
        return whole, ", then ".join(said)

    def _told(self, slates: Slates) -> tuple[Recommended, ...]:
        ids, titles = self.catalog.items.names(slates.item_ix), self.catalog.titles(slates.item_ix)
        lines = self._lines(slates.item_ix)
        return tuple(Recommended(i, t, float(s), x) for i, t, s, x in zip(ids, titles, slates.score, lines, strict=True))

    def _lines(self, ix: Int32) -> list[str]:
        """A line of the other readable columns for each item."""
        declared = self.data.manifest.items.columns if self.data.manifest.items else {}
        names = [
            c
            for kind in _TOLD
            for c, t in declared.items()
            if t == kind and c != self.catalog.title_column and c in self.catalog.table.columns
        ]
        rows = self.catalog.table.select(names)[np.asarray(ix, np.int64)] if names else pl.DataFrame()
        told = [" · ".join(_said(v) for v in row if v not in (None, "")) for row in rows.rows()] if names else [""] * len(ix)
        return [line if len(line) <= 160 else line[:157] + "..." for line in told]

    def _unknown(self, what: str, name: str, known: list[str]) -> UnknownNameError:
        hint = nearest(name, known) if len(known) <= _FEW else "Ids look like " + ", ".join(known[:3]) + "."
        if hint.startswith("Known: "):
            hint = f"There are {len(known):,}, such as {', '.join(known[:3])}."
        return UnknownNameError(f"no {what} has the id '{name}'", hint)


def _said(value: Any) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, list | pl.Series) else str(value)
