"""MovieLens-1M, twice: with ratings and times, and as the ordered sequences that most papers use; and the small set."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, UsersTable
from zhiyin.data.sources.source import MOVIELENS_TERMS, Source
from zhiyin.data.tables import Tables

FOLDER = "ml-1m"
AGES = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}
OCCUPATIONS = (
    "other", "academic or educator", "artist", "clerical or admin", "college or grad student", "customer service",
    "doctor or health care", "executive or managerial", "farmer", "homemaker", "school student", "lawyer", "programmer",
    "retired", "sales or marketing", "scientist", "self-employed", "technician or engineer", "tradesman or craftsman",
    "unemployed", "writer",
)  # fmt: skip
ITEMS = ItemsTable(id="movie_id", title="title", columns={"title": "text", "genres": "list", "year": "number"})
YEAR = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int32)  # that the title ends with
USERS = UsersTable(
    id="user_id",
    columns={"gender": "category", "age": "category", "occupation": "category", "zip_code": "category"},
    sensitive=("gender", "age", "zip_code"),
)


def read_ratings(root: Path) -> Tables:
    """Ratings with times. 4 stars and more are likings, and those rows are complete and exact.

    336,950 rows of 1 to 3 stars have lost rating and time in the copy at hand; without a time they
    cannot be placed, so they are left out of the events and kept under ``extra["untimed"]`` (pairs
    known to be seen, not liked, in the first 80% of time). What a model learns from is not touched.
    ``extra["movie_text_llm"]`` holds a paragraph per movie written by a language model, with errors.
    """
    ratings = pl.read_parquet(root / FOLDER / "ratings.parquet").rename({"time_split": "split"})
    timed = pl.col("timestamp").is_not_null()
    extra = {
        "untimed": ratings.filter(~timed).select("user_id", "movie_id"),
        "movie_text_llm": pl.read_parquet(root / FOLDER / "movie_text_llm.parquet"),
    }
    manifest = Manifest(
        name="ml-1m",
        language="en",
        events=EventsTable(item="movie_id", value="rating", time="timestamp", time_unit="s", split="split"),
        items=ITEMS,
        users=USERS,
        positive_from=4,
    )
    return Tables(manifest, ratings.filter(timed), movies(root), people(root), extra=extra)


def read_sequences(root: Path) -> Tables:
    """Every rating is a positive; only the order within a user is known. Movies that occur: 3,416."""
    events = pl.read_parquet(root / "ml-1m-seq" / "interactions.parquet").select("user_id", "movie_id", "position")
    manifest = Manifest(
        name="ml-1m-seq",
        order="position",
        language="en",
        events=EventsTable(item="movie_id", position="position"),
        items=ITEMS,
        users=USERS,
    )
    # The published catalogue is what occurs: protocol P1 ranks 3,416 movies, not 3,883.
    items = movies(root).join(events.select("movie_id").unique(), on="movie_id", how="semi")
    return Tables(manifest, events, items, people(root))


def read_small(root: Path) -> Tables:
    """All ratings (half stars, 4 and more are likings) with their times; nothing is missing here.

    Tags are dated words of users about movies: as a column of the items they would tell a split by time
    about its future, so they stay under ``extra["tags"]``. ``extra["links"]``: IMDb and TMDB numbers.
    """
    folder = root / "ml-latest-small"
    table = pl.read_parquet(folder / "movies.parquet")
    genres = pl.when(pl.col("genres") != "(no genres listed)").then(pl.col("genres").str.split("|"))
    manifest = Manifest(
        name="ml-latest-small",
        language="en",
        events=EventsTable(user="userId", item="movieId", value="rating", time="timestamp", time_unit="s"),
        items=ItemsTable(id="movieId", title="title", columns=ITEMS.columns),
        positive_from=4,
    )
    items = table.select("movieId", "title", genres.alias("genres"), YEAR.alias("year"))
    extra = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("tags", "links")}
    return Tables(manifest, pl.read_parquet(folder / "ratings.parquet"), items, extra=extra)


def movies(root: Path) -> pl.DataFrame:
    """Title, genres, and the year that the title ends with."""
    table = pl.read_parquet(root / FOLDER / "movies.parquet").with_columns(pl.col("movie_id").cast(pl.Int16))
    return table.with_columns(YEAR.alias("year"), pl.col("genres").str.split("|")).select("movie_id", "title", "genres", "year")


def people(root: Path) -> pl.DataFrame:
    """Demographics in words instead of codes."""
    table = pl.read_parquet(root / FOLDER / "users.parquet")
    jobs = dict(enumerate(OCCUPATIONS))
    return table.with_columns(
        pl.col("user_id").cast(pl.Int16),
        pl.col("age").replace_strict(AGES, return_dtype=pl.String),
        pl.col("occupation").replace_strict(jobs, return_dtype=pl.String),
    )


ML_1M = Source(
    "ml-1m",
    "movie ratings with times, titles, genres, demographics (1-3 stars of the first 80% of time are blank)",
    MOVIELENS_TERMS,
    {"rows": 1_000_012, "events": 663_062, "likings": 575_281, "users": 6_040, "items": 3_883, "untimed": 336_950},
    ("ml-1m/ratings.parquet", "ml-1m/movies.parquet", "ml-1m/users.parquet", "ml-1m/movie_text_llm.parquet"),
    read_ratings,
)
ML_1M_SEQ = Source(
    "ml-1m-seq",
    "MovieLens-1M as ordered sequences (the ml-1m.txt of SASRec) with titles and genres",
    MOVIELENS_TERMS,
    {"events": 999_601, "users": 6_040, "items": 3_416},
    ("ml-1m-seq/interactions.parquet", "ml-1m/movies.parquet", "ml-1m/users.parquet"),
    read_sequences,
)
ML_LATEST_SMALL = Source(
    "ml-latest-small",
    "100k movie ratings with times, titles and genres (2016 edition, complete); tags and links under extra",
    MOVIELENS_TERMS,
    {"events": 100_004, "users": 671, "items": 9_125, "tags": 1_296},
    tuple(f"ml-latest-small/{table}.parquet" for table in ("ratings", "movies", "tags", "links")),
    read_small,
)
