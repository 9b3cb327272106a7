"""Published splits: a column of the events table says which part each event belongs to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zhiyin.base.arrays import Bool
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.cut import Split, holdout_of, ties_note
from zhiyin.data.dataset import Dataset
from zhiyin.data.schema import Repeat
from zhiyin.data.truth import Holdout

COLUMN = "split"
PARTS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}


def by_column(data: Dataset, repeat: Repeat | None = None) -> Split:
    """The split that ``events.split`` in the manifest names: words for train, validation and test.

    Use it to compare with published numbers. Events with other words ("unused") belong to no part;
    the note counts them. Histories hold all events of the parts before, whatever their time.
    """
    context = data.events.context
    if COLUMN not in context.columns:
        raise ConfigError(
            f"data set '{data.manifest.name}' has no column that splits its events",
            'Name it under events.split in the manifest, or use another split, e.g. "time".',
        )
    words = context[COLUMN].cast(str).str.strip_chars().str.to_lowercase()
    parts = {part: np.asarray(words.is_in(known).fill_null(False).to_numpy(), dtype=np.bool_) for part, known in PARTS.items()}
    for part, rows in parts.items():
        if not rows.any():
            seen = ", ".join(repr(w) for w in words.drop_nulls().unique().sort().head(5).to_list())
            raise DataError(f"the split column marks no event as {part}: it holds {seen}", f"Known words: {', '.join(PARTS[part])}.")
    # The column is the answer's label, not something a request knows.
    data = replace(data, events=replace(data.events, context=context.drop(COLUMN)))
    liked = data.events.weight > 0
    train, before_test = data.take(parts["train"] & liked), data.take((parts["train"] | parts["validation"]) & liked)
    policy = repeat or data.manifest.repeat
    test = _holdout(before_test, data, parts["test"] & liked, policy)
    n_other = int((~np.logical_or.reduce(list(parts.values()))).sum())
    other = f"; {n_other:,} events in no part" if n_other else ""
    note = f"published split by column; repeat {policy}; {len(test):,} requests{other}{ties_note(data)}"
    return Split(train, _holdout(train, data, parts["validation"] & liked, policy), test, note, before_test)


def _holdout(past: Dataset, data: Dataset, rows: Bool, policy: Repeat) -> Holdout:
    future = data.take(rows)
    return holdout_of(past, future, np.unique(future.events.user_ix), policy)
