"""Lists joined to lists: exclusions with exclusions, short slates with what fills them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Ragged, offsets_of
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.roles import Retriever


def joined(one: Ragged, other: Ragged) -> Ragged:
    """List i of the result = list i of one, then list i of the other."""
    order = np.argsort(np.concatenate([one.rows, other.rows]), kind="stable")
    return Ragged(offsets_of(one.lengths + other.lengths), np.concatenate([one.values, other.values])[order])


def retrieved(model: Retriever, requests: Requests, n: int) -> Slates:
    """What a model finds for requests of which each may have a filter of its own."""
    masks = requests.masks
    if masks is None or getattr(model, "takes_masks", False):
        return model.retrieve(requests, n)
    groups = list(masks.groups())
    parts = [model.retrieve(replace(requests.take(rows), masks=None, allowed=mask), n) for rows, mask in groups]
    return Slates.concatenated(parts).take(np.argsort(np.concatenate([rows for rows, _ in groups])))


def topped_up(found: Slates, model: Retriever, requests: Requests, n: int) -> Slates:
    """Lists shorter than n filled with what the model finds beside them."""
    short = (found.lengths < n).nonzero()[0]
    if not len(short):
        return found
    rest, had = requests.take(short), found.take(short).items
    rest = replace(rest, exclude=had if rest.exclude is None else joined(rest.exclude, had))
    return filled(found, short, retrieved(model, rest, n), n)


def filled(found: Slates, rows: AnyArray, more: Slates, n: int) -> Slates:
    """``found`` with the lists of ``more`` behind those at ``rows`` (ascending), cut to n each.

    Scores of two models do not compare: what is added to a list that has something steps down by one
    from its last score, so the order stays readable; a list that had nothing takes the scores as they are.
    """
    last = np.zeros(len(rows), np.float32)
    had = found.lengths[rows] > 0
    last[had] = found.score[found.offsets[1:][rows[had]] - 1]
    place = np.arange(len(more.item_ix)) - np.repeat(more.offsets[:-1], more.lengths)
    steps: Float32 = (np.repeat(last, more.lengths) - 1 - place).astype(np.float32)
    score = np.where(np.repeat(had, more.lengths), steps, more.score)
    lists = np.concatenate([found.items.rows, rows[more.items.rows]])
    order = np.argsort(lists, kind="stable")
    offsets = offsets_of(np.bincount(lists, minlength=len(found)))
    columns = {name: np.concatenate([c, np.full(len(score), np.nan, np.float32)])[order] for name, c in found.columns.items()}
    return Slates(
        offsets,
        np.concatenate([found.item_ix, more.item_ix])[order],
        np.concatenate([found.score, score]).astype(np.float32)[order],
        columns,
    ).top(n)
