"""Every registered feature source keeps every promise, with time, with positions, and without order."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.attributes import Attributes, AttributesSpec
from zhiyin.models.features.companions import CompanionsSpec
from zhiyin.models.features.registry import SOURCES, default_sources, source_of
from zhiyin.testing.contracts import ContractError
from zhiyin.testing.source_contracts import SOURCE_CHECKS, SourceCase, check_source, rich_world

KEPT = [(name, order) for name in SOURCES.names() for order in ("time", "position", "none") if (name, order) != ("history", "none")]
"""A history without order holds the event that is asked about: it is refused (tests/unit/models/features)."""


@cache
def case(name: str, order: Any) -> SourceCase:
    return SourceCase(source_of(name), rich_world(order), Path(mkdtemp()))


@pytest.mark.parametrize("check", SOURCE_CHECKS)
@pytest.mark.parametrize(("name", "order"), KEPT)
def test_source_keeps(name: str, order: str, check: str) -> None:
    SOURCE_CHECKS[check](case(name, order))


def test_on_timed_data_only_sources_as_of_now_are_taken_by_default() -> None:
    taken = default_sources(rich_world())
    assert {spec.kind for spec in taken} == {name for name in SOURCES.names() if source_of(name).as_of}
    assert {spec.kind for spec in default_sources(rich_world("none"))} >= {"companions", "social", "nearby", "interest"}


def test_families() -> None:
    told = {column: s.spec.family_of(column) for name in SOURCES.names() for s in [case(name, "time").source] for column in s.names}
    assert {told[c] for c in ("n.item", "own.item.7d", "with.sum", "lift.previous+item", "n.item.30d")} == {"behaviour"}
    assert {told[c] for c in ("n.item+hour", "lift.item+context.weather.others", "own.item.hour0.75", "own.group.week")} == {"context"}
    assert (told["km.last"], told["price.price.usual"], told["friends.took"]) == ("context", "interest", "social")


class _Drunk(Attributes):
    """Says something of whoever else is in the batch."""

    def features(self, requests: Requests, slates: Slates) -> Any:
        return super().features(requests, slates) + np.float32(len(requests))


class _DrunkSpec(AttributesSpec):
    def fit(self, data: Any) -> Attributes:
        return _Drunk(**vars(super().fit(data)))


def test_a_broken_promise_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="'attributes' breaks its contract: a batch of one equals its row of the batch"):
        check_source(_DrunkSpec(), folder=tmp_path)


class _HastySpec(CompanionsSpec):
    """Says that it answers as of now, and does not."""

    as_of = True


def test_what_counts_later_events_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="'companions' breaks its contract: an event one microsecond late changes nothing"):
        SOURCE_CHECKS["later_events"](SourceCase(_HastySpec(), rich_world(), tmp_path))
