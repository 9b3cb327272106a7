"""One export of MiniLM for all tests of a session, in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZHIYIN_CACHE", str(tmp_path_factory.mktemp("zhiyin-cache")))
        yield
