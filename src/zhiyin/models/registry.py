"""Every retriever by name. Listing costs nothing; a model's module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zhiyin.base.registry import Registry
from zhiyin.models.roles import ModelSpec

RETRIEVERS = Registry(
    "model",
    "zhiyin.retrievers",
    {
        "popular": "zhiyin.models.retrieve.popular:PopularSpec",
        "buy-again": "zhiyin.models.retrieve.buy_again:BuyAgainSpec",
        "due-again": "zhiyin.models.retrieve.due_again:DueAgainSpec",
        "recent": "zhiyin.models.retrieve.recent:RecentSpec",
        "going-on": "zhiyin.models.retrieve.going_on:GoingOnSpec",
        "trending": "zhiyin.models.retrieve.trending:TrendingSpec",
        "bought-together": "zhiyin.models.retrieve.bought_together:BoughtTogetherSpec",
        "item-neighbours": "zhiyin.models.retrieve.neighbours:ItemNeighboursSpec",
        "user-neighbours": "zhiyin.models.retrieve.neighbours:UserNeighboursSpec",
        "transitions": "zhiyin.models.retrieve.transitions:TransitionsSpec",
        "ease": "zhiyin.models.retrieve.ease:EaseSpec",
        "factors": "zhiyin.models.retrieve.factors:FactorsSpec",
        "content": "zhiyin.models.retrieve.content:ContentSpec",
        "text-neighbours": "zhiyin.models.retrieve.text_neighbours:TextNeighboursSpec",
        "text-ease": "zhiyin.models.retrieve.text_ease:TextEaseSpec",
        "vectors": "zhiyin.models.retrieve.vectors:VectorsSpec",
        "sequence": "zhiyin.models.retrieve.sequence:SequenceSpec",
        "zhiyin": "zhiyin.models.retrieve.blend:BlendSpec",
        "two-stage": "zhiyin.models.two_stage:TwoStageSpec",
    },
)


def spec_of(values: Mapping[str, Any] | str, where: str = "") -> ModelSpec:
    """``"ease"`` or ``{"kind": "ease", "l2": 100}`` -> the spec; unknown names get the nearest."""
    spec: ModelSpec = RETRIEVERS.spec(values, where)
    return spec
