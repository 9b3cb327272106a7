"""The public data sets by name, and where they lie on this machine.

None of them ships with zhiyin: each has its own terms, printed wherever it is listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from zhiyin.base.errors import DataError, MissingDataError
from zhiyin.base.registry import Registry
from zhiyin.data.build import build
from zhiyin.data.dataset import Dataset
from zhiyin.data.sources.source import Source
from zhiyin.data.tables import Tables

ENVIRONMENT = "ZHIYIN_DATA"
BESIDE = Path("..", "shared", "data")  # relative to the project's root

SOURCES = Registry(
    "data set",
    "zhiyin.sources",
    {
        "ml-1m": "zhiyin.data.sources.movielens:ML_1M",
        "ml-1m-seq": "zhiyin.data.sources.movielens:ML_1M_SEQ",
        "amazon_beauty": "zhiyin.data.sources.amazon14:BEAUTY",
        "amazon_toys": "zhiyin.data.sources.amazon14:TOYS",
        "amazon_sports": "zhiyin.data.sources.amazon14:SPORTS",
        "yelp_s3rec": "zhiyin.data.sources.yelp:YELP",
        "amazon18_office": "zhiyin.data.sources.amazon18:OFFICE",
        "amazon18_industrial": "zhiyin.data.sources.amazon18:INDUSTRIAL",
        "foursquare_nyc": "zhiyin.data.sources.foursquare:FOURSQUARE",
        "frappe": "zhiyin.data.sources.frappe:FRAPPE",
        "online_retail": "zhiyin.data.sources.online_retail:ONLINE_RETAIL",
        "chinese_reviews": "zhiyin.data.sources.texts:CHINESE_REVIEWS",
        "cranfield": "zhiyin.data.sources.texts:CRANFIELD",
        "ml-latest-small": "zhiyin.data.sources.movielens:ML_LATEST_SMALL",
        "lastfm-2k": "zhiyin.data.sources.lastfm:LASTFM",
        "filmtrust": "zhiyin.data.sources.filmtrust:FILMTRUST",
        "citeulike-a": "zhiyin.data.sources.citeulike:CITEULIKE",
        "carskit_context": "zhiyin.data.sources.carskit:HOTELS",
        "carskit_depaul_movie": "zhiyin.data.sources.carskit:FILMS",
        "carskit_incarmusic": "zhiyin.data.sources.carskit:MUSIC",
        "carskit_sts": "zhiyin.data.sources.carskit:SIGHTS",
        "mind_sample": "zhiyin.data.sources.mind:MIND",
        "amazon18_giftcards": "zhiyin.data.sources.giftcards:GIFTCARDS",
        "open_bandit": "zhiyin.data.sources.open_bandit:OPEN_BANDIT",
        "goodbooks-10k": "zhiyin.data.sources.goodbooks:GOODBOOKS",
        "ctr_samples": "zhiyin.data.sources.ctr:CTR_SAMPLES",
    },
)


def source(name: str) -> Source:
    """What is known of a data set; an unknown name gets the nearest."""
    found: Source = SOURCES.get(name)
    return found


def data_root() -> Path:
    """The folder with one sub-folder per data set: ``ZHIYIN_DATA``, else ``shared/data`` beside the project.

    The project is looked for upwards from the working folder, then from where this package lies.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        if not Path(named).is_dir():
            raise MissingDataError(f"ZHIYIN_DATA names '{named}', which is no folder", "Point it at the folder that holds the data sets.")
        return Path(named)
    for project in _projects():
        if (project / BESIDE).is_dir():
            return (project / BESIDE).resolve()
    raise MissingDataError("the public data sets are not on this machine", "Point ZHIYIN_DATA at the folder that holds them.")


def _projects() -> Iterator[Path]:
    """Folders with a pyproject.toml above the working folder and above this file."""
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        yield from (folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file())


def available() -> list[str]:
    """Names of the data sets whose files are all there; none when there is no data root."""
    try:
        root = data_root()
    except MissingDataError:
        return []
    return [name for name in SOURCES.names() if not source(name).missing(root)]


def read_source(name: str) -> Tables:
    """The tables of a data set, also of one without behaviour."""
    return source(name).tables(data_root())


def open_source(name: str) -> Dataset:
    """The data set, ready to split and learn from."""
    found = source(name)
    if not found.behaviour:
        raise DataError(
            f"data set '{name}' holds items that nobody acted on, so there is nothing to learn behaviour from",
            f"read_source('{name}').items has them.",
        )
    return build(found.tables(data_root()))
