"""The town as plain tables, the way any shop would hand them over: nothing in them tells the truth directly."""

from __future__ import annotations

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Int32, Int64
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Repeat, UsersTable
from zhiyin.data.tables import Tables
from zhiyin.testing.town.layout import START_US, TIME_ZONE, US_PER_WEEK, square_degrees, square_names
from zhiyin.testing.town.people import People
from zhiyin.testing.town.spec import TownSpec
from zhiyin.testing.town.things import Things, texts
from zhiyin.testing.town.words import DOMAINS, LANGUAGES, LIKES, MOODS, THEMES, VERBS

YEAR_BEFORE_US = START_US - 52 * US_PER_WEEK


def user_id(number: int) -> str:
    return f"u{number}"


def item_id(number: int) -> str:
    return f"i{number}"


def manifest_of(spec: TownSpec) -> Manifest:
    return Manifest(
        name="town",
        time_zone=TIME_ZONE,
        language="auto" if spec.language == "mixed" else spec.language,
        events=EventsTable(kind="kind", time="time", place="place"),
        items=ItemsTable(
            title="title",
            columns={
                "title": "text", "description": "text", "domain": "domain", "language": "language", "price": "price",
                "place": "place", "latitude": "latitude", "longitude": "longitude",
            },
            publish="published",
        ),
        users=UsersTable(columns={"about": "text", "home": "place", "work": "place"}),
        repeat=Repeat(policy="allow"),
    )  # fmt: skip


def tables_of(spec: TownSpec, people: People, things: Things, user: Int32, time_us: Int64, square: Int32, thing: Int32) -> Tables:
    """Events by time (ties by person), items by id, people by id."""
    rng = np.random.default_rng([spec.seed, 7])
    names = square_names()
    latitude, longitude = square_degrees()
    order = np.argsort(time_us, kind="stable")
    domain = things.groups.domain[things.group]
    verbs = [VERBS[d] for d in DOMAINS]
    events = pl.DataFrame({
        "user_id": _named([user_id(i) for i in range(len(people))], user[order]),
        "item_id": _named([item_id(n) for n in things.number], thing[order]),
        "kind": _named(verbs, domain[thing[order]]),
        "time": pl.Series(time_us[order]).cast(pl.Datetime("us", "UTC")),
        "place": _named(names, square[order]),
    })  # fmt: skip
    where = pl.DataFrame({"place": names, "latitude": latitude, "longitude": longitude})
    return Tables(manifest_of(spec), events, _items(things, rng), _users(spec, people, rng), extra={"places": where})


def _named(names: list[str], codes: AnyArray) -> pl.Series:
    """Text by number, 4 bytes a row."""
    return pl.Series(names, dtype=pl.Categorical).gather(codes)


def _items(things: Things, rng: np.random.Generator) -> pl.DataFrame:
    titles, abouts = texts(things, rng)
    g, placed = things.groups, things.square >= 0
    latitude, longitude = square_degrees()
    early = rng.integers(YEAR_BEFORE_US, START_US, len(things))
    published = np.where(things.published_week > 0, START_US + things.published_week * np.int64(US_PER_WEEK), early)
    frame = pl.DataFrame({
        "item_id": [item_id(n) for n in things.number],
        "title": titles,
        "description": abouts,
        "domain": [DOMAINS[i] for i in g.domain[things.group]],
        "language": [LANGUAGES[i] for i in g.language[things.group]],
        "price": things.price,
        "place": [square_names()[s] if s >= 0 else None for s in things.square],
        "latitude": pl.Series(np.where(placed, latitude[things.square], np.nan)).fill_nan(None),
        "longitude": pl.Series(np.where(placed, longitude[things.square], np.nan)).fill_nan(None),
        "published": pl.Series(published).cast(pl.Datetime("us", "UTC")),
    })  # fmt: skip
    return frame[np.argsort(things.number)]


def _users(spec: TownSpec, people: People, rng: np.random.Generator) -> pl.DataFrame:
    """What people say of themselves: their two dearest themes and their mood, in a language they read."""
    themes, moods, names = list(THEMES), list(MOODS), square_names()
    dearest, mood = np.argsort(-people.theme, axis=1)[:, :2], people.mood.argmax(axis=1)
    tongue = np.where(people.language[:, 0] == people.language[:, 1], rng.integers(0, 2, len(people)), people.language.argmax(axis=1))
    words, mood_words = rng.integers(0, 7, dearest.shape), rng.integers(0, 4, len(people))
    about = []
    for (first, second), (i, j), m, k, t in zip(dearest, words, mood, mood_words, tongue, strict=True):
        language = LANGUAGES[t]
        said = MOODS[moods[m]][language][k]
        about.append(LIKES[language].format(mood=said, a=THEMES[themes[first]][language][i], b=THEMES[themes[second]][language][j]))
    ids = [user_id(i) for i in range(len(people))]
    return pl.DataFrame({"user_id": ids, "about": about, "home": _named(names, people.home), "work": _named(names, people.work)})
