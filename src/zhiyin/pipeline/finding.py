"""Search over a catalogue: words and meaning in one list, with facets, completion and an honest way out of nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32
from zhiyin.base.errors import ConfigError, ModelFileError
from zhiyin.data.dataset import Dataset
from zhiyin.data.variants import Variants
from zhiyin.index.exact import NEVER
from zhiyin.index.lexical import Scored
from zhiyin.pipeline.finding_documents import Columns
from zhiyin.pipeline.finding_facets import Facets
from zhiyin.pipeline.finding_found import Completion, Fallback, Found, FoundItem
from zhiyin.pipeline.finding_fuse import FindingSpec, fused, preferred, title_likeness
from zhiyin.pipeline.finding_learned import Learned
from zhiyin.pipeline.finding_near import Near
from zhiyin.pipeline.finding_why import note_of, popular_in, reasons
from zhiyin.pipeline.placement import Language
from zhiyin.text.synonyms import Synonyms
from zhiyin.text.vectors import NAME, Reader
from zhiyin.text.words_query import QueryReader, Reading
from zhiyin.text.words_terms import said


@dataclass(frozen=True)
class Finder:
    """Finds items by what people type. Immutable: ``with_data`` gives one that knows new and changed items.

    Built from a recommender's data and reader (``Finder.of(recommender.data, recommender.reader)``), so that search and
    recommendation share catalogue and vectors. Thread-safe; reads no clock; never imports torch.
    """

    data: Dataset
    reader: Reader | None
    learned: Learned
    facets: Facets
    near: Near | None  # the catalogue's text vectors; None where items have none
    popularity: Float32  # (n_items,)
    synonyms: Synonyms = field(default_factory=Synonyms)
    spec: FindingSpec = field(default_factory=FindingSpec)

    @classmethod
    def of(
        cls,
        data: Dataset,
        reader: Reader | None,
        *,
        learned: Learned | None = None,
        near: Near | None = None,
        popularity: AnyArray | None = None,
        synonyms: Synonyms | None = None,
        spec: FindingSpec | None = None,
    ) -> Self:
        """Over all items of the data.

        ``learned`` is what ``finder.learned.state()`` gave, restored; every item is read where it is not given (half a
        minute for 100,000). ``near`` finds by ``catalog.vectors["text"]``, ``popularity`` (n_items,) counts weighted events;
        both are made where they are not given. Raises ``ModelFileError`` for something learned from another number of items.
        """
        catalog = data.catalog
        facets = Facets.of(catalog, data.manifest)
        known = learned or Learned.of(catalog, Columns.of(data.manifest, catalog), facets)
        if known.index.n_rows != len(catalog):
            raise ModelFileError(
                f"the search index was made from {known.index.n_rows:,} items, the catalogue has {len(catalog):,}", "Build it again."
            )
        if near is None and reader is not None and NAME in catalog.vectors:
            near = Near.of(catalog.vectors[NAME].matrix)
        return cls(
            data,
            reader,
            known,
            facets,
            near,
            np.asarray(popularity_of(data) if popularity is None else popularity, np.float32),
            synonyms or Synonyms(),
            spec or FindingSpec(),
        )

    # What was typed, and what has it.

    @cached_property
    def queries(self) -> QueryReader:
        return QueryReader(self.learned.lexicon, self.learned.index.count, self.synonyms)

    @cached_property
    def _weights(self) -> Float32:
        return self.learned.completer.weights(self.popularity, self.data.catalog.available)

    def complete(self, typed: str, n: int = 8) -> list[Completion]:
        """At most n titles and categories that begin so at one of their words, the popular first.

        Pinyin and initials begin Chinese ones; what begins nothing is read again with its misspelt words mended.
        """
        if n < 1:
            raise ConfigError(f"n = {n} completions cannot be given", "Ask for 1 or more.")
        found = self.learned.completer.complete(typed, n, self._weights)
        if not found and typed.strip():
            mended = self.queries.read(typed)
            found = self.learned.completer.complete(mended.understood, n, self._weights) if mended.changed else []
        return found

    def search(
        self,
        text: str,
        n: int = 10,
        *,
        allowed: Bool | None = None,
        facets: Sequence[str] | None = None,
        preference: AnyArray | None = None,
        preference_share: float | None = None,
        offset: int = 0,
        language: Language = "en",
        variants: Variants | None = None,
    ) -> Found:
        """Items for what somebody typed, from place ``offset`` on; pages of one finder never repeat an item.

        ``allowed`` (n_items,) filters: n come back when n exist. ``facets`` names what to count by, None = all.
        ``preference`` (n_items,) is what the asker likes, on any scale; ``preference_share`` (default of the spec) is its
        weight, stated in the answer. Of ``variants`` of one thing the best stands there. Where no item has the words,
        misspellings of known words are tried, then some of the words, then meaning, then what is popular, and the answer says
        which in ``language``. Raises ``ConfigError`` for an empty text, n below 1, a negative offset, arrays of another length,
        ``UnknownNameError`` for a facet there is not.
        """
        self._check(text, n, offset, allowed, preference)
        live = _both(len(self.data.catalog), self.data.catalog.available, allowed)
        reading, scored, hit, fallback = self._by_words(text, live)
        # The very mask that was given, where it is all there is: an index may know it already.
        mask = allowed if self.data.catalog.available is None else live
        rows, score = self._pool(reading, scored, hit, mask)
        by = scored.score  # what orders the items behind the pool
        if not hit.any():
            fallback = "meaning" if len(rows) else "popular"
        if fallback == "popular":
            hit, by = live, self.popularity
            rows = _best(by, live, self.spec.depth)
            score = by[rows] / max(float(by.max(initial=0.0)), 1.0)
        share = 0.0
        if preference is not None:
            share = self.spec.preference if preference_share is None else preference_share
            score = preferred(score, preference[rows], share)
        everything = hit.copy()
        everything[rows] = True
        page, scores = _page(rows, score, everything, by, slice(offset, offset + n), variants)
        names = tuple(self.facets.by_name) if facets is None else facets
        return Found(
            text,
            reading.understood,
            self._told(page, scores, reading, language, popular=fallback == "popular"),
            int(everything.sum()) if variants is None else variants.count(everything),
            int(hit.sum()) if fallback != "popular" else 0,
            offset,
            self.facets.counts(names, np.flatnonzero(everything)),
            fallback,
            note_of(fallback, reading, language),
            share,
        )

    def _check(self, text: str, n: int, offset: int, allowed: Bool | None, preference: AnyArray | None) -> None:
        if not text.strip():
            raise ConfigError("the text to search for is empty", "Say what is wanted.")
        if n < 1 or offset < 0:
            raise ConfigError(f"n = {n} items from place {offset} cannot be shown", "Ask for n of 1 or more from place 0 or more.")
        for name, given in (("allowed", allowed), ("preference", preference)):
            if given is not None and len(given) != len(self.data.catalog):
                raise ConfigError(f"'{name}' has {len(given)} values for {len(self.data.catalog)} items", "Give one for each item.")

    def _by_words(self, text: str, live: Bool) -> tuple[Reading, Scored, Bool, Fallback]:
        """The query as read, what it scores, which items have it, and what had to be given up for that."""
        reading = self.queries.read(text)
        scored = self.learned.index.scores(reading.groups)
        some = live & (scored.score > 0)
        if reading.n_required > self.spec.all_words_up_to:
            return reading, scored, some, ""
        hit = live & (scored.n_had == scored.n_required) & (scored.n_required > 0)
        if hit.any():
            return reading, scored, hit, ""
        doubted = self.queries.read(text, lenient=True)
        if doubted.parts != reading.parts:
            again = self.learned.index.scores(doubted.groups)
            hit = live & (again.n_had == again.n_required)
            if hit.any():
                best = int(np.argmax(np.where(hit, again.score, NEVER)))
                terms = list({term for part in doubted.parts for way in part.ways for term in way.terms})
                had = self.learned.index.weights(terms, np.array([best]))[:, 0] > 0
                return doubted.preferring({term for term, there in zip(terms, had, strict=True) if there}), again, hit, "corrected"
        return reading, scored, some, "some words" if some.any() else ""

    def _pool(self, reading: Reading, scored: Scored, hit: Bool, mask: Bool | None) -> tuple[AnyArray, Float32]:
        """The best items by words and by meaning, and their scores: (n,) rows, best first, ties by row."""
        best_words = float(scored.score.max(initial=0.0, where=hit))
        by_words = rows = _best(scored.score, hit, self.spec.depth)
        category = self._category(reading)
        if category is not None:
            chosen = fused(scored.score, best_words, None, 0.0, category, self.spec)
            rows = np.union1d(rows, _best(chosen, hit, self.spec.depth))
        vector = self._vector(reading)
        cosine, mean = None, 0.0
        if vector is not None and self.near is not None:
            rows = np.union1d(rows, self.near.closest(vector, self.spec.depth, mask, self.spec.close)[0])
            cosine, mean = self.near.matrix[rows] @ vector, self.near.middle(vector)
        category = None if category is None else category[rows]
        score = fused(scored.score[rows], best_words, cosine, mean, category, self.spec)
        if self.spec.title:
            # By words alone: a title that is spelt like the query has its words, whatever it means.
            alike = title_likeness(reading.understood, self.data.catalog.titles(by_words))
            score[np.isin(rows, by_words)] += np.float32(self.spec.title) * alike
        order = np.lexsort((rows, -score))
        return rows[order], score[order]

    def _vector(self, reading: Reading) -> Float32 | None:
        """What the query means; None where the encoder cannot read it."""
        if self.reader is None or self.near is None or not self.spec.meaning:
            return None
        texts = (reading.understood, reading.text) if reading.changed else (reading.text, reading.understood)
        for text in texts:
            if self.reader.encoder.unknown_share([text]) <= self.spec.unread_share:
                vector = self.reader.query(text)
                return vector if vector.any() else None
        return None

    def _category(self, reading: Reading) -> Float32 | None:
        """The probability that the query is about the category of each item: (n_items,); None without an idea."""
        intent = self.learned.intent
        if intent is None or not self.spec.intent:
            return None
        shares = intent.shares(said(reading.understood, in_title=True).terms)
        return np.asarray(np.append(shares, np.float32(0.0))[self._codes], np.float32)

    @cached_property
    def _codes(self) -> Int32:
        """Category of each item as ``intent`` numbers them, -1 for none or one it does not know: (n_items,)."""
        intent, about = self.learned.intent, self.learned.about
        if intent is None or about is None or about not in self.facets.by_name:
            return np.full(len(self.data.catalog), -1, np.int32)
        facet = self.facets.by_name[about]
        place = {name: i for i, name in enumerate(intent.categories)}
        number = np.array([*(place.get(value, -1) for value in facet.values), -1], np.int32)
        return np.asarray(number[facet.first()], np.int32)

    def _told(self, rows: AnyArray, scores: Float32, reading: Reading, language: Language, *, popular: bool) -> tuple[FoundItem, ...]:
        catalog = self.data.catalog
        why = [popular_in(language)] * len(rows) if popular else reasons(self.learned.index, reading, rows, language)
        ids, titles = catalog.items.names(rows), catalog.titles(rows)
        return tuple(
            FoundItem(int(row), id_, title, float(score), reason)
            for row, id_, title, score, reason in zip(rows, ids, titles, scores, why, strict=True)
        )

    # Growing.

    def with_data(self, data: Dataset, changed: AnyArray | Sequence[int] = (), *, popularity: AnyArray | None = None) -> Self:
        """A finder over a catalogue that has the old rows first: later rows are new, ``changed`` ones are read again.

        Which category words speak of, and the averages of BM25, stay as they were learned.
        """
        catalog, old = data.catalog, len(self.data.catalog)
        again = np.unique(np.asarray(changed, np.int64))
        n_new = len(catalog) - old
        if popularity is None:
            popularity = np.concatenate([self.popularity, np.zeros(n_new, np.float32)])
        return replace(
            self,
            data=data,
            learned=self.learned.with_rows(catalog, Columns.of(data.manifest, catalog), again),
            facets=self.facets.with_rows(catalog, np.concatenate([again, np.arange(old, len(catalog))])),
            near=None if self.near is None else self.near.with_rows(catalog.vectors[NAME].matrix, again),
            popularity=np.asarray(popularity, np.float32),
        )


def popularity_of(data: Dataset) -> Float32:
    """Weighted events of each item."""
    return np.bincount(data.events.item_ix, data.events.weight, minlength=len(data.catalog)).astype(np.float32)


def _both(n: int, available: Bool | None, allowed: Bool | None) -> Bool:
    """What may be shown: (n,)."""
    live = np.ones(n, np.bool_) if available is None else available
    return live if allowed is None else live & allowed


def _best(score: Float32, among: Bool, k: int) -> AnyArray:
    """The k rows of highest score, ties by row number, in ascending order: quick where few are asked about."""
    rows = np.flatnonzero(among)
    if len(rows) <= k:
        return rows
    own = score[rows]
    least = np.partition(own, len(own) - k)[len(own) - k]
    above = own > least
    return np.sort(np.concatenate([rows[above], rows[own == least][: k - int(above.sum())]]))


def _page(
    rows: AnyArray, score: Float32, everything: Bool, by: Float32, part: slice, variants: Variants | None
) -> tuple[AnyArray, Float32]:
    """Rows and scores of a page: the pool (n,) by its scores, then everything else by what found it; of variants the first."""
    order = np.lexsort((rows, -score))
    rows, score = rows[order], score[order]
    if part.stop > (len(rows) if variants is None else variants.count(rows)):
        rest = everything.copy()
        rest[rows] = False
        others = np.flatnonzero(rest)
        others = others[np.lexsort((others, -by[others]))]
        least = score[-1] if len(score) else np.float32(0.0)
        rows, score = np.concatenate([rows, others]), np.concatenate([score, np.full(len(others), least, np.float32)])
    if variants is not None:
        first = variants.firsts(rows)
        rows, score = rows[first], score[first]
    return rows[part], score[part]
