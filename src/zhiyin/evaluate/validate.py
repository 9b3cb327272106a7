"""Refuse lists that would make a model look better than it is."""

from __future__ import annotations

import numpy as np

from zhiyin.base.errors import DataError
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates

_REMEDY = "The model breaks the retriever's contract: fix it before measuring."


def refuse_broken(slates: Slates, requests: Requests, n_items: int, who: str = "the model") -> None:
    """Raise when lists are missing, repeat an item, leave the catalogue or return what was excluded.

    A repeated item would count as two hits, and an excluded one moves the answer up. Costs one sort
    of the list rows.
    """
    if len(slates) != len(requests):
        raise DataError(f"{who} gave {len(slates)} lists for {len(requests)} requests", _REMEDY)
    items = slates.item_ix
    if len(items) and (int(items.min()) < 0 or int(items.max()) >= n_items):
        raise DataError(f"{who} gave an item outside the catalogue of {n_items:,}", _REMEDY)
    keys = slates.items.rows * n_items + items
    keys.sort()
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        raise DataError(f"{who} gave item {keys[twice[0]] % n_items} twice in list {keys[twice[0]] // n_items}", _REMEDY)
    if requests.exclude is None or not len(keys):
        return
    banned = requests.exclude.rows * n_items + requests.exclude.values
    found = keys[np.minimum(np.searchsorted(keys, banned), len(keys) - 1)] == banned
    if bool(found.any()):
        bad = banned[np.flatnonzero(found)[0]]
        raise DataError(f"{who} gave item {bad % n_items} in list {bad // n_items}, which the request excludes", _REMEDY)
