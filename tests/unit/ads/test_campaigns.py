"""Campaigns from a file: who gets which slot, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from zhiyin.ads.campaigns import FILE, StaticCampaigns
from zhiyin.ads.slots import Slot, with_slots
from zhiyin.base.errors import ConfigError


def at(*said: int) -> int:
    return round(datetime(*said, tzinfo=UTC).timestamp() * 1e6)


def read(folder: Path, text: str, **counts: int) -> StaticCampaigns:
    (folder / FILE).write_text(text)
    return StaticCampaigns.read(folder / FILE, counts)


def test_a_campaign_runs_where_and_when_it_says(tmp_path: Path) -> None:
    campaigns = read(tmp_path, '[[campaign]]\nname = "a"\nitem = "x"\npositions = [2]\nfrom = 2026-12-01\nuntil = 2026-12-31\n')
    assert campaigns.fill("home", at(2026, 12, 31, 23, 59), {}, None) == [Slot(2, "x", "a")]
    assert campaigns.fill("home", at(2027, 1, 1), {}, None) == []
    assert campaigns.fill("home", at(2026, 11, 30, 23), {}, None) == []
    assert campaigns.fill("cart", at(2026, 12, 5), {}, None) == []


def test_level_campaigns_take_turns_and_a_spent_one_stops(tmp_path: Path) -> None:
    text = '[[campaign]]\nname = "a"\nitem = "x"\nimpressions = 3\n[[campaign]]\nname = "b"\nitem = "y"\n'
    campaigns = read(tmp_path, text)
    seen = []
    for _ in range(8):
        slots = campaigns.fill("home", 0, {}, None)
        campaigns.shown(slots)
        seen += [slot.campaign for slot in slots]
    assert seen == ["a", "b", "a", "b", "a", "b", "b", "b"]
    assert read(tmp_path, text, a=3).fill("home", 0, {}, None) == [Slot(3, "y", "b")]


def test_an_advertised_item_stands_once_and_lists_keep_their_length() -> None:
    assert with_slots(["p", "q", "r"], [Slot(2, "r", "a")], 3) == [("p", None), ("r", Slot(2, "r", "a")), ("q", None)]
    assert with_slots(["p"], [Slot(9, "x", "a")], 3) == [("p", None), ("x", Slot(9, "x", "a"))]
    assert with_slots(["p", "q"], [Slot(1, "x", "a")], 2) == [("x", Slot(1, "x", "a")), ("p", None)]
    assert with_slots([], [], 5) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[campaign]\n", "is not TOML"),
        ("[campagin]\n", "holds 'campagin', which is no list of campaigns"),
        ('[[campaign]]\nname = "a"\n', "key 'item' is missing in campaigns.toml, campaign 1"),
        ('[[campaign]]\nname = "a"\nitem = "x"\nplacement = ["home"]\n', "Did you mean 'placements'"),
        ('[[campaign]]\nname = "a"\nitem = "x"\n[[campaign]]\nname = "a"\nitem = "y"\n', "two campaigns are named 'a'"),
    ],
)
def test_mistakes_in_the_file_are_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert words in str(error.value)


def test_without_a_file_nothing_is_advertised(tmp_path: Path) -> None:
    assert StaticCampaigns.read(tmp_path / FILE).fill("home", 0, {}, None) == []
