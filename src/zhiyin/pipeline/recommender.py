"""The composition that answers: a model, what people did, and a fallback for those it knows nothing of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import Int32, Ragged
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, HistorySource, Requests
from zhiyin.data.run import Run, silent
from zhiyin.data.schema import Repeat
from zhiyin.data.slates import Slates
from zhiyin.index.exact import ExactIndex
from zhiyin.models.rerank.traits import Traits
from zhiyin.models.roles import Model, State
from zhiyin.pipeline.answer import Answer, Page
from zhiyin.pipeline.asking import Asker, Asking, Time
from zhiyin.pipeline.merge import retrieved, topped_up
from zhiyin.pipeline.placed import Placed
from zhiyin.pipeline.placement import Language, Placement
from zhiyin.pipeline.reranking import Chains, in_front
from zhiyin.pipeline.told import language_of, told
from zhiyin.text.vectors import Reader

if TYPE_CHECKING:
    from zhiyin.pipeline.shelf import Shelves

_FEW = 20_000  # ids above this are too many to look for the nearest one


@dataclass(frozen=True)
class Recommender:
    """Answers known users, histories and texts. Frozen: ``with_items`` gives a new one.

    ``data`` holds the catalogue, the people and the events that histories are made of; ``fallback``
    answers where the model knows nothing (somebody new who says nothing); ``reader`` is None when
    the items have no text; ``placed`` are the placements it can fill (``with_placements``). ``past`` knows people
    and what they did where that is more than the data: the live state of a server. ``search`` is what search learned
    from the items that were saved (``finding_saved``); None where nothing was.
    """

    model: Model
    fallback: Model
    data: Dataset
    reader: Reader | None = None
    placed: Placed = field(default_factory=Placed)
    past: HistorySource | None = None
    search: State | None = field(default=None, repr=False)

    @property
    def catalog(self) -> Catalog:
        return self.data.catalog

    def __repr__(self) -> str:
        size = f"{len(self.catalog):,} items, {self.data.n_users:,} users, {len(self.data.events):,} events"
        return f"Recommender({self.model.spec.kind}: {size})"

    @cached_property
    def asker(self) -> Asker:
        """What finds the people, items and places that a caller names."""
        return Asker(self.data, self.reader, self.past or self.data)

    @property
    def newest_us(self) -> int:
        """The instant just after everything this recommender knows: the default ``now``."""
        return self.asker.newest_us

    @cached_property
    def shelves(self) -> Shelves:
        """The placements, ready to be filled."""
        from zhiyin.pipeline.shelf import Shelves

        return Shelves(self.placed, self.model, self.fallback, self.data)

    @cached_property
    def traits(self) -> Traits:
        """What re-rankers ask about the items."""
        return Traits.of(self.data)

    @cached_property
    def chains(self) -> Chains:
        """The re-rankers of the placements."""
        return Chains(self.traits)

    def recommend(
        self,
        user: str | None = None,
        *,
        history: Sequence[str] | None = None,
        text: str | None = None,
        items: Sequence[str] | None = None,
        n: int | None = None,
        now: Time | None = None,
        exclude: Iterable[str] = (),
        placement: str = "home",
        place: str | None = None,
        context: Mapping[str, Any] | None = None,
        repeat: Repeat | None = None,
        language: Language | None = None,
    ) -> Answer:
        """The n best items for a known user, for a history of item ids (oldest first), or for a text.

        A history stands in for what is known of the user; a text is answered by meaning, without
        what the user must not see again. ``now`` (datetime, or microseconds since 1970 UTC) defaults
        to just after the newest event: only events before it count. Somebody unknown without
        history or text gets what is popular, and ``served_by`` says so. A ``placement`` brings its own
        retrievers, rules, size (10 without one) and title; ``items`` are what a product page or cart is
        about; ``context`` gives values of the data's context columns (device, weather) as they are now.
        Raises ``ConfigError`` for n below 1 and for a text where the items have none,
        ``UnknownNameError`` for a placement nobody defined.
        """
        if n is not None and n < 1:
            raise ConfigError(f"n = {n} items cannot be recommended", "Ask for 1 or more.")
        notes: list[str] = []
        asking = self.asker.asking(user, history, text, items, now, place, context, notes)
        gone = self.asker.found(exclude, "excluded", notes)
        if placement != "home" or (self.shelves.has("home") and text is None):
            standing = self.shelves.find(placement)
            if items is not None and standing.about == "person":
                raise ConfigError(
                    f"items were given, and placement '{placement}' is about the person", 'Say placement = "product" or "cart".'
                )
            return self._shelf(standing, asking, n, gone, repeat, language, notes)[0]
        if items is not None:
            raise ConfigError("items were given, and no placement is about them", 'Say placement = "product" or "cart".')
        request = self.asker.excluding(asking.request, gone, n or 10, repeat, placement)
        if request.query is not None:
            slates, served = self.by_text(request, n or 10), "text"
        else:
            slates, served = self.by_model(request, n or 10)
        policy = str(repeat or self.data.manifest.repeat)
        return Answer(asking.asked, told(slates, self.data), served, policy, tuple(notes))

    def page(
        self,
        user: str | None = None,
        placements: Sequence[str] | None = None,
        *,
        history: Sequence[str] | None = None,
        text: str | None = None,
        items: Sequence[str] | None = None,
        now: Time | None = None,
        exclude: Iterable[str] = (),
        place: str | None = None,
        context: Mapping[str, Any] | None = None,
        language: Language | None = None,
    ) -> Page:
        """Several shelves for one person, by default those of a home page; an item stands once.

        A later shelf is filled with its next best items in place of those that stand above it, and a name given
        twice ("because") is about another item each time. A shelf with too few items is left out, with a note.
        Arguments as in ``recommend``; raises ``UnknownNameError`` for a placement nobody defined.
        """
        from zhiyin.pipeline.presets import HOME_PAGE

        # Where nothing comes back, what somebody had is no reason to show it first.
        unfit = {"again"} if self.data.manifest.repeat.policy == "never" else set()
        names = [name for name in HOME_PAGE if self.shelves.has(name) and name not in unfit] if placements is None else list(placements)
        notes: list[str] = []
        asking = self.asker.asking(user, history, text, items, now, place, context, notes)
        shown, used, shelves = self.asker.found(exclude, "excluded", notes), list[int](), list[Answer]()
        if placements is not None and not names:
            raise ConfigError("a page needs placements, and none are named", "Name some, or leave them out for those of a home page.")
        if not names:
            raise UnknownNameError("a page needs placements, and this model has none", "Give it some: zhiyin placements MODEL --fit")
        for standing in [self.shelves.find(name) for name in names]:
            answer, anchors = self._shelf(standing, asking, None, shown, None, language, [], used)
            if len(answer) < standing.least:
                notes.append(f"shelf '{standing.name}' left out: {len(answer)} items, it needs {standing.least}")
                continue
            shelves.append(answer)
            used += anchors
            shown = shown + [self.catalog.items.find(i) for i in answer.ids]
        return Page(asking.asked, tuple(shelves), tuple(notes))

    def with_placements(self, placements: Iterable[Placement] | None = None, run: Run | None = None) -> Self:
        """A recommender that fills these placements (None = the presets its data can fill); models they need are fitted.

        Placements it had go. Raises ``ConfigError`` for one that names what this model or data does not have.
        """
        from zhiyin.pipeline.presets import presets
        from zhiyin.pipeline.shelf import Shelves

        given = presets(self.data) if placements is None else tuple(placements)
        Shelves(Placed(given, n_known=len(self.catalog)), self.model, self.fallback, self.data).check()
        return replace(self, placed=Placed.fit(given, self.data, run or Run(report=silent)))

    def recommend_users(
        self,
        users: Sequence[str],
        n: int | None = None,
        *,
        now: Time | None = None,
        placement: str = "home",
        repeat: Repeat | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> pl.DataFrame:
        """Lists for many known users at once, in the same ``context``: columns user_id, rank, item_id, score. Unknown names raise.

        One batch through the model, several thousand people a second; ``pipeline.batch`` for more than fit in memory.
        """
        ix = self.data.users.ix_of(users)
        if bool((ix < 0).any()):
            raise self._unknown("user", users[int(np.flatnonzero(ix < 0)[0])], self.data.users.ids.to_pylist())
        slates = self.lists(ix, n, now, placement, repeat, context)
        rank = np.arange(len(slates.item_ix)) - np.repeat(slates.offsets[:-1], slates.lengths) + 1
        ids = self.catalog.items.names(slates.item_ix)
        names = np.asarray(users, object)[slates.items.rows].tolist()
        return pl.DataFrame({"user_id": names, "rank": rank, "item_id": ids, "score": slates.score})

    def lists(
        self,
        users: Int32,
        n: int | None = None,
        now: Time | None = None,
        placement: str = "home",
        repeat: Repeat | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Slates:
        """The same as row numbers, for batches: ``users`` (n_users,) rows of ``data.users``, one list each."""
        at = self.asker.at(now)
        said = self.asker.same_context(context or {}, len(users))
        request = Requests.of(self.asker.histories(users, at), users, at, context=said)
        if placement != "home" or self.shelves.has("home"):
            standing = self.shelves.find(placement)
            request = self.asker.excluding(request, [], n or standing.size, repeat or standing.repeat, placement)
            return in_front(self.chains, standing, request, n or standing.size, lambda r, k: self.shelves.stand(standing, r, k)).slates
        return self.by_model(self.asker.excluding(request, [], n or 10, repeat, placement), n or 10)[0]

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
            slates, served = self.by_text(request, n), "text"
        else:
            request = replace(
                self.asker.excluding(Requests.of(self.asker.given([ix], self.newest_us), now_us=self.newest_us), [], n, None, "item"),
                exclude=itself,
            )
            slates, served = self.by_model(request, n)
        return Answer(f"similar to {self.catalog.titles(np.array([ix]))[0]}", told(slates, self.data), served, "allow")

    def with_items(self, table: pl.DataFrame | Sequence[Mapping[str, Any]]) -> Self:
        """A recommender that also knows new items, from their text, without training again.

        ``table`` has the catalogue's columns (missing ones are empty, others are ignored) and the id
        column. Raises ``DataError`` for a missing id column, ids known already, or values of another type.
        """
        ids, rows = self._identified(table)
        try:
            catalog = self.catalog.with_rows(ids, rows)
        except pl.exceptions.PolarsError as error:
            raise _unfit(error) from None
        return self.with_catalog(catalog)

    def with_changes(self, table: pl.DataFrame | Sequence[Mapping[str, Any]], gone: Iterable[str] = ()) -> Self:
        """A recommender that knows new items and new values of known ones, and never shows those that are ``gone``.

        Columns that are not given keep their values; an item given again comes back. Raises as ``with_items``.
        """
        ids, rows = self._identified(table)
        catalog = self.catalog
        new = np.array([catalog.items.find(i) < 0 for i in ids], np.bool_)
        try:
            if (~new).any():
                known = [i for i, fresh in zip(ids, new, strict=True) if not fresh]
                catalog = catalog.with_values(known, rows.filter(~new))
                catalog = catalog.with_availability(known, True) if catalog.available is not None else catalog
            if new.any():
                catalog = catalog.with_rows([i for i, fresh in zip(ids, new, strict=True) if fresh], rows.filter(new))
        except pl.exceptions.PolarsError as error:
            raise _unfit(error) from None
        left = [i for i in gone if catalog.items.find(i) >= 0]
        return self.with_catalog(catalog.with_availability(left, False) if left else catalog)

    def _identified(self, table: pl.DataFrame | Sequence[Mapping[str, Any]]) -> tuple[list[str], pl.DataFrame]:
        """The ids of a table of items, and the table."""
        named = self.data.manifest.items.id if self.data.manifest.items else "item_id"
        rows = table if isinstance(table, pl.DataFrame) else pl.DataFrame(list(table), infer_schema_length=None)
        if not rows.height:
            return [], rows
        if named not in rows.columns:
            raise DataError(f"the table of new items has no column '{named}'", f"It has {', '.join(rows.columns) or 'none'}.")
        if rows[named].null_count():
            raise DataError(
                f"column '{named}' of the new items is empty in row {rows[named].is_null().arg_true()[0] + 1}", "Give every item an id."
            )
        return [str(i) for i in rows[named].to_list()], rows

    def with_catalog(self, catalog: Catalog) -> Self:
        """The same knowledge over a catalogue that has the old rows first; rows without vectors are read now."""
        if self.reader is not None and "text" in catalog.vectors:
            catalog = self.reader.fill(catalog)
        fresh = replace(
            self,
            model=self.model.with_catalog(catalog),
            fallback=self.fallback.with_catalog(catalog),
            data=self.data.with_catalog(catalog),
            placed=self.placed.with_catalog(catalog),
        )
        if "traits" in self.__dict__:  # who liked what is not counted again
            fresh.__dict__["traits"] = self.traits.with_catalog(catalog)
        return fresh

    def save(self, folder: str | Path, *, search: bool = True) -> Path:
        """Write everything answers need into one folder, whole or not at all; gives its path. See ``saved.save``."""
        from zhiyin.pipeline.saved import save

        return save(self, folder, search=search)

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Open a saved recommender; ``ModelFileError`` for a damaged, newer or other folder."""
        from zhiyin.pipeline.saved import load

        return load(folder)

    def _shelf(
        self,
        standing: Placement,
        asking: Asking,
        asked_n: int | None,
        gone: list[int],
        repeat: Repeat | None,
        language: Language | None,
        notes: list[str],
        used: Sequence[int] = (),
    ) -> tuple[Answer, list[int]]:
        """The shelf of one placement, and the items it is about where each shelf should be about others."""
        n, policy = asked_n or standing.size, repeat or standing.repeat
        request = self.asker.excluding(asking.request, gone, n, policy, standing.name)
        shelf = in_front(self.chains, standing, request, n, lambda r, k: self.shelves.stand(standing, r, k, asking.about, used))
        where = -1 if request.place_ix is None else int(request.place_ix[0])
        place = self.data.places[where] if where >= 0 else ""
        title = self.shelves.title(standing, language or language_of(self.data), shelf.about, place, kinds_known=asking.kinds_known)
        said = str(policy or self.data.manifest.repeat)
        answer = Answer(asking.asked, told(shelf.slates, self.data), shelf.served_by, said, tuple(notes), standing.name, title)
        return answer, shelf.about.item_ix.tolist() if standing.about == "last" else []

    # From Requests to an answer.

    def by_text(self, request: Requests, n: int) -> Slates:
        """Cosine of query and item vectors; items without text never."""
        vectors = self.catalog.vectors["text"]
        query = request.query_vectors if request.query_vectors is not None else np.zeros((len(request), vectors.dim), np.float32)
        live = vectors.present if self.catalog.available is None else vectors.present & self.catalog.available
        index = ExactIndex(vectors.matrix, live)
        return index.search(query, n, exclude=request.exclude, candidates=request.candidates, allowed=request.allowed)

    def by_model(self, request: Requests, n: int) -> tuple[Slates, str]:
        """The model's lists, filled up by the fallback where they are short."""
        found = retrieved(self.model, request, n)
        if self.model is self.fallback:
            return found, self.model.spec.kind
        whole = topped_up(found, self.fallback, request, n)
        said = [self.model.spec.kind] if len(found.item_ix) else []
        if len(whole.item_ix) > len(found.item_ix) or not said:
            said.append(self.fallback.spec.kind)
        return whole, ", then ".join(said)

    def _unknown(self, what: str, name: str, known: list[str]) -> UnknownNameError:
        hint = nearest(name, known) if len(known) <= _FEW else "Ids look like " + ", ".join(known[:3]) + "."
        if hint.startswith("Known: "):
            hint = f"There are {len(known):,}, such as {', '.join(known[:3])}."
        return UnknownNameError(f"no {what} has the id '{name}'", hint)


def _unfit(error: Exception) -> DataError:
    return DataError(f"the new items do not fit the catalogue: {str(error).splitlines()[0]}", "Give the columns the types they have there.")
