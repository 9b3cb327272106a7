"""What advertisements did."""

from __future__ import annotations

import asyncio

from zhiyin.serve.advertising import CampaignReport, report
from zhiyin.serve.operation import Call, Operation, Scope


async def adverts_report(call: Call) -> list[CampaignReport]:
    return await asyncio.to_thread(report, call.tenant.traces, call.tenant.tenant.log)


_PATH = "/v1/{tenant}/ads/report"
OPERATIONS = (
    Operation("ads_report", "GET", _PATH, Scope.READ, adverts_report, "Impressions and clicks by campaign.", list[CampaignReport]),
)
