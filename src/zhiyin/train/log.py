"""One JSON line per thing that happened: readable by people, tools and a later resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_line(folder: Path | None, row: Mapping[str, Any]) -> None:
    """Append to ``folder/log.jsonl``; nothing happens without a folder."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(row), ensure_ascii=False) + "\n")
