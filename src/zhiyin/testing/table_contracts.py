"""What every table store promises, as checks that any implementation can be run against.

from zhiyin.testing.table_contracts import TABLE_CHECKS, TableCase
for check in TABLE_CHECKS.values():
    check(TableCase(lambda: SqlTables(address_of_an_empty_database())))
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zhiyin.base.errors import ConfigError, DataError, StoreConflictError
from zhiyin.store.names import MAX_ID_BYTES
from zhiyin.store.tables import Change, TableStore
from zhiyin.testing.store_contracts import by_name, refused, require

__all__ = ["TABLE_CHECKS", "TableCase"]


@dataclass(frozen=True)
class TableCase:
    """How to open one table store. ``keeps`` unless it forgets all when it is closed."""

    open: Callable[[], TableStore]
    keeps: bool = True


def rows_come_back(case: TableCase) -> None:
    """Rows are what was put, by id, also after opening again."""
    store = case.open()
    rows: dict[str, dict[str, Any]] = {
        "a": {"title": "知音 \0", "n": [1, 2.5, None], "deep": {"x": {}}},
        "b": {},
        "ü 🎧": {"big": 2**53, "null": None},
    }
    versions = store.put("items", rows)
    require(
        list(versions) == list(rows) and sorted(set(versions.values())) == list(versions.values()), "each row gets a version of its own"
    )
    require(store.put("users", {"a": {"name": "other"}}) == {"a": store.version()}, "the newest version is that of the last change")
    if case.keeps:
        store.close()
        store = case.open()
    got = store.get("items", ["ü 🎧", "none", "a", "b"])
    require({row_id: row.body for row_id, row in got.items()} == rows, "rows come back as they were, absent ones are left out")
    require({row_id: row.version for row_id, row in got.items()} == versions, "with the version of their last change")
    require(store.get("users", ["a"])["a"].body == {"name": "other"}, "collections do not mix")
    require(not (store.get("tags", ["a"]) or store.get("items", []) or store.put("items", {})), "nothing in, nothing out")
    many = {f"m{i:05}": {"i": i} for i in range(1200)}
    store.put("many", many)
    require({k: row.body for k, row in store.get("many", list(many)).items()} == many, "many rows at once")
    store.close()


def rows_change(case: TableCase) -> None:
    """A put replaces, a partial one changes what it names."""
    store = case.open()
    store.put("items", {"a": {"x": 1, "y": {"k": 1}, "z": None}})
    require(
        list(store.put("items", {"a": {"y": {"l": 2}, "x": None}, "b": {"x": 1}}, partial=True)) == ["a"], "a partial put skips absent rows"
    )
    require(store.get("items", ["a", "b"])["a"].body == {"y": {"l": 2}, "z": None}, "a partial put replaces and removes keys, others stay")
    version = store.version()
    refused(
        StoreConflictError, lambda: store.put("items", {"c": {}, "a": {}}, if_version=version), "a row must be at the version asked for"
    )
    refused(StoreConflictError, lambda: store.put("items", {"a": {}}, if_version=0), "version 0 wants no row")
    require(store.get("items", ["c"]) == {} and store.version() == version, "a refused put writes nothing")
    require(store.put("items", {"a": {"w": 1}}, if_version=version)["a"] > version, "at the right version it is written")
    require(store.get("items", ["a"])["a"].body == {"w": 1}, "a put replaces the whole row")
    require(list(store.put("items", {"b": {}}, if_version=0)) == ["b"], "version 0 fits an absent row")
    store.close()


def rows_go(case: TableCase) -> None:
    """Deleted rows are gone, tell of it once, and may come back; forgotten ones leave nothing."""
    store = case.open()
    store.put("items", {name: {"n": name} for name in "abcd"})
    require(store.delete("items", ["a", "none", "a"]) == 1, "delete tells how many rows were there")
    require(list(store.get("items", ["a", "b"])) == ["b"] and [row.id for row in store.page("items")] == ["b", "c", "d"], "deleted is gone")
    require([(c.id, c.body) for c in store.changes(4)] == [("a", None)], "a deletion is a change without a body")
    require(store.delete("items", ["a"]) == 0 and store.version() == 5, "deleting what is not there changes nothing")
    require(store.put("items", {"a": {}}, partial=True) == {}, "a deleted row is absent for a partial put")
    require(list(store.put("items", {"a": {"n": 2}}, if_version=0)) == ["a"], "a deleted row may come back")
    require(store.delete("items", ["b"], forget=True) == 1 == store.delete("items", ["c"]), "forgetting deletes")
    store.delete("items", ["c"], forget=True)
    require([change.id for change in store.changes()] == ["d", "a"], "of what was forgotten not even the id stays")
    store.close()


def rows_in_pages(case: TableCase) -> None:
    """Pages go through all rows by id, once each, in the order of code points."""
    store = case.open()
    names = ["Z", "a", "aa", "B", "é", "知", "10", "9", "_", "🎧", "\uffee", "ab"]
    store.put("items", {name: {} for name in names})
    store.put("users", {"b": {}})
    got, after = [], ""
    while page := store.page("items", after, 5):
        got += [row.id for row in page]
        after = page[-1].id
        store.put("items", {"A0": {}})  # behind or ahead, it does not disturb the others
    require(got in (sorted(names), sorted([*names, "A0"])), "pages hold every row once, ordered by code points")
    store.close()


def changes_in_order(case: TableCase) -> None:
    """Who reads changes from version to version ends with the same tables, however writers and reader interleave."""
    store, rng = case.open(), random.Random(2)
    copy: dict[tuple[str, str], dict[str, Any]] = {}
    since = 0
    for step in range(40):
        kind, names = rng.choice(["items", "users"]), [f"r{rng.randint(0, 9)}" for _ in range(rng.randint(1, 4))]
        if rng.random() < 0.3:
            store.delete(kind, names)
        else:
            store.put(kind, {name: {"step": step, name: step} for name in names}, partial=rng.random() < 0.3)
        while rng.random() < 0.5 and (found := store.changes(since, 3)):
            require(len(found) <= 3 and [c.version for c in found] == sorted({c.version for c in found}), "changes ascend by version")
            since = _follow(copy, found)
    while found := store.changes(since, 7):
        since = _follow(copy, found)
    now = {(kind, row.id): row.body for kind in ("items", "users") for row in store.page(kind, n=100)}
    require(copy == now and since <= store.version(), "changes lead to the same tables")
    store.close()


def _follow(copy: dict[tuple[str, str], dict[str, Any]], found: Sequence[Change]) -> int:
    for change in found:
        copy.pop((change.collection, change.id), None)
        if change.body is not None:
            copy[change.collection, change.id] = change.body
    return found[-1].version


def rows_refused(case: TableCase) -> None:
    """What cannot be kept is refused, and nothing of the call is written."""
    store = case.open()
    for name in ("", "a\0", "\ud800", "x" * (MAX_ID_BYTES + 1)):
        refused(DataError, lambda name=name: store.put("items", {"fine": {}, name: {}}), f"the id {name[:5]!r} is refused")  # type: ignore[misc]
    refused(DataError, lambda: store.put("items", {"fine": {}, "a": {"x": object()}}), "a value that is not JSON is refused")
    refused(DataError, lambda: store.put("items", {"a": {"x": "y" * (1 << 20)}}), "a row that is too large is refused")
    for kind in ("", "Items", "a b", "x" * 65, "items\n"):
        refused(ConfigError, lambda kind=kind: store.page(kind), f"the collection {kind[:9]!r} is refused")  # type: ignore[misc]
    require(store.version() == 0 and store.changes() == [], "a refused call writes nothing")
    store.close()


def rows_by_many(case: TableCase) -> None:
    """Threads that write at once take turns: no version twice, no change lost."""
    store = case.open()
    store.put("items", {"n": {"k": 0}})
    taken: list[int] = []

    def add() -> None:
        for _ in range(5):
            while True:
                row = store.get("items", ["n"])["n"]
                try:
                    taken.extend(store.put("items", {"n": {"k": row.body["k"] + 1}}, if_version=row.version).values())
                    break
                except StoreConflictError:
                    continue

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(store.get("items", ["n"])["n"].body == {"k": 20} and sorted(taken) == list(range(2, 22)), "conditional writes lose nothing")
    store.close()


TABLE_CHECKS = by_name((rows_come_back, rows_change, rows_go, rows_in_pages, changes_in_order, rows_refused, rows_by_many))
"""Every promise of a TableStore by name; each is run on a TableCase of an empty store."""
