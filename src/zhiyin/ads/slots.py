"""The seam between answers and advertisements: who asks for slots, and what fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

LABELS: Mapping[str, str] = {"en": "Ad", "zh": "广告"}
"""An advertisement always says that it is one."""


class Slot(NamedTuple):
    """An advertisement at a place of a list (1 = first). ``item`` is an item of the catalogue like others."""

    position: int
    item: str
    campaign: str


class Adverts(Protocol):
    """Whatever fills ad slots. Called once for each answer of a placement, in microseconds."""

    def fill(self, placement: str, now_us: int, context: Mapping[str, Any], person: str | None) -> Sequence[Slot]:
        """The advertisements of one answer, at most one for each position; none where there are none."""
        ...

    def shown(self, slots: Sequence[Slot]) -> None:
        """These were shown: what budgets and pacing count."""
        ...


def with_slots(ids: Sequence[str], slots: Sequence[Slot], n: int) -> list[tuple[str, Slot | None]]:
    """A list with its advertisements in their places, n long at most; what is advertised stands there once, as an advertisement."""
    bought = {slot.item for slot in slots}
    out: list[tuple[str, Slot | None]] = [(item, None) for item in ids if item not in bought]
    for slot in sorted(slots):
        out.insert(min(slot.position - 1, len(out)), (slot.item, slot))
    return out[:n]
