"""Features that know what no request can know when it is asked: named before a ranker believes them.

Three signs are looked for in every column:

    shift   it sets the rows of a list apart in another way than when serving, or has gaps elsewhere
    alone   by itself it orders the lists of training nearly perfectly, or far better than every other column
    fades   by itself it orders the lists of training far better than later ones made as in serving

All three come from true stories. An invoice's own unit price, given to a ranker as "context", lifted NDCG in
validation by 60%: no request knows it (shift: always there in training, never when serving). Leaving positive
rows, and only them, out of their own counts tells the label by a difference of one (alone). A count up to and
including the event that is asked about does the same the other way round (fades).

A sign is a reason to look, no proof: people who always choose what they chose before make an honest column good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float64, Int64, row_of_flat
from zhiyin.base.errors import DataError, UnknownNameError, nearest
from zhiyin.data.slates import Slates
from zhiyin.models.features.source import LEFT_OUT
from zhiyin.models.rank.quality import auc
from zhiyin.models.roles import RankingExamples

Sign = Literal["shift", "alone", "fades"]

MAJOR = 0.25
"""A population stability index above this is called a major shift (credit scoring's rule of thumb)."""
SHIFT = 2 * MAJOR
"""Honest columns shift a little as new items and people come; a gap that only serving has gives 2 and more."""
TOO_GOOD = 0.95
"""Nothing honest orders lists so well alone, where the lists hold what a first stage found likely."""
FAR = 0.2
"""So much better in AUC than the next best column, or than later on, is far."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One sign of one column. ``value`` is what was measured: the PSI, or the AUC in training."""

    column: str
    sign: Sign
    value: float
    sentence: str


@dataclass(frozen=True, slots=True)
class Alone:
    """How well a column orders lists by itself: 0.5 = not at all, 1 = perfectly, whichever way round; and its standard error."""

    auc: float
    error: float


def find_leaks(
    training: RankingExamples, serving: RankingExamples | Slates, *, columns: Sequence[str] = (), psi_from: float = SHIFT
) -> list[Leak]:
    """Columns that leak, worst first within each sign, with a sentence that says why.

    ``serving`` holds rows made as they are when serving, from later requests; with labels (RankingExamples)
    a column that fades is found too. ``columns``: those to look at, default all that ``training`` has.
    """
    later = serving if isinstance(serving, Slates) else serving.slates
    if not len(training.labels) or not len(later.item_ix):
        raise DataError("leaks are looked for in examples and in serving rows, and one of them is empty", "Give both some rows.")
    names = tuple(columns) or tuple(name for name in training.slates.columns if name != LEFT_OUT)
    for name in names:
        if name not in training.slates.columns:
            raise UnknownNameError(f"the examples have no column '{name}'", nearest(name, training.slates.columns))
    now = {name: alone(training, name) for name in names}
    found = _shifted(training.slates, later, names, psi_from) + _too_good(now)
    if isinstance(serving, RankingExamples):
        shared = [name for name in names if name in later.columns]
        found += _fading({name: now[name] for name in shared}, {name: alone(serving, name) for name in shared})
    return found


def psi(one: AnyArray, other: AnyArray, bins: int = 10) -> float:
    """Population stability index of two samples of a column: 0 = alike, above 0.25 = another population.

    Sum over bins of (p - q) ln(p / q). Bins are cut at the quantiles of the first sample; a value that fills
    a quantile has a bin of its own, and so have gaps.
    """
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    cuts = np.unique(first[~np.isnan(first)])
    if len(cuts) > 2 * bins:
        cuts = np.unique(np.quantile(first[~np.isnan(first)], np.linspace(0, 1, bins + 1)[1:-1], method="nearest"))
    return _index(_binned(first, cuts), _binned(second, cuts))[0]


def _index(one: Int64, other: Int64) -> tuple[float, int]:
    """The index of two rows of counts, and how many bins hold anything."""
    counts = np.stack([one, other]).astype(np.float64)
    counts = counts[:, counts.sum(axis=0) > 0]
    shares = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum()), counts.shape[1]


def _binned(values: Float64, cuts: Float64) -> Int64:
    """Counts below, at and above each cut, and of the gaps last."""
    code = np.searchsorted(cuts, values, side="left") + np.searchsorted(cuts, values, side="right")
    code[np.isnan(values)] = 2 * len(cuts) + 1
    return np.bincount(code, minlength=2 * len(cuts) + 2).astype(np.int64)


def alone(examples: RankingExamples, column: str) -> Alone:
    """AUC within lists of one column by itself, its gaps ranked first or last, whichever is better.

    Where no list has both kinds of rows, AUC over all rows.
    """
    values = examples.slates.columns[column].astype(np.float64)
    gaps = np.isnan(values)
    tried = [np.where(gaps, fill, values) for fill in ((-np.inf, np.inf) if gaps.any() else (0.0,))]
    return max((_alone(examples, filled) for filled in tried), key=lambda found: found.auc)


def _alone(examples: RankingExamples, values: Float64) -> Alone:
    chosen = examples.labels > 0
    each = auc_within_lists(chosen, values, examples.slates.offsets)
    if len(each):
        mean = float(each.mean())
        # Half a list more on either side: a column that is right every time is not known without error.
        error = float(np.sqrt(each.var() / len(each) + 0.25 / len(each) ** 2))
    else:
        mean = auc(chosen, values)
        error = float(np.sqrt(1 / (12 * max(min(int(chosen.sum()), int((~chosen).sum())), 1))))
    return Alone(0.5 if np.isnan(mean) else max(mean, 1 - mean), error)


