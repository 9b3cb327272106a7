"""Checks of a server that runs: who listens, which model it serves, and how often it had to do without."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

from zhiyin.data.findings import Finding
from zhiyin.serve.doctor import Check, Patient

_ASKS = ("recommend", "rank", "page", "similar", "popular", "trending", "new")
_MANY = 0.01


def listening(patient: Patient) -> Iterator[Finding]:
    """Whether the address is taken, and by whom."""
    import httpx

    settings = patient.settings
    written = patient.stores.written_by_others(patient.folder)
    server = patient.server or f"http{'s' if settings.tls_certificate else ''}://{settings.host}:{settings.port}"
    if patient.server is None and not _taken(settings.host, settings.port):
        patient.facts["server"] = f"none at {server}"
        if written:
            yield Finding("info", "server", "A server writes this folder, at another address.", "Say which: --server http://HOST:PORT.")
        return
    try:
        with httpx.Client(base_url=server, timeout=5, headers=_key(patient)) as client:
            alive = client.get("/health/live")
            if alive.status_code != 200 or alive.json() != {"status": "ok"}:
                raise ValueError("no answer as ours")
            patient.facts["server"] = server
            yield from _served(patient, client)
    except (httpx.HTTPError, ValueError) as error:
        patient.facts["server"] = f"none at {server}"
        said = "another program listens there" if patient.server is None else str(error) or type(error).__name__
        yield Finding("bad" if patient.server else "warn", "server", f"No zhiyin answers at {server}: {said}.", "Choose another --port.")


def _key(patient: Patient) -> dict[str, str]:
    return {} if patient.key is None else {"authorization": f"Bearer {patient.key}"}


def _served(patient: Patient, client: Any) -> Iterator[Finding]:
    name = patient.folder.name
    given = client.get(f"/v1/{name}/health/ready")
    if given.status_code in (401, 403):
        yield Finding("info", "server", "The server tells no more without a key.", "Give one with the scope read: --key.")
        return
    if given.status_code == 404:
        yield Finding("warn", "server", f"The server does not serve '{name}'.")
        return
    said = given.json()
    if not said.get("ready"):
        yield Finding("bad", "server", f"The server cannot store events: {'; '.join(said.get('notes', []))}.", "Look at disk and database.")
    if (served := patient.bundles.served.version) != said.get("model"):
        yield Finding("warn", "server", f"The server serves model {said.get('model')}, the folder says {served}.", "Look at its log.")
    if said.get("degraded"):
        yield Finding("bad", "server", "The model hangs: answers come without it.", "Look at the load of the machine, or at --deadline-ms.")
    figures = client.get("/metrics")
    if figures.status_code == 200:
        yield from _degraded(patient, figures.text)


def _degraded(patient: Patient, text: str) -> Iterator[Finding]:
    asked = sum(_figure(text, f'zhiyin_requests_total{{operation="{op}",status="200"}}') for op in _ASKS)
    without = _figure(text, f'zhiyin_degraded_answers{{tenant="{patient.folder.name}"}}')
    failed = sum(float(n) for n in re.findall(r'^zhiyin_requests_total\{operation="\w+",status="5\d\d"\} (\S+)$', text, re.M))
    share = without / asked if asked else 0.0
    patient.facts["answers"] = f"{asked:,.0f}, {share:.2%} of them without the model"
    if share > _MANY:
        yield Finding("warn", "server", f"{share:.1%} of the answers came without the model.", "Raise --deadline-ms, or add --workers.")
    if failed:
        yield Finding("warn", "server", f"{failed:,.0f} requests failed on the side of the server.", "Its log says which.")


def _figure(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


def _taken(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


SERVER_CHECKS: tuple[Check, ...] = (listening,)
