"""What several rooms of tests need: a small trained shop, and real servers, started once for each file that asks and skipped with
a reason where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zhiyin.base.errors import MissingDataError
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.recommender import Recommender
from zhiyin.testing.servers import temporary_postgresql, temporary_redis
from zhiyin.testing.small import small_world


@pytest.fixture(scope="session")
def trained_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved recommender over the small world, for all to link to and for nobody to write into."""
    data, run = small_world("time"), Run(report=silent)
    recommender = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    return recommender.save(tmp_path_factory.mktemp("trained") / "shop")


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    try:
        with temporary_redis() as url:
            yield url
    except MissingDataError as missing:
        pytest.skip(missing.message)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    try:
        with temporary_postgresql(fsync=False) as url:
            yield url
    except MissingDataError as missing:
        pytest.skip(missing.message)
