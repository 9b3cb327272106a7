"""Four small sets of ratings given in a context, as CARSKit collects them: hotels, films, music in the car, sights.

They share neither users nor items, so each is a data set of its own. ``carskit_context`` is the largest,
TripAdvisor v2. Ratings of 4 and more are likings; nothing is known of order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, Repeat, UsersTable
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

FOLDER = "carskit_context"
TERMS = "CARSKit's collection: research use with citation of each set's own paper."
NOTHING = ("NA", "NULL", "\\N")
CAR = ("DrivingStyle", "landscape", "mood", "naturalphenomena", "RoadType", "sleepiness", "trafficConditions", "weather")
TRAVEL = (
    "distance", "timeAvailable", "temperature", "crowdedness", "knowledgeOfSurroundings", "season", "budget", "daytime", "weather",
    "companion", "mood", "weekday", "travelGoal", "transport",
)  # fmt: skip
PERSON = ("birthDate", "gender", "opennessToExperience", "conscientiousness", "extraversion", "agreeableness", "emotionalStability")


def read_hotels(root: Path) -> Tables:
    """TripAdvisor v2: the type of trip is the context; where guests and hotels are describes users and items."""
    rows = _rows(root, "tripadvisor_v2", "Rating")
    users = UsersTable(id="UserID", columns={"UserState": "place", "UserTimeZone": "category"})
    items = ItemsTable(id="ItemID", columns={"ItemCity": "place", "ItemState": "place", "ItemTimeZone": "category"})
    manifest = _manifest(FOLDER, EventsTable(user="UserID", item="ItemID", value="Rating", context=("TripType",)), items, users)
    events = rows.select("UserID", "ItemID", "Rating", "TripType")
    return Tables(manifest, events, _once(rows, "ItemID", items.columns), _once(rows, "UserID", users.columns))


def read_films(root: Path) -> Tables:
    """DePaulMovie: when (weekend or not), where and with whom a film was seen; films are IMDb numbers, no texts."""
    columns = EventsTable(user="userid", item="itemid", value="rating", context=("Time", "Location", "Companion"))
    return Tables(_manifest("carskit_depaul_movie", columns), _rows(root, "depaul_movie", "rating"))


def read_music(root: Path) -> Tables:
    """InCarMusic: one of eight conditions of driving per rating (0 to 5), or none; tracks have title, artist, genre.

    ``extra["context_factor"]`` holds the question that was asked for each condition.
    """
    folder = root / FOLDER
    genres = pl.read_parquet(folder / "incarmusic_music_category.parquet")
    # The file had no header: its first genre, "1, Blues music", became the names of the columns.
    genre_of = dict([*genres.rows(), tuple(genres.columns)])
    tracks = pl.read_parquet(folder / "incarmusic_music_track.parquet")
    tracks = tracks.select("id", "title", "artist", pl.col("category_id").replace_strict(genre_of).alias("genre"))
    items = ItemsTable(id="id", title="title", columns={"title": "text", "artist": "category", "genre": "category"})
    columns = EventsTable(user="UserID", item="ItemID", value="Rating", context=CAR)
    extra = {"context_factor": pl.read_parquet(folder / "incarmusic_context_factor.parquet").select("id", "question", "dimension", "value")}
    return Tables(
        _manifest("carskit_incarmusic", columns, items), _rows(root, "incarmusic_contextualrating", "Rating"), tracks, extra=extra
    )


def read_sights(root: Path) -> Tables:
    """South Tyrol Suggests: ratings of sights in fourteen contexts (codes), with the raters' personality.

    793 of the 2,534 rows have no date, so no order is claimed; ``creationDate`` stays in the table.
    """
    rows = _rows(root, "sts_travel", "rating")
    rows = rows.with_columns(pl.col("creationDate").str.to_datetime("%d/%m/%Y %H:%M:%S"))
    # A birthday in the year of the rating is nobody's; it is left as it was given.
    kinds = {c: "category" if c in PERSON[:2] else "number" for c in PERSON}
    manifest = _manifest(
        "carskit_sts",
        EventsTable(user="userID", item="itemID", value="rating", context=TRAVEL),
        ItemsTable(id="itemID", columns=dict.fromkeys(("category1", "category2", "category3"), "category")),
        UsersTable.parse({"id": "userID", "columns": kinds, "sensitive": PERSON}),
    )
    people = _once(rows, "userID", kinds).with_columns(pl.col(PERSON[2:]).cast(pl.Int8))
    events = rows.select("userID", "itemID", "rating", "creationDate", *TRAVEL)
    return Tables(manifest, events, _once(rows, "itemID", ("category1", "category2", "category3")), people)


def _manifest(name: str, events: EventsTable, items: ItemsTable | None = None, users: UsersTable | None = None) -> Manifest:
    repeat = Repeat(policy="allow")  # the same thing in another context is another case
    return Manifest(name=name, order="none", language="en", events=events, items=items, users=users, positive_from=4, repeat=repeat)


def _rows(root: Path, table: str, rating: str) -> pl.DataFrame:
    """A table with nulls for what its authors write as NA or NULL, and ratings as numbers."""
    rows = pl.read_parquet(root / FOLDER / f"{table}.parquet")
    words = pl.col(pl.String)
    return rows.with_columns(pl.when(~words.is_in(NOTHING)).then(words).name.keep()).with_columns(pl.col(rating).cast(pl.Int8))


def _once(rows: pl.DataFrame, id_column: str, columns: object) -> pl.DataFrame:
    """The describing columns, one row per id; every row of an id says the same."""
    return rows.select(id_column, *columns).unique(id_column, keep="first", maintain_order=True)  # type: ignore[misc]


def _source(name: str, about: str, table: str, read: Callable[[Path], Tables], events: int, users: int, items: int) -> Source:
    tables = (table, "incarmusic_music_track", "incarmusic_music_category", "incarmusic_context_factor")
    files = tuple(f"{FOLDER}/{t}.parquet" for t in (tables if read is read_music else tables[:1]))
    return Source(name, about, TERMS, {"events": events, "users": users, "items": items}, files, read)


HOTELS = _source(
    FOLDER, "hotel ratings with the type of trip (TripAdvisor v2; the other three: carskit_...)", "tripadvisor_v2", read_hotels,
    14_175, 2_371, 2_269,
)  # fmt: skip
FILMS = _source(
    "carskit_depaul_movie", "film ratings with time, location and company (DePaulMovie)", "depaul_movie", read_films, 5_043, 97, 79
)
MUSIC = _source(
    "carskit_incarmusic", "ratings of tracks under eight conditions of driving (InCarMusic)", "incarmusic_contextualrating", read_music,
    4_012, 42, 139,
)  # fmt: skip
SIGHTS = _source(
    "carskit_sts", "ratings of sights in fourteen contexts, with personality (South Tyrol Suggests)", "sts_travel", read_sights,
    2_534, 325, 249,
)  # fmt: skip
