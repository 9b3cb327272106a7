"""What advertisements did: shown and clicked, found again in traces and events."""

from __future__ import annotations

from collections import Counter

import msgspec

from zhiyin.online.traces import Traces
from zhiyin.store.event_log import EventLog


class CampaignReport(msgspec.Struct, frozen=True):
    """``clicks`` are events on the advertised item that carry the trace of an answer in which it stood as an advertisement."""

    campaign: str
    impressions: int
    clicks: int


def impressions(traces: Traces) -> tuple[Counter[str], dict[tuple[str, str], str]]:
    """How often each campaign was shown, and whose (trace, item) it was, as far back as traces are kept."""
    shown: Counter[str] = Counter()
    whose: dict[tuple[str, str], str] = {}
    for trace in traces.every():
        for item in trace.items:
            if item.campaign:
                shown[item.campaign] += 1
                whose[trace.trace, item.item] = item.campaign
    return shown, whose


def report(traces: Traces, log: EventLog) -> list[CampaignReport]:
    """One row per campaign that was ever shown."""
    shown, whose = impressions(traces)
    clicked: Counter[str] = Counter()
    if whose:
        for _, event in log.read():
            if event.trace and (campaign := whose.get((event.trace, event.item))):
                clicked[campaign] += 1
    return [CampaignReport(name, shown[name], clicked[name]) for name in sorted(shown)]
