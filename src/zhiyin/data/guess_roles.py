"""Which column of the events table is the user, the item, the time and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from zhiyin.data.guess_columns import Profile, column_type, looks_like_id
from zhiyin.data.guess_words import COLUMN_TYPES, DESCRIBES_ITEM, EVENT_ROLES, any_word, is_id_name, likeness

SAMPLE_ROWS = 200_000
MAX_KINDS = 50
MAX_CONTEXT_VALUES = 1_000


@dataclass(frozen=True)
class Decision:
    """One choice of the guess: a manifest key such as ``events.user``, how sure (0..1), and why."""

    key: str
    value: Any
    sure: float
    reason: str


class EventRoles:
    """The roles of one table's columns; each column takes at most one.

    ``links`` says for each column how well its values are found as keys of another table (0..1):
    it settles which of two item columns is meant.
    """

    def __init__(self, frame: pl.DataFrame, links: Mapping[str, float] | None = None) -> None:
        self.frame = frame
        self.links = links or {}
        self.profiles = {name: Profile(name, frame[name]) for name in frame.columns}
        self.found: dict[str, Decision] = {}
        self.of_item: dict[str, float] = {}  # describing columns and how steady they are
        self.of_user: dict[str, float] = {}
        self.context: list[str] = []
        self.unused: dict[str, str] = {}
        for find in (self._time, self._split, self._people_and_things, self._session, self._position, self._describing):
            find()
        self._kind()
        self._value()
        self._places()
        self._rest()

    def column(self, role: str) -> str | None:
        return self.found[role].value if role in self.found else None

    @property
    def free(self) -> list[Profile]:
        taken = {d.value for d in self.found.values()} | set(self.of_item) | set(self.of_user)
        return [p for name, p in self.profiles.items() if name not in taken]

    def _take(self, role: str, name: str, sure: float, reason: str) -> None:
        self.found[role] = Decision(f"events.{role}", name, round(min(max(sure, 0.05), 0.99), 2), reason)

    def _best(self, role: str, fits: Callable[[Profile], float]) -> tuple[Profile, float, float] | None:
        """The free column with the highest likeness + fit; ``fits`` gives a bonus, or below 0 for no."""
        scored = []
        for p in self.free:
            bonus = fits(p)
            if bonus >= 0:
                named = likeness(p.name, EVENT_ROLES[role])
                scored.append((named + bonus, named, p))
        if not scored:
            return None
        score, named, p = max(scored, key=lambda s: s[0])
        return p, named, score

    def _time(self) -> None:
        def fits(p: Profile) -> float:
            if p.time_unit is None or p.missing_share > 0.5 or (is_id_name(p.name) and likeness(p.name, EVENT_ROLES["time"]) < 0.5):
                return -1
            text = any_word(p.name, ("utc",)) * 0.1 - any_word(p.name, ("local", "publish", "updated", "birth", "发布", "出生")) * 0.3
            return 0.3 + text if p.values.dtype.is_temporal() or p.time_unit == "iso" else 0.1 + text

        best = self._best("time", fits)
        if best is not None:
            p, named, score = best
            why = "named so and " if named > 0.5 else ""
            sure = 0.6 + 0.38 * named if named > 0.5 else (0.7 if score > 0.25 else 0.4)
            self._take("time", p.name, sure, f"{why}reads as times throughout")

    def _split(self) -> None:
        for p in self.free:
            if p.is_split:
                words = ", ".join(sorted(str(v) for v in p.given.unique()))
                return self._take("split", p.name, 0.95, f"holds only {words}")
        return None

    def _people_and_things(self) -> None:
        """User and item by name; where a name says nothing, by what is left: ids that repeat."""
        self._named_id("user")
        self._named_id("item")
        for role in ("user", "item"):
            if role in self.found or (role == "user" and self._session_like() is not None):
                continue
            left = [p for p in self.free if looks_like_id(p) and not p.is_key and p.n_distinct > 1 and not self._means_other(p)]
            if left:
                p = max(left, key=lambda p: (self.links.get(p.name, 0.0) if role == "item" else 0.0, is_id_name(p.name)))
                self._take(
                    role, p.name, 0.35 + 0.3 * self.links.get(p.name, 0.0), f"no column is named so; {p.n_distinct:,} ids that repeat"
                )

    def _named_id(self, role: str) -> None:
        def fits(p: Profile) -> float:
            if not looks_like_id(p) or likeness(p.name, EVENT_ROLES[role]) < 0.5:
                return -1
            return 0.3 * self.links.get(p.name, 0.0) + 0.1 * is_id_name(p.name) - 0.3 * p.is_key - 0.2 * p.missing_share

        best = self._best(role, fits)
        if best is not None:
            p, named, _ = best
            linked = ", found as key of another table" if self.links.get(p.name, 0.0) > 0.5 else ""
            sure = 0.55 + 0.4 * named - 0.3 * p.is_key + (0.04 if linked else 0)
            self._take(role, p.name, sure, f"named so, {p.n_distinct:,} different{linked}")

    def _means_other(self, p: Profile) -> bool:
        """Is the name that of a role which is no id of a person or a thing?"""
        return any(likeness(p.name, EVENT_ROLES[r]) > 0.5 for r in ("kind", "value", "position", "session", "place", "trace"))

    def _session_like(self) -> Profile | None:
        named = [p for p in self.free if looks_like_id(p) and likeness(p.name, EVENT_ROLES["session"]) > 0.5 and not p.is_key]
        return max(named, key=lambda p: likeness(p.name, EVENT_ROLES["session"]), default=None)

    def _session(self) -> None:
        p = self._session_like()
        if p is None:
            return None
        user = self.column("user")
        if user is None:
            return self._take("session", p.name, 0.85, f"named so, {p.n_distinct:,} sessions; no user is named")
        steady, _ = steadiness(self.frame, p.name, user)
        if steady > 0.95 and p.n_distinct > self.profiles[user].n_distinct:
            nobody = self.frame[user].null_count()
            stands = f"; it stands for the user in {nobody:,} rows that name none" if nobody else ""
            self._take("session", p.name, 0.9, f"named so, {p.n_distinct:,} sessions of one user each{stands}")
        return None

    def _describing(self) -> None:
        """Columns that say the same in each act on an item (or of a user) describe it, not the act."""
        item, user = self.column("item"), self.column("user")
        for p in self.free:
            if not len(p.given) or p.values.dtype.is_nested() or p.n_distinct < 2:
                continue
            by_item, usual = steadiness(self.frame, item, p.name) if item else (0.0, 1.0)
            by_user, _ = steadiness(self.frame, user, p.name) if user else (0.0, 1.0)
            said = likeness(p.name, DESCRIBES_ITEM) > 0.5
            least = 0.5 if said else 0.9
            if by_item >= max(least, usual + 0.5 * (1 - usual)) and by_item >= by_user - 0.05 and column_type(p).type is not None:
                self.of_item[p.name] = by_item
            elif by_user >= max(0.97, usual + 0.5 * (1 - usual)) and not said and column_type(p).type is not None:
                self.of_user[p.name] = by_user

    def _position(self) -> None:
        user = self.column("user") or self.column("session")

        def fits(p: Profile) -> float:
            if not p.is_whole or likeness(p.name, EVENT_ROLES["position"]) < 0.5 or user is None:
                return -1
            pairs = self.frame.select(user, p.name).drop_nulls()
            return 0.2 if pairs.n_unique() >= 0.99 * pairs.height else -1

        best = self._best("position", fits)
        if best is not None:
            self._take("position", best[0].name, 0.55 + 0.4 * best[1], "named so, no number twice for one user")

    def _kind(self) -> None:
        def fits(p: Profile) -> float:
            if likeness(p.name, EVENT_ROLES["kind"]) < 0.5 or not 1 <= p.n_distinct <= MAX_KINDS:
                return -1
            return 0.2 if p.is_text else 0.0 if p.is_whole else -1

        best = self._best("kind", fits)
        if best is not None:
            p, named, _ = best
            words = ", ".join(str(v) for v in p.given.unique(maintain_order=True).head(6))
            self._take("kind", p.name, 0.55 + 0.4 * named, f"named so, holds {words}{', ...' if p.n_distinct > 6 else ''}")

    def _value(self) -> None:
        best = self._best("value", lambda p: 0.0 if p.numbers is not None and likeness(p.name, EVENT_ROLES["value"]) > 0.5 else -1)
        if best is not None:
            p, named, _ = best
            low, high = (float(p.numbers.min()), float(p.numbers.max())) if p.numbers is not None else (0.0, 0.0)  # type: ignore[arg-type]
            self._take("value", p.name, 0.55 + 0.4 * named, f"named so, numbers from {low:g} to {high:g}")

    def _places(self) -> None:
        def fits(role: str) -> Callable[[Profile], float]:
            def of(p: Profile) -> float:
                known = likeness(p.name, EVENT_ROLES[role]) > 0.5 and not p.values.dtype.is_nested() and not p.values.dtype.is_temporal()
                return 0.0 if known and (p.is_text or p.is_whole) and p.n_distinct > 1 else -1

            return of

        for role in ("place", "placement", "trace"):
            best = self._best(role, fits(role))
            if best is not None:
                self._take(role, best[0].name, 0.4 + 0.4 * best[1], f"named so, {best[0].n_distinct:,} different")

    def _rest(self) -> None:
        """What is left is context where it is a few words or numbers; long text and ids stay out."""
        for p in self.free:
            prose = p.worded_share > 0.3 and (p.distinct_share > 0.2 or likeness(p.name, COLUMN_TYPES["text"]) > 0.7)
            few = p.n_distinct <= MAX_CONTEXT_VALUES and p.mean_length <= 40 and not prose
            if p.values.dtype.is_nested():
                self.unused[p.name] = "holds lists"
            elif not len(p.given):
                self.unused[p.name] = "is empty"
            elif p.n_distinct == 1 and not p.missing_share:
                self.unused[p.name] = "holds one value only"
            elif p.time_unit is not None:
                self.unused[p.name] = "is another time"
            elif p.values.dtype == pl.Boolean or (few and not (is_id_name(p.name) and p.distinct_share > 0.5)) or _is_measure(p):
                self.context.append(p.name)
            else:
                self.unused[p.name] = "is free text" if p.worded_share > 0.3 else f"has {p.n_distinct:,} different values, as ids do"


def _is_measure(p: Profile) -> bool:
    return p.numbers is not None and not p.is_text and not (is_id_name(p.name) and p.is_whole)


def steadiness(frame: pl.DataFrame, key: str, column: str) -> tuple[float, float]:
    """How far a key tells the column: share of rows (of keys met twice or more) with the key's commonest value.

    Beside it the share of the commonest value overall, which says how much of that is no wonder.
    """
    pairs = frame.lazy().select(pl.col(key).alias("key"), pl.col(column).alias("value")).drop_nulls().head(SAMPLE_ROWS).collect()
    if not pairs.height:
        return 0.0, 1.0
    counted = pairs.group_by("key", "value").len().group_by("key").agg(pl.col("len").sum().alias("n"), pl.col("len").max().alias("most"))
    again = counted.filter(pl.col("n") > 1)
    usual = int(pairs["value"].value_counts()["count"].max() or 0) / pairs.height  # type: ignore[arg-type]
    return (float(again["most"].sum()) / float(again["n"].sum()), usual) if again.height else (0.0, usual)