def auc_within_lists(chosen: Bool, values: Float64, offsets: Int64) -> Float64:
    """AUC of every list that has both kinds of rows, ties counting half: (n_such_lists,)."""
    lists, n = row_of_flat(offsets), len(offsets) - 1
    rank = ranks_within_lists(values, offsets)
    n_chosen = np.bincount(lists[chosen], minlength=n)
    n_passed = np.diff(offsets) - n_chosen
    above = np.bincount(lists[chosen], rank[chosen], minlength=n) - n_chosen * (n_chosen + 1) / 2
    both = (n_chosen > 0) & (n_passed > 0)
    return np.asarray(above[both] / (n_chosen[both] * n_passed[both]), np.float64)


def ranks_within_lists(values: Float64, offsets: Int64) -> Float64:
    """Place of each row in its list from the smallest value, 1 = first, equal ones sharing theirs: (n_flat,)."""
    lists = row_of_flat(offsets)
    order = np.lexsort((values, lists))
    ordered = values[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (lists[1:] != lists[:-1]) | (ordered[1:] != ordered[:-1])  # the order keeps lists together
    group = np.cumsum(fresh) - 1
    place = np.arange(len(order), dtype=np.float64) - offsets[lists] + 1
    out = np.zeros(len(order))
    out[order] = (np.bincount(group, place) / np.maximum(np.bincount(group), 1))[group]
    return out


def _places(slates: Slates, name: str) -> Float64:
    """A column as it compares the rows of one list, 0..1, NaN in its gaps: all that can order them.

    Counts grow, prices rise and histories get longer without any leak; how rows compare stays.
    """
    if name not in slates.columns:
        return np.full(len(slates.item_ix), np.nan)
    values = slates.columns[name].astype(np.float64)
    rank = ranks_within_lists(np.where(np.isnan(values), np.inf, values), slates.offsets)
    there = np.bincount(slates.items.rows, ~np.isnan(values), minlength=len(slates))
    return np.where(np.isnan(values), np.nan, (rank - 0.5) / np.maximum(there, 1)[slates.items.rows])


def _tenths(places: Float64) -> Int64:
    """Counts of ten equal parts of 0..1, and of the gaps: (11,)."""
    code = np.where(np.isnan(places), 10, np.minimum(np.nan_to_num(places) * 10, 9)).astype(np.int64)
    return np.bincount(code, minlength=11).astype(np.int64)


def _shifted(training: Slates, serving: Slates, names: Sequence[str], psi_from: float) -> list[Leak]:
    found, limits, gaps = {}, {}, {}
    n = 1 / _independent(training) + 1 / _independent(serving)
    for name in names:
        one, other = _places(training, name), _places(serving, name)
        found[name], bins = _index(_tenths(one), _tenths(other))
        # Chance alone shows (bins - 1) * n on average; a hundred columns are looked at.
        limits[name] = 6 * (bins - 1) * n
        gaps[name] = (float(np.isnan(one).mean()), float(np.isnan(other).mean()))
    usual = 5 * float(np.median(list(found.values()))) if len(found) > 4 else 0.0
    guilty = [name for name in sorted(found, key=lambda name: -found[name]) if found[name] > max(psi_from, limits[name], usual)]
    return [Leak(name, "shift", found[name], _shift_sentence(name, found[name], *gaps[name])) for name in guilty]


def _independent(slates: Slates) -> int:
    """How many rows can differ by chance: rows of one request say much the same, and so do those of one item."""
    return max(min(int((slates.lengths > 0).sum()), len(np.unique(slates.item_ix))), 1)


def _shift_sentence(name: str, value: float, before: float, after: float) -> str:
    gaps = f"it is missing in {before:.0%} of the training rows and in {after:.0%} when serving; " if abs(before - after) > 0.1 else ""
    return f"'{name}' is not the same in training and when serving (PSI {value:.2f}): {gaps}is it computed from what is known by then?"


def _too_good(now: Mapping[str, Alone]) -> list[Leak]:
    ordered = sorted(now, key=lambda name: -now[name].auc)
    strength = np.array([now[name].auc for name in ordered])
    ahead = 0
    if len(ordered) > 4:
        # Few columns far ahead of all the rest; columns of one leak stand together.
        steps = (strength[:-1] - strength[1:])[: max(len(ordered) // 10, 1)]
        first = int(np.argmax(steps))
        ahead = first + 1 if steps[first] > max(FAR, 4 * now[ordered[first]].error) else 0
    found = []
    for at, name in enumerate(ordered):
        here = now[name]
        if at < ahead or here.auc >= TOO_GOOD:
            far = f", the best of the others reaches {strength[ahead]:.3f}" if at < ahead else ""
            said = f"'{name}' alone orders the lists of training with an AUC of {here.auc:.3f}{far}: does it know the answer?"
            found.append(Leak(name, "alone", here.auc, said))
    return found


def _fading(now: Mapping[str, Alone], later: Mapping[str, Alone]) -> list[Leak]:
    found = []
    for name, here in now.items():
        there = later[name]
        drop = here.auc - there.auc
        if drop > max(FAR / 2, 4 * float(np.hypot(here.error, there.error))):
            said = f"'{name}' alone reaches an AUC of {here.auc:.3f} in training and {there.auc:.3f} later: it saw the training answers."
            found.append(Leak(name, "fades", here.auc, said))
    return sorted(found, key=lambda leak: -leak.value)
