"""Campaigns from a file: enough to sell a slot to somebody you know; auctions and pacing come with the ad system.

    [[campaign]]
    name = "winter"
    item = "sku-17"                  # an item of the catalogue
    placements = ["home"]
    positions = [3]                  # 1 = first
    from = 2026-12-01
    until = 2026-12-31               # a day is meant to its end
    impressions = 10_000             # at most; left out: no limit

Where several campaigns want one position, the one that was shown least so far has it.
"""

from __future__ import annotations

import threading
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zhiyin.ads.slots import Slot
from zhiyin.base.errors import ConfigError
from zhiyin.base.spec import Spec

FILE = "campaigns.toml"


class Campaign(Spec):
    """One advertiser's wish."""

    name: Annotated[str, Field(min_length=1)]
    item: Annotated[str, Field(min_length=1)]
    placements: tuple[str, ...] = ("home",)
    positions: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (3,)
    from_: datetime | date | None = Field(default=None, alias="from")
    until: datetime | date | None = None
    impressions: Annotated[int, Field(ge=1)] | None = None

    def runs(self, placement: str, now_us: int) -> bool:
        """Whether it wants to be shown there and then."""
        if placement not in self.placements:
            return False
        return (self.from_ is None or _us(self.from_) <= now_us) and (self.until is None or now_us < _us(self.until, end=True))


def _us(said: datetime | date, *, end: bool = False) -> int:
    """Microseconds of a moment, or of the beginning or end of a day, in UTC where it says no zone."""
    night = timedelta(days=1) if end else timedelta()
    moment = said if isinstance(said, datetime) else datetime.combine(said, time()) + night
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


class StaticCampaigns:
    """Fills slots from a file of campaigns. ``counts`` are impressions so far, by campaign, as they were found in the traces."""

    def __init__(self, campaigns: Sequence[Campaign], counts: Mapping[str, int] | None = None) -> None:
        names = [campaign.name for campaign in campaigns]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ConfigError(f"two campaigns are named '{twice[0]}'", "Give each its own name.")
        self.campaigns = tuple(campaigns)
        self._counts = Counter(counts or {})
        self._new: Counter[str] = Counter()
        self._totals: dict[str, int] = {}
        self._lock = threading.Lock()

    @classmethod
    def read(cls, path: Path, counts: Mapping[str, int] | None = None) -> StaticCampaigns:
        """The campaigns of a file, none where there is no file; ``ConfigError`` with the place of a mistake."""
        if not path.is_file():
            return cls(())
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"'{path.name}' is not TOML: {error}", "Write a [[campaign]] for each.") from None
        strange = [name for name in table if name != "campaign"] or ([] if isinstance(table.get("campaign", []), list) else ["campaign"])
        if strange:
            raise ConfigError(f"'{path.name}' holds '{strange[0]}', which is no list of campaigns", "Write a [[campaign]] for each.")
        said = [Campaign.parse(values, f"{path.name}, campaign {i}") for i, values in enumerate(table.get("campaign", []), 1)]
        return cls(said, counts)

    def fill(self, placement: str, now_us: int, context: Mapping[str, Any], person: str | None) -> list[Slot]:
        """See ``Adverts.fill``; neither context nor person matters to a static campaign."""
        if not self.campaigns:
            return []
        wanted = [
            c for c in self.campaigns if c.runs(placement, now_us) and (c.impressions is None or self._counts[c.name] < c.impressions)
        ]
        out: dict[int, Slot] = {}
        for campaign in sorted(wanted, key=lambda c: (self._counts[c.name], c.name)):
            free = next((p for p in campaign.positions if p not in out), None)
            if free is not None and all(slot.item != campaign.item for slot in out.values()):
                out[free] = Slot(free, campaign.item, campaign.name)
        return sorted(out.values())

    def shown(self, slots: Sequence[Slot]) -> None:
        with self._lock:
            self._counts.update(slot.campaign for slot in slots)
            self._new.update(slot.campaign for slot in slots)

    def told(self) -> dict[str, int]:
        """Impressions since the last time by campaign, 0 for the others: where several workers count together."""
        with self._lock:
            new, self._new = self._new, Counter()
        return {campaign.name: new[campaign.name] for campaign in self.campaigns}

    def heard(self, own: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """Impressions by all workers, with the own ones in it: what others showed since the last time counts here too."""
        with self._lock:
            for name, total in totals.items():
                others = total - own[name] - self._totals.get(name, total - own[name])
                self._totals[name] = total
                self._counts[name] = max(self._counts[name] + max(others, 0), total)
