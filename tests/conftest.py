"""What several rooms of tests need: real servers, started once for each file that asks, skipped with a reason where there are none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zhiyin.base.errors import MissingDataError
from zhiyin.testing.servers import temporary_postgresql, temporary_redis


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
