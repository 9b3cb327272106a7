"""Who belongs together: links between people, and groups, from the relations of the bundle and of the tables.

An end of a relation is a person when it says so (``user:ID``) or is no item's id, and somebody of that id is known: by
events, by training, or by a row of his own. It is a group when it says ``group:ID``. Everything else says nothing of
people. Only people with a link to somebody, or from somebody, are ever shown: those who only bought something did not ask
to be found.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import polars as pl

from zhiyin.base.arrays import Int64
from zhiyin.base.errors import StoreError
from zhiyin.data.dataset import Dataset
from zhiyin.data.popularity import people_of
from zhiyin.models.follow import FollowSpec, Links, Nearest, Tastes, nearest_people
from zhiyin.online.names import Names, name_of
from zhiyin.online.people import SESSION, People
from zhiyin.online.relations import GROUP, PERSON, RELATIONS, parts_of, relation_of
from zhiyin.store.tables import Change, TableStore

Triple = tuple[str, str, str]
USERS, ERASURES = "users", "erasures"
MOST_WAITING = 10_000
"""Relations whose people nobody knows yet, that are looked at again."""
_NEWEST = 300
_BLOCK = 5_000


class Circle:
    """The people and groups of one bundle, kept up with the tables. Any thread may ask; ``look`` is called before."""

    def __init__(self, data: Dataset, people: People, tables: TableStore, spec: FollowSpec | None = None) -> None:
        self.data, self.people, self.tables = data, people, tables
        self.spec = spec or FollowSpec()
        self.lock = threading.RLock()
        self._known_items, n_people = people_of(data)
        self._n_likers = max(n_people, 1)
        self._read = False
        self._begin()

    def _begin(self) -> None:
        """Nobody is known."""
        self.links = Links()
        self.members: dict[int, array[int]] = {}
        self.groups_of: dict[int, array[int]] = {}
        self.tastes = Tastes(self._known_items, self._n_likers)
        self._numbers: dict[str, int] = {}
        self.ids: list[str] = []
        self._group_numbers: dict[str, int] = {}
        self.group_ids: list[str] = []
        self._rows: set[int] = set()  # what relations were taken in, as hashes: there may be millions
        self._waiting: dict[Triple, dict[str, Any]] = {}
        self._n_people = 0
        self._since = 0
        self.names, self.groups = Names(), Names()

    # What is known.

    def look(self) -> str:
        """Take in what changed; gives what keeps it from being up to date, "" where nothing does.

        Raises ``StoreError`` where it was never read before.
        """
        with self.lock:
            try:
                if self._read and self.tables.version() <= self._since and len(self.people) == self._n_people:
                    return ""
                self._catch_up()
            except StoreError as error:
                if not self._read:
                    raise
                return error.message
        return ""

    def find(self, user: str | None) -> int:
        """The number of a person, -1 for somebody without links and groups."""
        return self._numbers.get(user or "", -1)

    def find_group(self, group: str) -> int:
        """The number of a group by its id (without ``group:``), -1 = unknown."""
        return self._group_numbers.get(group, -1)

    def n_members(self, group: int) -> int:
        """How many belong to a group."""
        return len(set(self.members.get(group, ())))

    # Lists.

    def to_follow(self, person: int, liked: Int64, hidden: Collection[int], gone: Int64) -> Nearest:
        """People somebody may want to follow, without those he is linked to already."""
        gone = np.concatenate([gone, self.links.of(person)]) if person >= 0 else gone
        return nearest_people(self.links, self.tastes, person, liked, self.spec, hidden, gone)

    def followed(self, n: int, hidden: Collection[int], gone: Collection[int]) -> list[int]:
        """The n to whom most are linked."""
        best = self.links.best_known(n + len(hidden) + len(gone)).tolist()
        return [one for one in best if one not in hidden and one not in gone][:n]

    def to_join(self, person: int, liked: Int64, hidden: Collection[int], gone: Collection[int]) -> list[tuple[int, float]]:
        """Groups of the people around somebody with what they weigh, heaviest first: friends, those who share a group, those alike.

        A group's weight is that of its members who are near, over the root of its size; a large one is no closer for being large.
        """
        own = self.groups_of.get(person, ())
        weight: dict[int, float] = {}
        if person >= 0:
            met, walked = self.links.walk(person, self.spec, hidden)
            weight = dict(zip(met.tolist(), (walked / max(float(walked.max(initial=0.0)), 1e-12)).tolist(), strict=True))
            for group in own:
                share = 1 / np.log(2 + len(self.members[group]))
                for other in self.members[group][-_BLOCK:]:
                    weight[other] = weight.get(other, 0.0) + float(share)
        alike, cosine = self.tastes.alike(liked)
        for other, c in zip(alike.tolist(), cosine.tolist(), strict=True):
            weight[other] = weight.get(other, 0.0) + self.spec.taste * c
        score: dict[int, float] = {}
        for other, w in weight.items():
            if other == person or other in hidden:
                continue
            for group in self.groups_of.get(other, ()):
                score[group] = score.get(group, 0.0) + w / float(np.sqrt(len(self.members[group])))
        left = [(group, s) for group, s in score.items() if group not in own and group not in gone]
        return sorted(left, key=lambda pair: (-pair[1], pair[0]))

    def joined(self, gone: Collection[int]) -> list[int]:
        """Groups by how many belong to them, most first."""
        left = [group for group in self.members if group not in gone and self.members[group]]
        return sorted(left, key=lambda group: (-len(self.members[group]), group))

    # Reading.

    def _catch_up(self) -> None:
        """Follow the tables from where it stopped; anew where somebody was erased, for that says not who."""
        if not self._read:
            self._read_all()
        since, links = self._since, dict[Triple, dict[str, Any] | None]()
        named: dict[str, dict[str, Any] | None] = {}
        while changes := self.tables.changes(since):
            since = changes[-1].version
            if any(change.collection == ERASURES for change in changes):
                self._begin()
                self._read_all()
                return
            _sorted_in(changes, links, named)
        self._since, self._n_people = since, len(self.people)
        waiting, self._waiting = self._waiting, {}
        self._apply({**waiting, **links})
        for user, row in named.items():
            if user in self._numbers:
                self.names.put(self._numbers[user], name_of(row) or user)

    def _read_all(self) -> None:
        self._since, self._n_people = self.tables.version(), len(self.people)
        self._apply({key: {} for key in self._bundled()}, "bundle")
        after = ""
        while page := self.tables.page(RELATIONS, after, _BLOCK):
            after = page[-1].id
            found = [relation_of(row) for row in page]
            self._apply({(r.head, r.relation, r.tail): r.columns for r in found})
        self._read = True

    def _bundled(self) -> list[tuple[str, str, str]]:
        """Relations of the bundle that no item has: knowledge about items is most of what there is."""
        table = self.data.relations
        if not table.width:
            return []
        text = table.select(pl.col("head", "relation", "tail").cast(pl.String)).drop_nulls()
        return text.filter(pl.Series(self.data.catalog.items.ix_of(text["head"].to_list()) < 0)).unique(maintain_order=True).rows()

    def _apply(self, relations: dict[Triple, dict[str, Any] | None], source: str = "") -> None:
        """Relations that are there now (their columns), or no more (None)."""
        known = self._known({end for head, _, tail in relations for end in (head, tail)})
        fresh: list[int] = []
        for (head, relation, tail), columns in relations.items():
            person, other = known.get(head), known.get(tail)
            if person is not None and (other is not None or tail.startswith(GROUP)):
                row = hash((source, head, relation, tail))
                if (row in self._rows) == (columns is not None):
                    continue  # put again, or removed though nobody knew it
                (self._rows.discard if columns is None else self._rows.add)(row)
                number = self._number(person, fresh)
                if other is None:
                    self._belongs(number, tail.removeprefix(GROUP), columns)
                else:
                    (self.links.remove if columns is None else self.links.add)(number, self._number(other, fresh))
            elif columns is not None and len(self._waiting) < MOST_WAITING and self._may_be_people(head, tail):
                self._waiting[head, relation, tail] = columns
        self._enter(fresh)

    def _belongs(self, person: int, group: str, columns: dict[str, Any] | None) -> None:
        number = self._group_numbers.setdefault(group, len(self.group_ids))
        if number == len(self.group_ids):
            self.group_ids.append(group)
        members, own = self.members.setdefault(number, array("i")), self.groups_of.setdefault(person, array("i"))
        if columns is None:
            own.remove(number)
            members.remove(person)
            return
        own.append(number)
        members.append(person)
        self.groups.put(number, name_of(columns) or group)

    def _known(self, ends: set[str]) -> dict[str, str]:
        """The person each of some ends is: by end, his id."""
        out, asked = {}, {}
        for end in ends:
            user = end.removeprefix(PERSON)
            if user == end and (end.startswith(GROUP) or self.data.catalog.items.find(end) >= 0):
                continue
            if not user.startswith(SESSION) and self.people.find_user(user) >= 0:
                out[end] = user
            else:
                asked[end] = user
        wanted = sorted(set(asked.values()))
        rows = {user for i in range(0, len(wanted), 500) for user in self.tables.get(USERS, wanted[i : i + 500])}
        return {**out, **{end: user for end, user in asked.items() if user in rows}}

    def _may_be_people(self, head: str, tail: str) -> bool:
        items = self.data.catalog.items
        return all(end.startswith((PERSON, GROUP)) or items.find(end) < 0 for end in (head, tail))

    def _number(self, user: str, fresh: list[int]) -> int:
        number = self._numbers.setdefault(user, len(self.ids))
        if number == len(self.ids):
            self.ids.append(user)
            fresh.append(number)
        return number

    def _enter(self, fresh: list[int]) -> None:
        """Names and tastes of people who are new here."""
        for begin in range(0, len(fresh), _BLOCK):
            some = fresh[begin : begin + _BLOCK]
            users = [self.ids[number] for number in some]
            past = self.people.history(np.array([self.people.find_user(user) for user in users], np.int64)).last(_NEWEST)
            self.tastes.add(some, past.where(past.weight > 0).items)
            rows = {user: row for i in range(0, len(users), 500) for user, row in self.tables.get(USERS, users[i : i + 500]).items()}
            for number, user in zip(some, users, strict=True):
                self.names.put(number, (name_of(rows[user].body) if user in rows else "") or user)


def _sorted_in(changes: Iterable[Change], links: dict[Triple, dict[str, Any] | None], named: dict[str, dict[str, Any] | None]) -> None:
    """Changes of relations and of people's rows, each into its own."""
    for change in changes:
        if change.collection == USERS:
            named[change.id] = change.body
        elif change.collection == RELATIONS:
            links[parts_of(change.id)] = change.body
