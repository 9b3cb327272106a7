"""Business rules over one catalogue: pins, boosts, buries and quotas applied to lists, and what each of them moved.

The one order in which things happen to a list:

    candidates ── rules.prepare ──▶ pinned items and items for quotas join, boosts and buries reorder
               ── re-rankers ────▶ diversity, calibration, fatigue, safety
               ── rules.place ───▶ quotas choose the first places, pins take theirs
               ── .top(n)

Nothing joins a list later, so what a re-ranker drops (a safety list) stays away, pinned or not. A pin never brings
back what the request excludes (seen items under repeat = never, earlier pages) or does not allow, nor what is unavailable,
not yet published or expired. ``apply`` does all three steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, Int64, offsets_of
from zhiyin.base.errors import ConfigError
from zhiyin.data.dataset import Dataset
from zhiyin.data.filters import Columns, Filters
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.reranker import rearranged, relevance, reranked, whole
from zhiyin.models.roles import Reranker
from zhiyin.pipeline.business_file import Boost, Bury, Filtered, Kind, Pin, Quota, Rule, RuleFile
from zhiyin.pipeline.business_quota import Limit, under_quotas
from zhiyin.pipeline.business_when import Scope
from zhiyin.pipeline.placement import Language

COLUMNS: dict[Kind, str] = {"pin": "rule.pin", "quota": "rule.quota", "boost": "rule.boost", "bury": "rule.bury"}
"""Slate columns with the number of the rule (``BusinessRules.rules``) that moved an item; NaN where none did."""

_WORDS: dict[Kind, tuple[str, str]] = {
    "pin": ("pinned by rule {}", "由规则“{}”置顶"),
    "quota": ("placed by quota {}", "由配额“{}”安排"),
    "boost": ("raised by rule {}", "由规则“{}”提升"),
    "bury": ("lowered by rule {}", "由规则“{}”降低"),
}

Retrieve = Callable[[Requests, int], Slates]
"""Finds candidates as a retriever does: used for quotas whose items are not among the candidates."""


@dataclass(frozen=True, eq=False)
class Bound:
    """A rule over the catalogue: ``mask`` (n_items,) marks the items of a filter, ``item`` is what is pinned (-1 = not there)."""

    number: int
    kind: Kind
    name: str
    rule: Rule
    scope: Scope
    mask: Bool | None = None
    item: int = -1


def bound(file: RuleFile, data: Dataset, filters: Filters | None = None) -> Iterator[Bound]:
    """Every rule over the catalogue of ``data``, in order; raises ``ConfigError`` with file and line for a filter that makes no sense."""
    known = filters or Filters(Columns.of(data.catalog, data.manifest))
    for number, (kind, name, rule) in enumerate(file.book.rules()):
        yield bind(file, number, kind, name, rule, data, known)


def bind(file: RuleFile, number: int, kind: Kind, name: str, rule: Rule, data: Dataset, filters: Filters) -> Bound:
    """One rule as ``bound`` gives it."""
    scope = Scope.of(rule, file.book, data.places)
    if isinstance(rule, Pin):
        return Bound(number, kind, name, rule, scope, item=data.catalog.items.find(rule.item))
    if not isinstance(rule, Filtered):
        return Bound(number, kind, name, rule, scope)
    try:
        return Bound(number, kind, name, rule, scope, filters.mask(rule.filter, data.catalog))
    except ConfigError as error:
        raise type(error)(f"{file.where(kind, name)}: {error.message}", error.hint) from None


@dataclass(frozen=True, eq=False)
class BusinessRules:
    """Rules ready to be applied. Made for one catalogue: more items make another (``BusinessRules.of`` again)."""

    rules: tuple[Bound, ...]
    data: Dataset

    @classmethod
    def of(cls, file: RuleFile, data: Dataset, filters: Filters | None = None) -> BusinessRules:
        return cls(tuple(bound(file, data, filters)), data)

    def apply(
        self,
        requests: Requests,
        slates: Slates,
        now_us: int | None = None,
        *,
        rerankers: Sequence[Reranker] = (),
        retrieve: Retrieve | None = None,
        start: int = 0,
    ) -> Slates:
        """The lists under the rules: ``prepare``, then the re-rankers, then ``place``. Cut with ``.top(requests.n)``.

        ``now_us`` None = each request's own. ``start`` is how many items of the same list stand on earlier
        pages: position 12 is the second place of a page that starts at 10.
        """
        ready = self.prepare(requests, slates, now_us, retrieve=retrieve, start=start)
        return self.place(requests, reranked(rerankers, requests, ready), now_us, start=start)

    def prepare(
        self, requests: Requests, slates: Slates, now_us: int | None = None, *, retrieve: Retrieve | None = None, start: int = 0
    ) -> Slates:
        """Before re-ranking: the one place where rules add candidates; then boosts and buries.

        Pinned items come to the front of their lists, with the best score there: re-rankers see them as what will
        stand there, so diversity and upper limits count them. With ``retrieve``, items that a quota needs and the
        candidates lack join at the end, with the least score.
        """
        if not self.rules:
            return slates
        now = requests.now_us if now_us is None else np.full(len(requests), now_us, np.int64)
        wanted = self._pins(requests, now, start)
        slates = led_by(slates, [[item for _, _, item in sorted(pins)] for pins in wanted])
        for rule in self._of("quota"):
            if retrieve is not None and isinstance(rule.rule, Quota) and rule.rule.at_least is not None and rule.mask is not None:
                slates = self._with_members(slates, requests, rule.scope.at(requests, now), rule.mask, rule.rule.at_least, retrieve)
        return self._weighed(slates, requests, now)

    def place(self, requests: Requests, slates: Slates, now_us: int | None = None, *, start: int = 0) -> Slates:
        """After re-ranking: the first ``requests.n`` places under quotas and pins; what follows keeps its order."""
        if not self.rules:
            return slates
        now = requests.now_us if now_us is None else np.full(len(requests), now_us, np.int64)
        wanted = self._pins(requests, now, start, slates)
        active = {rule.number: rule.scope.at(requests, now) for rule in self._of("quota")}
        if not any(wanted) and not any(holds.any() for holds in active.values()):
            return slates
        pinned, raised = np.full((2, len(slates.item_ix)), np.nan, np.float32)
        positions, lengths = [], np.zeros(len(slates), np.int64)
        for row in range(len(slates)):
            begin = int(slates.offsets[row])
            order = self._placed(row, slates.items[row], requests.n, wanted[row], active, pinned[begin:], raised[begin:])
            positions.append(begin + order)
            lengths[row] = len(order)
        marked = slates.with_column(COLUMNS["pin"], pinned).with_column(COLUMNS["quota"], raised)
        return rearranged(marked, np.concatenate(positions) if positions else np.zeros(0, np.int64), offsets_of(lengths))

    def reasons(self, slates: Slates, language: Language = "en") -> list[tuple[str, ...]]:
        """Why rules had each flat item stand where it stands, most decisive first; () where none did: (n_flat,)."""
        out: list[list[str]] = [[] for _ in slates.item_ix]
        for kind, column in COLUMNS.items():
            numbers = slates.columns.get(column)
            if numbers is None:
                continue
            for at in np.flatnonzero(~np.isnan(numbers)).tolist():
                out[at].append(_WORDS[kind][language == "zh"].format(self.rules[int(numbers[at])].name))
        return [tuple(said) for said in out]

    def _of(self, *kinds: Kind) -> list[Bound]:
        return [rule for rule in self.rules if rule.kind in kinds]

    # Pins.

    @cached_property
    def lives(self) -> tuple[Int64, Int64] | None:
        """When each item is published and expires: (n_items,) each; None where the data does not say."""
        items = self.data.manifest.items
        if items is None or not (items.publish or items.expire):
            return None
        table, n = self.data.catalog.table, len(self.data.catalog)
        begin, end = np.full(n, -(2**62)), np.full(n, 2**62)
        if items.publish in table.columns:
            begin = table[items.publish].cast(pl.Int64).fill_null(-(2**62)).to_numpy()
        if items.expire in table.columns:
            end = table[items.expire].cast(pl.Int64).fill_null(2**62).to_numpy()
        return begin, end

    def _pins(self, requests: Requests, now: Int64, start: int, among: Slates | None = None) -> list[list[tuple[int, int, int]]]:
        """For each request (place on this page, rule, item); the earlier rule has the place, the other the next free one.

        ``among`` leaves out what is not in the lists.
        """
        out: list[list[tuple[int, int, int]]] = [[] for _ in range(len(requests))]
        for rule in self._of("pin"):
            if rule.item < 0 or not isinstance(rule.rule, Pin):
                continue
            place = rule.rule.position - 1 - start
            if not 0 <= place < requests.n:
                continue
            for row in np.flatnonzero(rule.scope.at(requests, now)).tolist():
                pins = out[row]
                if any(item == rule.item for _, _, item in pins) or not self._may_stand(rule.item, requests, row, int(now[row])):
                    continue
                if among is not None and rule.item not in among.items[row]:
                    continue
                taken = {p for p, _, _ in pins}
                free = next((p for p in range(place, requests.n) if p not in taken), None)
                if free is not None:
                    pins.append((free, rule.number, rule.item))
        return out

    def _may_stand(self, item: int, requests: Requests, row: int, now_us: int) -> bool:
        available = self.data.catalog.available
        if (available is not None and not available[item]) or (requests.allowed is not None and not requests.allowed[item]):
            return False
        if requests.exclude is not None and item in requests.exclude[row]:
            return False
        if requests.candidates is not None and item not in requests.candidates[row]:
            return False
        return self.lives is None or bool(self.lives[0][item] <= now_us < self.lives[1][item])

    # Boosts and buries.

    def _weighed(self, slates: Slates, requests: Requests, now: Int64) -> Slates:
        """Factors change the relevance that the order goes by, then places are moved."""
        worth, shift = relevance(slates), np.zeros(len(slates.item_ix), np.int64)
        marks: dict[str, Float32] = {}
        rows = slates.items.rows
        for rule in self._of("boost", "bury"):
            if not isinstance(rule.rule, Boost | Bury) or rule.mask is None:
                continue
            hit = rule.mask[slates.item_ix] & rule.scope.at(requests, now)[rows]
            if not hit.any():
                continue
            if rule.rule.factor is not None:
                worth = np.where(hit, worth * rule.rule.factor, worth)
            else:
                shift += np.where(hit, (rule.rule.steps or 0) * (-1 if rule.kind == "boost" else 1), 0)
            mark = marks.setdefault(COLUMNS[rule.kind], np.full(len(worth), np.nan, np.float32))
            mark[hit & np.isnan(mark)] = rule.number
        if not marks:
            return slates
        for column, mark in marks.items():
            slates = slates.with_column(column, mark)
        order = np.lexsort((np.arange(len(worth)), self._last(slates, requests, now), -worth, rows))
        place = np.arange(len(order)) - np.repeat(slates.offsets[:-1], slates.lengths)
        moved = shift[order]
        return rearranged(slates, order[np.lexsort((place, place + moved + 0.5 * np.sign(moved), rows))], slates.offsets)

    def _last(self, slates: Slates, requests: Requests, now: Int64) -> Bool:
        """Items that a factor of 0 sends to the end, behind the one that was last: (n_flat,)."""
        out = np.zeros(len(slates.item_ix), np.bool_)
        for rule in self._of("bury"):
            if isinstance(rule.rule, Bury) and rule.rule.factor == 0 and rule.mask is not None:
                out |= rule.mask[slates.item_ix] & rule.scope.at(requests, now)[slates.items.rows]
        return out

    # Quotas.

    def _with_members(self, slates: Slates, requests: Requests, holds: Bool, mask: Bool, least: int, retrieve: Retrieve) -> Slates:
        """Lists with fewer than ``least`` members get the best ones that can be found."""
        have = np.bincount(slates.items.rows, mask[slates.item_ix], minlength=len(slates))
        short = np.flatnonzero(holds & (have < least))
        if not len(short):
            return slates
        allowed = mask if requests.allowed is None else mask & requests.allowed
        found = retrieve(replace(requests.take(short), allowed=allowed, n=least), least)
        more: list[list[int]] = [[] for _ in range(len(slates))]
        for i, row in enumerate(short.tolist()):
            known = set(slates.items[row].tolist())
            more[row] = [item for item in found.items[i].tolist() if item not in known][: least - int(have[row])]
        return appended(slates, more)

    def _placed(
        self,
        row: int,
        items: Int32,
        n: int,
        wanted: list[tuple[int, int, int]],
        active: dict[int, Bool],
        pinned: Float32,
        raised: Float32,
    ) -> AnyArray:
        """Positions of one list in their new order; notes in ``pinned`` and ``raised`` what moved."""
        at = {int(item): i for i, item in enumerate(items.tolist())}
        fixed = {}
        for i, (place, number, item) in enumerate(sorted(wanted)):
            # In a list that is too short pins keep their order at its end.
            fixed[min(place, len(items) - len(wanted) + i)] = at[item]
            pinned[at[item]] = number
        limits = []
        for number, holds in active.items():
            rule, mask = self.rules[number].rule, self.rules[number].mask
            if holds[row] and isinstance(rule, Quota) and mask is not None:
                most = n if rule.at_most is None else rule.at_most
                limits.append(Limit(number, mask[items], rule.at_least or 0, most, min(rule.of or n, n)))
        if not fixed and not limits:
            return np.arange(len(items))
        front, up = under_quotas(limits, fixed, n, len(items))
        for position, number in up.items():
            raised[position] = number
        complete = len(front) == min(n, len(items))
        return whole(front, len(items)) if complete else front


def led_by(slates: Slates, first: Sequence[Sequence[int]]) -> Slates:
    """Lists with these items in front, at the score of the first one there (0 in an empty list); new ones have NaN columns."""
    if not any(first):
        return slates
    items, score, source = [], [], []
    for row, front in enumerate(first):
        begin, end = int(slates.offsets[row]), int(slates.offsets[row + 1])
        known = {int(item): begin + i for i, item in enumerate(slates.item_ix[begin:end].tolist())}
        rest = [at for item, at in known.items() if item not in front]
        items += [np.array(front, np.int32), slates.item_ix[rest]]
        score += [np.full(len(front), slates.score[begin] if end > begin else 0.0, np.float32), slates.score[rest]]
        source += [known.get(item, -1) for item in front] + rest
    at = np.array(source, np.int64)
    columns = {name: np.append(column, np.float32("nan"))[at] for name, column in slates.columns.items()}
    lengths = [len(front) + len(rest) for front, rest in zip(items[::2], items[1::2], strict=True)]
    return Slates(offsets_of(np.array(lengths, np.int64)), np.concatenate(items), np.concatenate(score), columns)


def appended(slates: Slates, more: Sequence[Sequence[int]]) -> Slates:
    """Lists with more items at their end, at the score of the last one there (0 in an empty list); columns are NaN for them."""
    if not any(more):
        return slates
    lengths = np.array([len(items) for items in more], np.int64)
    new = np.array([item for items in more for item in items], np.int32)
    last = np.zeros(len(slates), np.float32)
    had = slates.lengths > 0
    last[had] = slates.score[slates.offsets[1:][had] - 1]
    order = np.argsort(np.concatenate([slates.items.rows, np.repeat(np.arange(len(slates)), lengths)]), kind="stable")
    nothing = np.full(len(new), np.nan, np.float32)
    columns = {name: np.concatenate([column, nothing])[order] for name, column in slates.columns.items()}
    score = np.concatenate([slates.score, np.repeat(last, lengths)])[order]
    return Slates(offsets_of(slates.lengths + lengths), np.concatenate([slates.item_ix, new])[order], score, columns)
