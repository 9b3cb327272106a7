"""Checks of what answers: models, what must hold of them, and the files that steer them."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from pathlib import Path

from zhiyin import __version__
from zhiyin.ads.campaigns import FILE as CAMPAIGNS
from zhiyin.ads.campaigns import StaticCampaigns
from zhiyin.data.findings import Finding, many
from zhiyin.online.expectations import FILE as EXPECTATIONS
from zhiyin.online.expectations import broken, read_expectations
from zhiyin.online.retrain import stale
from zhiyin.online.shop import caught_up
from zhiyin.online.sources.webhooks import read_webhooks
from zhiyin.pipeline.business_conflicts import conflicts
from zhiyin.pipeline.business_file import read_rules
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.doctor import Check, Patient
from zhiyin.serve.keeper import RULES, SYNONYMS
from zhiyin.store.bundle import FORMAT_VERSION, MANIFEST, read_bundle
from zhiyin.text.synonyms import Synonyms


def versions(patient: Patient) -> Iterator[Finding]:
    """Who wrote the model, and who reads it."""
    patient.facts["zhiyin"] = __version__
    patient.facts["python"] = platform.python_version()
    path = patient.bundles.path(patient.bundles.served) / MANIFEST
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        wrote, version = str(said.get("zhiyin")), int(said["format_version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # the next check says it better
    if wrote != __version__:
        yield Finding("info", "versions", f"The model was written by zhiyin {wrote}, this is {__version__}.")
    if version < FORMAT_VERSION:
        yield Finding("info", "versions", f"The model has format {version} of {FORMAT_VERSION}.", "Upgrade it: zhiyin upgrade FOLDER.")


def models(patient: Patient) -> Iterator[Finding]:
    """Every byte of every model against its SHA-256, and the one that is served loaded."""
    bundles = patient.bundles
    served = bundles.served
    for entry in bundles.entries():
        if bundles.path(entry).is_dir() or entry.name == served.name:
            read_bundle(bundles.path(entry), thorough=True)
        else:
            yield Finding("warn", "models", f"The older model '{entry.name}' is gone: there is no way back to it.")
    patient.recommender = recommender = Recommender.load(bundles.path(served))
    kind, data = recommender.model.spec.kind, recommender.data
    patient.facts["model"] = f"{kind} {served.version} ({served.name})"
    patient.facts["trained on"] = f"{data.n_users:,} people, {len(recommender.catalog):,} items, {len(data.events):,} events"
    for left in sorted(patient.folder.absolute().parent.glob(f".{patient.folder.name}.*.old")):
        yield Finding("info", "models", f"'{left.name}' is what an interrupted saving left.", "Delete it.")


def expectations(patient: Patient) -> Iterator[Finding]:
    """What ``expectations.toml`` wants, of the model with the items as they are now."""
    expected = read_expectations(patient.home)
    if patient.recommender is None or not expected.n:
        return
    tables = patient.stores.tables(patient.folder, "read")
    try:
        now = caught_up(patient.recommender, tables, patient.bundles.served.since)
    finally:
        tables.close()
    unmet = broken(expected, now)
    patient.facts["expectations"] = f"{expected.n - len(unmet)} of {expected.n} are met"
    for sentence in unmet:
        yield Finding("bad", "expectations", f"{EXPECTATIONS}: {sentence}.", "Train anew, or put the items right.")


def erased(patient: Patient) -> Iterator[Finding]:
    """People who were erased and are still in the model."""
    tables = patient.stores.tables(patient.folder, "read")
    try:
        n = stale(tables, patient.bundles.served.version)
    finally:
        tables.close()
    if n:
        waits = "waits" if n == 1 else "wait"
        yield Finding(
            "warn", "erased", f"{many(n, 'erased person')} {waits} for a model that never knew them.", "Train it: zhiyin retrain FOLDER."
        )


def rules(patient: Patient) -> Iterator[Finding]:
    """Rules against each other and against the items."""
    path = patient.home / RULES
    if not path.is_file() or patient.recommender is None:
        return
    file = read_rules(path)
    recommender = patient.recommender
    for conflict in conflicts(file, recommender.data, now_us=patient.now_us, placements=recommender.placed.placements or None):
        yield Finding(conflict.severity, f"rules.{conflict.topic}", f"{RULES}, line {conflict.line}: {conflict.sentence}", conflict.remedy)


def steering(patient: Patient) -> Iterator[Finding]:
    """The other files a server reads; each raises what is wrong with it."""
    found = [RULES] if (patient.home / RULES).is_file() else []
    found += [EXPECTATIONS] if (patient.home / EXPECTATIONS).is_file() else []
    for name in SYNONYMS:
        if (patient.home / name).is_file():
            Synonyms.read(patient.home / name)
            found.append(name)
    if (patient.home / CAMPAIGNS).is_file():
        StaticCampaigns.read(patient.home / CAMPAIGNS)
        found.append(CAMPAIGNS)
    if read_webhooks(patient.home):
        found.append("webhooks.toml")
    if found:
        patient.facts["steered by"] = found
    known = {RULES, EXPECTATIONS, *SYNONYMS, CAMPAIGNS, "webhooks.toml"}
    for path in _strange(patient.home, known):
        yield Finding("info", "steering", f"'{path.name}' is read by nobody.", f"Known: {', '.join(sorted(known))}.")


def _strange(home: Path, known: set[str]) -> list[Path]:
    return sorted(path for path in home.glob("*.toml") if path.name not in known)


MODEL_CHECKS: tuple[Check, ...] = (versions, models, expectations, erased, rules, steering)
