"""What reading every item of a catalogue gives: the index of its words, their spellings and sounds, completions, intent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray
from zhiyin.data.catalog import Catalog
from zhiyin.index.lexical import LexicalIndex
from zhiyin.models.roles import State
from zhiyin.pipeline.finding_complete import TITLE, Completer
from zhiyin.pipeline.finding_documents import FIELDS, Columns
from zhiyin.pipeline.finding_facets import Facets
from zhiyin.pipeline.finding_intent import Intent, learn_intent
from zhiyin.text.words_lexicon import Lexicon


@dataclass(frozen=True)
class Learned:
    """Immutable; ``with_rows`` reads new and changed items, ``state`` and ``restore`` are its ways to disk."""

    index: LexicalIndex
    lexicon: Lexicon
    completer: Completer
    intent: Intent | None
    about: str | None  # the facet whose first values ``intent`` knows

    @classmethod
    def of(cls, catalog: Catalog, columns: Columns, facets: Facets) -> Self:
        """Read all items; .2 ms of CPU each for products, more for long texts."""
        documents = columns.documents(catalog)
        about = next(iter(facets.categories), None)
        return cls(
            LexicalIndex.of(documents.rows, FIELDS),
            Lexicon.of(documents.words),
            _completed(Completer(), catalog, columns, np.arange(len(catalog))),
            learn_intent(documents.said(), facets.by_name[about].first(), facets.by_name[about].values) if about else None,
            about,
        )

    def with_rows(self, catalog: Catalog, columns: Columns, changed: AnyArray) -> Self:
        """Over a catalogue that has the old rows first; ``changed`` ones are read again. Intent stays as it was learned."""
        new = np.arange(self.index.n_rows, len(catalog))
        rows = np.concatenate([changed, new])
        documents = columns.documents(catalog, rows)
        n = len(changed)
        index = self.index.replaced(changed, documents.rows[:n]) if n else self.index
        completer = self.completer.without(changed) if n else self.completer
        return type(self)(
            index.with_rows(documents.rows[n:]),
            self.lexicon.with_words(documents.words),
            _completed(completer, catalog, columns, rows),
            self.intent,
            self.about,
        )

    def state(self) -> State:
        parts: dict[str, Mapping[str, AnyArray]] = {
            "index": self.index.state(),
            "lexicon": self.lexicon.state(),
            "completer": self.completer.state(),
            "intent": self.intent.state() if self.intent else {},
        }
        return State(meta={"about": self.about}).holding({name: State(arrays) for name, arrays in parts.items()})

    @classmethod
    def restore(cls, state: State) -> Self:
        """At once, where reading 100,000 products took twenty seconds: all but Chinese sounds stays where it lies."""
        intent = state.under("intent").arrays
        return cls(
            LexicalIndex.restore(state.under("index").arrays, FIELDS),
            Lexicon.restore(state.under("lexicon").arrays),
            Completer.restore(state.under("completer").arrays),
            Intent.restore(intent) if intent else None,
            state.meta["about"],
        )


def _completed(completer: Completer, catalog: Catalog, columns: Columns, rows: AnyArray) -> Completer:
    """With the titles and categories of rows."""
    if not len(rows):
        return completer
    titles = [(int(row), title, TITLE) for row, title in zip(rows, catalog.titles(rows), strict=True)] if columns.title else []
    return completer.with_texts([*titles, *columns.kind_values(catalog, rows)])
