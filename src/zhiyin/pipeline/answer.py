"""What a recommender says to one request: items with titles, scores, and who answered."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Recommended:
    """One item of an answer. ``text`` is a line of its other readable columns, "" when there are none."""

    item_id: str
    title: str
    score: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranked list, best first. Iterate over it, or read ``ids``; in a notebook it shows as a table.

    ``served_by`` names the models in the order they filled the list; ``notes`` say what the asker
    should know (an unknown user, unknown items); ``repeat`` is the policy that was applied. ``title`` is what
    stands above the shelf of a placement.
    """

    asked: str
    items: tuple[Recommended, ...]
    served_by: str
    repeat: str
    notes: tuple[str, ...] = ()
    placement: str = "home"
    title: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Recommended]:
        return iter(self.items)

    def __getitem__(self, rank: int) -> Recommended:
        return self.items[rank]

    @property
    def ids(self) -> list[str]:
        return [item.item_id for item in self.items]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "asked": self.asked,
            "served_by": self.served_by,
            "repeat": self.repeat,
            "notes": list(self.notes),
            "placement": self.placement,
            "title": self.title,
            "items": [{"rank": rank, **asdict(item)} for rank, item in enumerate(self.items, 1)],
        }

    def __str__(self) -> str:
        head = f"{self.asked} · served by {self.served_by} · repeat {self.repeat}"
        lines = [f"{rank:3d}  {item.score:10.4f}  {item.title}  [{item.item_id}]" for rank, item in enumerate(self.items, 1)]
        return "\n".join([head, *(f"note: {note}" for note in self.notes), *lines])

    def _repr_html_(self) -> str:
        """The table a notebook shows; everything that came from tables is escaped."""
        rows = "".join(
            f"<tr><td>{rank}</td><td style='text-align:left'><b>{html.escape(item.title)}</b>"
            f"<br><small>{html.escape(item.text)}</small></td>"
            f"<td>{item.score:.4f}</td><td style='text-align:left'><code>{html.escape(item.item_id)}</code></td></tr>"
            for rank, item in enumerate(self.items, 1)
        )
        notes = "".join(f"<br><i>{html.escape(note)}</i>" for note in self.notes)
        return (
            f"<table><caption style='text-align:left'><b>{html.escape(self.asked)}</b> · served by {html.escape(self.served_by)}"
            f" · repeat {html.escape(self.repeat)}{notes}</caption>"
            f"<thead><tr><th>#</th><th style='text-align:left'>item</th><th>score</th><th style='text-align:left'>id</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Several shelves from top to bottom; an item stands once on the page. ``notes`` say which were left out."""

    asked: str
    shelves: tuple[Answer, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.shelves)

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.shelves)

    def __getitem__(self, place: int) -> Answer:
        return self.shelves[place]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"asked": self.asked, "notes": list(self.notes), "shelves": [shelf.to_dict() for shelf in self.shelves]}

    def __str__(self) -> str:
        lines = [self.asked, *(f"note: {note}" for note in self.notes)]
        for shelf in self.shelves:
            lines += ["", shelf.title or shelf.placement, *(f"{rank:3d}  {i.title}  [{i.item_id}]" for rank, i in enumerate(shelf, 1))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The shelves one below the other in a notebook."""
        return "".join(f"<h4>{html.escape(shelf.title or shelf.placement)}</h4>{shelf._repr_html_()}" for shelf in self.shelves)
