"""What workers tell each other through shared hot state: how much of its rate a caller has used, how often a campaign was shown.

Nobody waits for it: each counts by himself, ten times a second all tell what they counted and hear the sum. While the state is
away each goes on alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from zhiyin.ads.campaigns import StaticCampaigns
from zhiyin.base.errors import StoreError
from zhiyin.store.hot import HotLimits, HotState
from zhiyin.store.opening import open_hot

if TYPE_CHECKING:
    from zhiyin.serve.app import Server

TELL_S = 0.1
PATIENCE_S = 2.0
"""After an error, until the next try."""
RATES, ADS = "rates", "ads"
_RATES = HotLimits(keep_s=3_600)
_ADS = HotLimits(keep_s=400 * 86_400)
log = logging.getLogger("zhiyin.serve")


def prefix_of(tenant: str) -> str:
    """Under which keys of a shared store a tenant is kept."""
    return f"zhiyin:{tenant}:"


class Counting(Protocol):
    """Something that counts by itself and takes in what others counted."""

    def told(self) -> dict[str, int]:
        """What was counted since the last time, and with 0 what else one wants to hear of."""
        ...

    def heard(self, own: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """What all together have counted, with the own amounts that are in it."""
        ...


class Sharing:
    """One thread for rates and campaigns of all tenants of a server."""

    def __init__(self, server: Server, redis: str) -> None:
        self.server = server
        if server.rates is not None:
            server.rates.shared = True
        self._rates = open_hot(redis, _RATES)
        self._ads = {name: open_hot(redis, _ADS, prefix=prefix_of(name)) for name in server.tenants}
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zhiyin-sharing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for hot in (self._rates, *self._ads.values()):
            hot.close()

    def look(self) -> None:
        """Tell and hear once. Raises ``StoreError`` where that is not possible."""
        if self.server.rates is not None:
            exchange(self._rates, RATES, self.server.rates)
        for name, hosted in list(self.server.tenants.items()):
            if isinstance(hosted.adverts, StaticCampaigns):
                exchange(self._ads[name], ADS, hosted.adverts)

    def _run(self) -> None:
        while not self._stop.wait(PATIENCE_S if self._failing else TELL_S):
            try:
                self.look()
                failing = False
            except StoreError as error:
                failing = True
                if not self._failing:
                    log.error("rates and impressions are counted by each worker alone now: %s", error.message)
            except Exception:
                failing = True
                log.exception("sharing failed")
            if self._failing and not failing:
                log.info("rates and impressions are shared again")
            self._failing = failing


def exchange(hot: HotState, board: str, counting: Counting) -> None:
    """Add what one counted to what all did, and tell him the sum."""
    own = counting.told()
    if own:
        counting.heard(own, hot.add(board, own))
