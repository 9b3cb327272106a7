"""What is wrong with an installation: one look at everything a served folder stands on, with a remedy for each finding.

Nothing is changed, and a server may run meanwhile. What a check cannot read becomes a finding, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zhiyin.base.clock import now_us
from zhiyin.base.errors import MissingDataError, ZhiyinError
from zhiyin.data.findings import WORDS, Finding, Severity
from zhiyin.online.bundles import Bundles
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import live_folder
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.settings import Settings

_ORDER: dict[Severity, int] = {"bad": 0, "warn": 1, "info": 2}


@dataclass
class Patient:
    """What is looked at, and what was found so far. ``recommender`` is None where no model can be read."""

    folder: Path
    stores: Stores
    settings: Settings
    server: str | None = None
    key: str | None = None
    now_us: int = field(default_factory=now_us)
    facts: dict[str, Any] = field(default_factory=dict)
    recommender: Recommender | None = None

    @property
    def home(self) -> Path:
        return live_folder(self.folder)

    @property
    def bundles(self) -> Bundles:
        return Bundles(self.folder, self.home)


Check = Callable[[Patient], Iterator[Finding]]


@dataclass(frozen=True)
class Checkup:
    """Facts, and findings with the worst first."""

    folder: str
    facts: dict[str, Any]
    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        """Whether nothing is broken."""
        return not any(finding.severity == "bad" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {"folder": self.folder, "well": self.well, "facts": self.facts, "findings": [asdict(f) for f in self.findings]}

    def to_text(self) -> str:
        """Facts, then one line per finding with its remedy under it."""
        wide = max((len(name) for name in self.facts), default=0)
        lines = [f"{self.folder}", *(f"  {name:<{wide}}  {_shown(value)}" for name, value in self.facts.items()), ""]
        for finding in self.findings:
            lines.append(f"[{WORDS[finding.severity]}] {finding.sentence}")
            if finding.remedy:
                lines.append(f"       {finding.remedy}")
        return "\n".join(lines if self.findings else [*lines, "Nothing is wrong."])


def examine(patient: Patient) -> Checkup:
    """Every check, in the order in which one thing stands on another. Raises ``MissingDataError`` without a folder."""
    from zhiyin.serve.doctor_model import MODEL_CHECKS
    from zhiyin.serve.doctor_places import PLACE_CHECKS
    from zhiyin.serve.doctor_server import SERVER_CHECKS
    from zhiyin.serve.doctor_stores import STORE_CHECKS

    if not patient.folder.is_dir():
        raise MissingDataError(f"there is no folder '{patient.folder}'", "Give the one that zhiyin serve is given.")
    found: list[Finding] = []
    for check in (*MODEL_CHECKS, *PLACE_CHECKS, *STORE_CHECKS, *SERVER_CHECKS):
        try:
            found += check(patient)
        except ZhiyinError as error:
            found.append(Finding("bad", check.__name__, f"{error.message}.", error.hint))
        except OSError as error:
            place = f"'{error.filename}': " if error.filename else ""
            found.append(Finding("bad", check.__name__, f"{place}{error.strerror or error}.", "Look at the rights of the folder."))
    order = sorted(found, key=lambda finding: _ORDER[finding.severity])
    return Checkup(str(patient.folder), patient.facts, tuple(order))


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
