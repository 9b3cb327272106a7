"""A server whose model or search index breaks when a file says so: ``python bench/faults_model.py FOLDER PORT FLAG``.

FLAG holds "" (all is well), "hang" (every retrieval sleeps until it holds something else), "spin" (the same, busy in
Python, which keeps other threads waiting) or "raise" (as when an index is not there); "index hang", "index spin" and
"index raise" do that to the search index. Everything else is ``zhiyin serve``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

from zhiyin.models.retrieve.popular import Popular
from zhiyin.models.retrieve.transitions import Transitions
from zhiyin.pipeline.finding import Finder
from zhiyin.serve.run import serve
from zhiyin.serve.settings import Settings

BROKEN = ((Transitions, "retrieve", ""), (Popular, "retrieve", ""), (Finder, "search", "index "), (Finder, "complete", "index "))


def main() -> None:
    folder, port, flag = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for kind, method, prefix in BROKEN:
        mock.patch.object(kind, method, breaking(getattr(kind, method), flag, prefix)).start()
    serve([folder], Settings(port=port), lambda _: None)


def breaking(whole: Any, flag: Path, prefix: str) -> Any:
    def broken(*said: Any, **named: Any) -> Any:
        while (word := flag.read_text(encoding="utf-8")) in (prefix + "hang", prefix + "spin"):
            if word.endswith("hang"):
                time.sleep(0.01)
            for _ in range(0 if word.endswith("hang") else 100_000):
                pass
        if word == prefix + "raise":
            raise FileNotFoundError("the index is not there")
        return whole(*said, **named)

    return broken


if __name__ == "__main__":
    main()
