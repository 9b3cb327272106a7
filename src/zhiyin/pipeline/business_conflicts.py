"""Rules that contradict each other or the catalogue, told before they surprise anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from zhiyin.base.arrays import Bool
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.data.dataset import Dataset
from zhiyin.data.filters import Columns, Filters
from zhiyin.data.findings import WORDS, Severity, many
from zhiyin.data.times import iso
from zhiyin.pipeline.business import Bound, BusinessRules, bind
from zhiyin.pipeline.business_feasible import feasible
from zhiyin.pipeline.business_file import Bury, Pin, Quota, RuleFile
from zhiyin.pipeline.business_when import Scope, together
from zhiyin.pipeline.placement import Placement

SIZE = 10
"""Length of a list where the placements do not say."""


@dataclass(frozen=True)
class Conflict:
    """One sentence with the places in the file. ``topic`` is a stable short name, ``rules`` are like "pin.summer".

    "bad": a rule cannot do what it says; "warn": it does, and that may surprise; "info": it does nothing any more.
    """

    severity: Severity
    topic: str
    sentence: str
    rules: tuple[str, ...]
    line: int
    remedy: str = ""

    def __str__(self) -> str:
        return f"[{WORDS[self.severity]}] {self.sentence}" + (f"\n       {self.remedy}" if self.remedy else "")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "rules": list(self.rules)}


def conflicts(
    file: RuleFile,
    data: Dataset,
    *,
    now_us: int,
    placements: Iterable[Placement] | None = None,
    blocked: Bool | None = None,
    filters: Filters | None = None,
) -> tuple[Conflict, ...]:
    """Everything that is wrong with a file of rules over this data, worst first; () = nothing.

    ``placements`` are those that exist, with their sizes (None = not looked at). ``blocked`` (n_items,) marks what
    the safety list forbids. Windows are compared as of ``now_us``.
    """
    report = _Report(file, data, now_us, None if placements is None else {p.name: p.size for p in placements}, blocked)
    found = list(report.all(filters or Filters(Columns.of(data.catalog, data.manifest))))
    order: dict[Severity, int] = {"bad": 0, "warn": 1, "info": 2}
    return tuple(sorted(found, key=lambda c: (order[c.severity], c.line)))


@dataclass
class _Report:
    file: RuleFile
    data: Dataset
    now_us: int
    sizes: dict[str, int] | None
    blocked: Bool | None

    def all(self, filters: Filters) -> Iterator[Conflict]:
        bound: list[Bound] = []
        for number, (kind, name, rule) in enumerate(self.file.book.rules()):
            try:
                bound.append(bind(self.file, number, kind, name, rule, self.data, filters))
            except ConfigError as error:
                yield Conflict("bad", "filter", f"{error.message}.", (f"{kind}.{name}",), self._line(kind, name), error.hint)
        for made in bound:
            yield from self._alone(made)
        live = [rule for rule in bound if rule.scope.window.end_us > self.now_us]
        yield from self._pins(live)
        yield from self._opposed(live)
        yield from self._quotas([rule for rule in live if rule.kind == "quota"])

    def _line(self, kind: str, name: str) -> int:
        return self.file.lines.get((kind, name), 0)

    def _said(self, severity: Severity, topic: str, rules: Sequence[Bound], words: str, remedy: str = "") -> Conflict:
        first = rules[0]
        names = tuple(f"{rule.kind}.{rule.name}" for rule in rules)
        return Conflict(severity, topic, f"{self._where(first)}: {words}.", names, self._line(first.kind, first.name), remedy)

    def _where(self, rule: Bound) -> str:
        return self.file.where(rule.kind, rule.name)

    def _together(self, *rules: Bound) -> bool:
        return together([rule.scope for rule in rules], self.now_us)

    # One rule by itself.

    def _alone(self, rule: Bound) -> Iterator[Conflict]:
        yield from self._somewhere(rule)
        window = rule.scope.window
        if window.begin_us >= window.end_us:
            yield self._said("bad", "window", [rule], f"its window ends ({iso(window.end_us)}) before it begins ({iso(window.begin_us)})")
        elif window.end_us <= self.now_us:
            yield self._said("info", "past", [rule], f"its window ended on {iso(window.end_us)}", "Remove it.")
        elif not together([Scope(window)], self.now_us):
            yield self._said("bad", "window", [rule], "its days and hours do not occur between 'from' and 'until'")
        if isinstance(rule.rule, Pin):
            yield from self._pinned(rule, rule.rule)
        elif rule.mask is not None and not rule.mask.any():
            severity: Severity = "bad" if isinstance(rule.rule, Quota) and rule.rule.at_least else "warn"
            yield self._said(severity, "empty", [rule], "no item passes its filter", "Look at the values of the columns it names.")

    def _somewhere(self, rule: Bound) -> Iterator[Conflict]:
        for name in rule.rule.placements:
            if self.sizes is not None and name != "home" and name not in self.sizes:
                yield self._said("bad", "placement", [rule], f"no placement is named '{name}'", nearest(name, [*self.sizes, "home"]))
        regions = self.file.book.regions
        for place in (*rule.rule.places, *(p for region in rule.rule.regions for p in regions[region])):
            if self.data.places.find(place) < 0:
                yield self._said(
                    "bad", "place", [rule], f"no event has the place '{place}'", nearest(place, self.data.places.ids.to_pylist())
                )

    def _pinned(self, rule: Bound, pin: Pin) -> Iterator[Conflict]:
        if rule.item < 0:
            ids = self.data.catalog.items.ids.to_pylist()
            hint = nearest(pin.item, ids) if len(ids) <= 20_000 else ""
            yield self._said("bad", "item", [rule], f"no item has the id '{pin.item}'", hint if hint.startswith("Did") else "")
            return
        available, lives = self.data.catalog.available, BusinessRules((), self.data).lives
        window = rule.scope.window
        if self.blocked is not None and self.blocked[rule.item]:
            yield self._said("bad", "safety", [rule], f"item '{pin.item}' is on the safety list, so it is never shown")
        if lives is not None and lives[1][rule.item] <= max(window.begin_us, self.now_us):
            yield self._said(
                "bad", "expired", [rule], f"item '{pin.item}' expires on {iso(int(lives[1][rule.item]))}, before it would be shown"
            )
        elif lives is not None and lives[0][rule.item] >= window.end_us:
            yield self._said(
                "bad", "unpublished", [rule], f"item '{pin.item}' is published on {iso(int(lives[0][rule.item]))}, after its window"
            )
        elif available is not None and not available[rule.item]:
            yield self._said("bad", "unavailable", [rule], f"item '{pin.item}' is not available")
        size = self._size(rule.scope)
        if pin.position > size:
            yield self._said("info", "position", [rule], f"position {pin.position} stands on a later page: the list has {size} places")

    # Rules against each other.

    def _pins(self, rules: Sequence[Bound]) -> Iterator[Conflict]:
        pins = [(rule, rule.rule) for rule in rules if isinstance(rule.rule, Pin)]
        for (one, first), (other, second) in combinations(pins, 2):
            if first.position == second.position and first.item != second.item and self._together(one, other):
                words = f"position {first.position} is also that of {self._where(other)}, which gets the next free one"
                yield self._said("warn", "slot", [one, other], words, "Give one another position, or windows that do not meet.")
            if first.item == second.item and first.position != second.position and self._together(one, other):
                words = f"item '{first.item}' is also pinned to position {second.position} by {self._where(other)}, which does nothing then"
                yield self._said("warn", "twice", [one, other], words)
        for rule in rules:
            inside = [(pin, said) for pin, said in pins if rule.mask is not None and pin.item >= 0 and rule.mask[pin.item]]
            held = [(pin, said) for pin, said in inside if self._together(pin, rule)]
            if isinstance(rule.rule, Bury):
                for pin, said in held:
                    words = f"item '{said.item}' is also lowered by {self._where(rule)}; the pin wins"
                    yield self._said("warn", "pin and bury", [pin, rule], words)
            if isinstance(rule.rule, Quota) and rule.rule.at_most is not None:
                above = [pin for pin, said in held if rule.rule.of is None or said.position <= rule.rule.of]
                if len(above) > rule.rule.at_most and self._together(*above, rule):
                    others = f" with {' and '.join(self._where(pin) for pin in above[1:])}" if len(above) > 1 else ""
                    words = f"it pins{others} more than the {rule.rule.at_most} that {self._where(rule)} allows; pins win"
                    yield self._said("bad", "pin and quota", [*above, rule], words)

    def _opposed(self, rules: Sequence[Bound]) -> Iterator[Conflict]:
        boosts, buries = ([rule for rule in rules if rule.kind == kind] for kind in ("boost", "bury"))
        for boost in boosts:
            for bury in buries:
                if boost.mask is None or bury.mask is None or not self._together(boost, bury):
                    continue
                both = np.flatnonzero(boost.mask & bury.mask)
                if len(both):
                    such = self.data.catalog.items[int(both[0])]
                    words = f"{many(len(both), 'item')} (such as '{such}') are also lowered by {self._where(bury)}; both hold"
                    yield self._said("warn", "boost and bury", [boost, bury], words, "Leave them out of one of the filters.")

    def _quotas(self, quotas: Sequence[Bound]) -> Iterator[Conflict]:
        """Every quota alone, then pairs, then all that hold together, each reported once."""
        impossible: set[int] = set()
        for size in (1, 2):
            for group in combinations(quotas, size):
                numbers = {rule.number for rule in group}
                if (size > 1 and numbers & impossible) or not self._together(*group):
                    continue
                if not self._can(group):
                    impossible |= numbers
                    yield self._unmet(group)
        for anchor in quotas:
            whole = self._holding_with(anchor, quotas)
            numbers = {rule.number for rule in whole}
            if len(whole) > 2 and not numbers & impossible and not self._can(whole):
                impossible |= numbers
                yield self._unmet(whole)

    def _holding_with(self, anchor: Bound, quotas: Sequence[Bound]) -> list[Bound]:
        group = [anchor]
        for rule in quotas:
            if rule is not anchor and self._together(*group, rule):
                group.append(rule)
        return sorted(group, key=lambda rule: rule.number)

    def _unmet(self, group: Sequence[Bound]) -> Conflict:
        first, size = group[0], self._size(*(rule.scope for rule in group))
        if len(group) == 1 and isinstance(first.rule, Quota) and first.mask is not None:
            there = int((first.mask & self._live()).sum())
            words = f"at_least = {first.rule.at_least} cannot be met: {many(there, 'item')} pass the filter, the list has {size} places"
        else:
            words = f"cannot be met together with {' and '.join(self._where(rule) for rule in group[1:])} in a list of {size}"
        return self._said("bad", "quota", group, words, "Lower at_least or raise at_most of one.")

    def _can(self, group: Sequence[Bound]) -> bool:
        size = self._size(*(rule.scope for rule in group))
        asked = [(rule.mask, rule.rule) for rule in group if rule.mask is not None and isinstance(rule.rule, Quota)]
        limits = [(mask, q.at_least or 0, size if q.at_most is None else q.at_most, min(q.of or size, size)) for mask, q in asked]
        return feasible(limits, self._live(), size)

    def _size(self, *scopes: Scope) -> int:
        """Places of the shortest list where all hold."""
        if self.sizes is None:
            return SIZE
        named = [scope.placements for scope in scopes if scope.placements is not None]
        common = frozenset.intersection(*named) if named else frozenset(self.sizes)
        return min((self.sizes[name] for name in common if name in self.sizes), default=SIZE)

    def _live(self) -> Bool:
        available = self.data.catalog.available
        live = np.ones(len(self.data.catalog), np.bool_) if available is None else available.copy()
        return live if self.blocked is None else live & ~self.blocked
