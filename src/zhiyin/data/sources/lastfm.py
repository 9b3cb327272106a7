"""Last.fm (HetRec 2011): who played which artist how often, who is whose friend, and what they call the music."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from zhiyin.data.schema import EventsTable, ItemsTable, Manifest, RelationsTable, Repeat
from zhiyin.data.sources.source import Source, links
from zhiyin.data.tables import Tables

FOLDER = "lastfm-2k"


def read(root: Path) -> Tables:
    """One event per (user, artist) with its plays as value; no order is known (people listen again: repeat allowed).

    Relations: ``friend`` between users, in both directions, and the triples of MKR's knowledge graph,
    whose entities are artists under their own id and everything else as ``entity:N``. An artist's tags
    are all words any user gave it, most frequent first: also those of pairs that a split holds out.
    ``extra``: ``user_tags`` (who tagged what when; 1,538 rows name artists unknown to the catalogue, some
    dates lie before Last.fm began), ``tags`` (the words), ``artist_text_llm`` (written by a language model).
    """
    folder = root / FOLDER
    manifest = Manifest(
        name=FOLDER,
        order="none",
        language="en",
        events=EventsTable(user="userID", item="artistID", value="weight"),
        items=ItemsTable(id="id", title="name", columns={"name": "text", "tags": "list"}),
        relations=RelationsTable(),
        repeat=Repeat(policy="allow"),
    )
    extra = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("user_tags", "tags", "artist_text_llm")}
    artists = pl.read_parquet(folder / "artists.parquet").select("id", "name")
    artists = artists.join(words_of_artists(extra["user_tags"], extra["tags"]), on="id", how="left")
    friends = links(pl.read_parquet(folder / "user_friends.parquet"), "userID", "friend", "friendID", of_users=True)
    relations = pl.concat([friends, graph(folder)])
    return Tables(manifest, pl.read_parquet(folder / "user_artists.parquet"), artists, None, relations, extra)


def words_of_artists(user_tags: pl.DataFrame, tags: pl.DataFrame) -> pl.DataFrame:
    """id, tags: the words for each artist, most frequent first, of equals the first by letter."""
    counted = user_tags.join(tags, on="tagID").group_by("artistID", "tagValue").len()
    counted = counted.sort("artistID", "len", "tagValue", descending=[False, True, False])
    return counted.group_by("artistID", maintain_order=True).agg(pl.col("tagValue").alias("tags")).rename({"artistID": "id"})


def graph(folder: Path) -> pl.DataFrame:
    """MKR's triples with artist ids in place of the entity numbers that stand for artists."""
    artist_of = dict(pl.read_parquet(folder / "kg_mkr_item2entity.parquet").select("entity_id", "artist_id").rows())
    ends = [
        pl.coalesce(
            pl.col(end).replace_strict(artist_of, default=None, return_dtype=pl.Int32).cast(pl.String),
            "entity:" + pl.col(end).cast(pl.String),
        ).alias(end)
        for end in ("head", "tail")
    ]
    return pl.read_parquet(folder / "kg_mkr_triples.parquet").select(ends[0], "relation", ends[1])


LASTFM = Source(
    FOLDER,
    "plays of artists with tags, friendships and a knowledge graph; no order",
    "HetRec 2011 / GroupLens: non-commercial research use with citation.",
    {"events": 92_834, "users": 1_892, "items": 17_632, "friends": 25_434, "graph": 15_518, "user_tags": 186_479, "tags": 11_946},
    tuple(
        f"{FOLDER}/{table}.parquet"
        for table in (
            "user_artists", "artists", "user_friends", "user_tags", "tags", "artist_text_llm", "kg_mkr_triples", "kg_mkr_item2entity",
        )
    ),
    read,
)  # fmt: skip
