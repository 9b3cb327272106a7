"""The thread that keeps memory up to the stores where other processes write them too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

from zhiyin.base.errors import ZhiyinError
from zhiyin.online.bell import Bell
from zhiyin.online.following import Follower

LOOK_S = 0.1
"""What one process was told, the others know after so long at most."""
PATIENCE_S = 2.0
"""After an error, the next look."""
log = logging.getLogger("zhiyin.serve")


class Tail:
    """Looks ten times a second, and at once when the bell rings. An error is logged when it begins, and when it is over."""

    def __init__(self, followers: Mapping[str, Follower], bell: Bell) -> None:
        self.followers = dict(followers)
        self.bell = bell
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zhiyin-tail", daemon=True)

    def start(self) -> None:
        for name, follower in self.followers.items():
            self.follow(name, follower)
        self._thread.start()

    def follow(self, name: str, follower: Follower) -> None:
        """Look here from now on for what others write to a tenant."""
        follower.tenant.rang = self.bell.ring
        self.followers[name] = follower

    def close(self) -> None:
        self._stop.set()
        self.bell.close()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.bell.wait(PATIENCE_S if self._failing else LOOK_S)
            for name, follower in list(self.followers.items()):
                if not self._stop.is_set():
                    self._look(name, follower)

    def _look(self, name: str, follower: Follower) -> None:
        try:
            follower.look()
        except ZhiyinError as error:
            if name not in self._failing:
                log.error("tenant %s: does not learn of what others write: %s", name, error)
            self._failing.add(name)
        except Exception:
            log.exception("tenant %s: following failed", name)
            self._failing.add(name)
        else:
            if name in self._failing:
                log.info("tenant %s: follows again", name)
                self._failing.discard(name)
