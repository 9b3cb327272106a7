"""A server whose model breaks when a file says so: ``python bench/faults_model.py FOLDER PORT FLAG``.

FLAG holds "" (all is well), "hang" (every search sleeps until it holds something else), "spin" (the same, busy in
Python, which keeps other threads waiting) or "raise" (as when an index is not there). Everything else is ``zhiyin serve``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.retrieve.popular import Popular
from zhiyin.models.retrieve.transitions import Transitions
from zhiyin.serve.run import serve
from zhiyin.serve.settings import Settings


def main() -> None:
    folder, port, flag = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    patches = [mock.patch.object(kind, "retrieve", breaking(kind.retrieve, flag)) for kind in (Transitions, Popular)]
    for patch in patches:
        patch.start()
    serve([folder], Settings(port=port), lambda _: None)


def breaking(whole: Any, flag: Path) -> Any:
    def retrieve(self: Any, requests: Requests, k: int) -> Slates:
        while (word := flag.read_text(encoding="utf-8")) in ("hang", "spin"):
            if word == "hang":
                time.sleep(0.01)
            for _ in range(0 if word == "hang" else 100_000):
                pass
        if word == "raise":
            raise FileNotFoundError("the index is not there")
        found: Slates = whole(self, requests, k)
        return found

    return retrieve


if __name__ == "__main__":
    main()
