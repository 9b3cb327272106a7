"""Checks of what was stored: every event and row is read once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from zhiyin.base.units import US_PER_DAY, US_PER_S
from zhiyin.data.findings import Finding, many
from zhiyin.online.shop import ITEMS
from zhiyin.serve.doctor import Check, Patient

_AHEAD_US = 5 * US_PER_S
_FIRST_US = 1_577_836_800 * US_PER_S  # 2020
_GROWN = 0.2


def events(patient: Patient) -> Iterator[Finding]:
    """Damage, clocks, and events of items that nobody knows."""
    log = patient.stores.log(patient.folder, "read")
    n = n_since = unknown = newest = received = 0
    after = patient.bundles.served.after
    known = patient.recommender.catalog.items.find if patient.recommender else None
    put = _put_items(patient)
    try:
        for position, record in log.read():
            n += 1
            n_since += position > after
            newest, received = max(newest, record.time_us), max(received, record.received_us)
            unknown += known is not None and known(record.item) < 0 and record.item not in put
        notes = log.status().notes
    finally:
        log.close()
    patient.facts["events stored"] = f"{n:,}, {n_since:,} since the model was trained"
    for note in notes:
        yield Finding(
            "bad" if "damaged" in note else "info", "events", f"The log: {note}.", "What is lost there is lost; the rest is sound."
        )
    if unknown:
        said = f"{many(unknown, 'event')} of {n:,} name items that are not in the catalogue."
        yield Finding("warn" if unknown > n / 20 else "info", "events", said, "Put the items: their events act then.")
    if patient.recommender is not None and n_since > _GROWN * max(len(patient.recommender.data.events), 1):
        yield Finding("info", "events", f"{n_since:,} events came since the model was trained.", "Train it anew: zhiyin retrain FOLDER.")
    yield from _clock(patient, received, newest)


def _put_items(patient: Patient) -> set[str]:
    """Items that were put since the model was trained."""
    tables = patient.stores.tables(patient.folder, "read")
    since, found = 0, set()
    try:
        while changes := tables.changes(since, 5_000):
            found |= {change.id for change in changes if change.collection == ITEMS and change.body is not None}
            since = changes[-1].version
    finally:
        tables.close()
    return found


def _clock(patient: Patient, received: int, newest: int) -> Iterator[Finding]:
    now = patient.now_us
    if now < _FIRST_US:
        yield Finding("bad", "clock", f"The clock says {_day(now)}.", "Set it: events of now are refused.")
    elif received > now + _AHEAD_US:
        yield Finding("bad", "clock", f"The clock went back: an event was taken at {_day(received)}, and it is {_day(now)}.", "Set it.")
    if newest > now + US_PER_DAY:
        yield Finding("warn", "clock", f"An event says that it happened at {_day(newest)}.", "Look at the clock of who sent it.")


def rows(patient: Patient) -> Iterator[Finding]:
    """What the tables hold, and whether the file is sound."""
    if patient.stores.database is None:
        path = patient.home / "tables.sqlite"
        if not path.is_file():
            return
        said = _sound(str(path.absolute()))
        if said != "ok":
            yield Finding("bad", "rows", f"'{path.name}' is damaged: {said}.", "Restore a dump: zhiyin restore FILE FOLDER.")
            return
    else:
        patient.facts["database"] = patient.stores.database.rpartition("@")[2]
    tables = patient.stores.tables(patient.folder, "read")
    counts: Counter[str] = Counter()
    since = 0
    try:
        while changes := tables.changes(since, 5_000):
            counts.update(change.collection for change in changes if change.body is not None)
            since = changes[-1].version
    finally:
        tables.close()
    if counts:
        patient.facts["rows"] = [f"{n:,} {collection}" for collection, n in sorted(counts.items())]


def _sound(path: str) -> str:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        connection.close()
        return said
    except sqlite3.DatabaseError as error:
        return str(error)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


STORE_CHECKS: tuple[Check, ...] = (events, rows)
