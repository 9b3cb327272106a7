"""How much one caller, and all of them together, may ask for: rates by key or address, requests and bytes in flight."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections.abc import Callable, Mapping

from zhiyin.serve.errors import TooMuchError

MOST_KNOWN = 20_000
"""Callers remembered per generation; two generations are kept."""
_MOST_OWED_S = 2.0
"""What a caller took from others beyond his rate keeps him out no longer than this."""


class Rates:
    """A token bucket for each caller: ``per_s`` requests a second in the long run, ``burst`` at once.

    One number per caller: the instant at which its bucket would be full again (GCRA). Memory is bounded: who has
    not called for two generations of ``most`` callers is forgotten, which is the same as having a full bucket.
    """

    def __init__(self, per_s: float, burst: float, most: int = MOST_KNOWN, clock: Callable[[], float] = time.monotonic) -> None:
        self.step_s = 1.0 / per_s
        self.slack_s = max(burst - 1.0, 0.0) / per_s
        self.most = most
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self.shared = False
        """True where others count the same callers, and are told."""
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        self._elsewhere: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._full_at) + len(self._before)

    def take(self, who: str) -> None:
        """Count one request; raises ``TooMuchError`` (429) that says when the next one may come."""
        now = self._clock()
        full_at = max(self._full_at.get(who) or self._before.get(who, now), now)
        if self._elsewhere:
            with self._lock:
                owed_s = self._elsewhere.pop(who, 0) * self.step_s
            full_at = min(full_at + owed_s, max(full_at, now + self.slack_s + _MOST_OWED_S))
        wait_s = full_at - now - self.slack_s
        refused = wait_s > 1e-9
        if len(self._full_at) >= self.most and who not in self._full_at:
            self._before, self._full_at = self._full_at, {}
        self._full_at[who] = full_at if refused else full_at + self.step_s
        if self.shared and not refused:
            with self._lock:
                self._taken[who] = self._taken.get(who, 0) + 1
        if refused:
            rate = f"more than {1 / self.step_s:g} requests per second"
            raise TooMuchError(rate, "Ask less often, or in batches.", 429, max(1, math.ceil(wait_s)))

    def told(self) -> dict[str, int]:
        """What was taken since the last time, by caller; from another thread than ``take``."""
        with self._lock:
            taken, self._taken = self._taken, {}
        return taken

    def heard(self, own: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """What all took of the same callers: others' part counts with the next request of each. Where somebody comes for the
        first time, what he took elsewhere before is not counted."""
        if len(self._totals) > 2 * self.most:
            self._totals = {}
        for who, total in totals.items():
            others = total - own[who] - self._totals.get(who, total - own[who])
            self._totals[who] = total
            if others > 0:
                with self._lock:
                    self._elsewhere[who] = self._elsewhere.get(who, 0) + others


class InFlight:
    """How many requests are being answered, and how many bytes of their bodies are held; more is refused with 503."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.n = 0
        self.n_bytes = 0

    def check(self) -> None:
        """Raises ``TooMuchError`` (503) where another request should not begin."""
        if self.n >= self.most:
            raise TooMuchError("too many requests are being answered", "Come back in a second.", 503)

    def hold(self, n_bytes: int) -> None:
        """Count bytes of a body; raises ``TooMuchError`` (503) where all bodies together are too many."""
        # One body may always come, or a small bound would refuse it for ever.
        if self.n_bytes and self.n_bytes + n_bytes > self.most_bytes:
            raise TooMuchError("too many large bodies are being read", "Come back in a second.", 503)
        self.n_bytes += n_bytes

    def release(self, n_bytes: int) -> None:
        self.n_bytes -= n_bytes


def address_of(client: tuple[str, int] | None) -> str:
    """What a rate counts for a caller without a key: his address, of IPv6 the /64 that one household has."""
    if client is None:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return client[0][:64]
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return client[0]
