"""What a server does beside answering: goes over to a newer bundle, lets items begin and end, trains anew on schedule."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from zhiyin.ads.campaigns import FILE as CAMPAIGNS
from zhiyin.ads.campaigns import StaticCampaigns
from zhiyin.base.errors import ZhiyinError
from zhiyin.base.memory import settle
from zhiyin.online.elsewhere import ReadLog
from zhiyin.online.standby import keep_standby
from zhiyin.pipeline.business_file import read_rules
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.advertising import impressions
from zhiyin.serve.hosted import Hosted
from zhiyin.text.synonyms import Synonyms

log = logging.getLogger("zhiyin.serve")

RULES = "rules.toml"
SYNONYMS = ("synonyms.toml", "synonyms.txt")
LOOK_S = 1.0
REFRESH_S = 30.0


class Keeper:
    """One thread for all tenants. What goes wrong is logged; what is served stays as it is then."""

    def __init__(
        self, tenants: Mapping[str, Hosted], retrain_every_h: float | None = None, again: Callable[[str], bool] = lambda _: False
    ) -> None:
        """``again`` opens a tenant anew whose log could not be written, and says whether it now can."""
        self.tenants = tenants
        self.retrain_every_h = retrain_every_h
        self.again = again
        self._stamps = {name: hosted.bundles.stamp() for name, hosted in tenants.items()}
        self._read: dict[tuple[str, str], int] = {}
        self._training: dict[str, subprocess.Popen[bytes]] = {}
        self._stood: dict[str, str] = {}  # the version whose standby was written
        self._leaving: list[Hosted] = []  # was replaced; closed a look later, when what it was asked is answered
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zhiyin-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop looking; a training that runs goes on by itself and is picked up at the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        refreshed = trained = time.monotonic()
        for name, hosted in list(self.tenants.items()):
            self._guarded(self.look, name, hosted)
        while not self._stop.wait(LOOK_S):
            now = time.monotonic()
            for name, hosted in list(self.tenants.items()):
                self._guarded(self.look, name, hosted)
                if now - refreshed >= REFRESH_S:
                    self._guarded(self.refresh, name, hosted)
                if self.retrain_every_h is not None and now - trained >= self.retrain_every_h * 3600:
                    self._guarded(self.train, name, hosted)
            refreshed = now if now - refreshed >= REFRESH_S else refreshed
            if self.retrain_every_h is not None and now - trained >= self.retrain_every_h * 3600:
                trained = now

    def _guarded(self, what: Callable[[str, Hosted], None], name: str, hosted: Hosted) -> None:
        try:
            what(name, hosted)
        except ZhiyinError as error:
            log.error("tenant %s: %s", name, error)
        except Exception:
            log.exception("tenant %s: keeping failed", name)

    def look(self, name: str, hosted: Hosted) -> None:
        """Go over to another bundle where one was promoted, or gone back to, and take in what other processes wrote."""
        while self._leaving:
            self._leaving.pop().close()
        if isinstance(hosted.tenant.log, ReadLog):
            if self.again(name):
                self._anew(name, hosted)
                return
            hosted.follower.look()
        hosted.look()
        stamp = hosted.bundles.stamp()
        if stamp != self._stamps[name]:
            self._stamps[name] = stamp
            self.go_over(name, hosted)
        hosted.tenant.catch_up()
        hosted.tenant.shop.catch_up()
        self.tune(name, hosted)
        self.stand_by(name, hosted)
        if hosted.tenant.snapshot.finder is None:
            hosted.tenant.shop.index(self._synonyms(hosted))
            settle()

    def go_over(self, name: str, hosted: Hosted) -> None:
        """Serve what is to be served; where that cannot be read, say so where operators look, and go on with what is there."""
        try:
            served = hosted.bundles.served
            if served.version == hosted.tenant.snapshot.version:
                hosted.serves(served)
                return
            recommender = Recommender.load(hosted.bundles.path(served))
        except ZhiyinError as error:
            hosted.trouble = hosted.trouble if hosted.instead else f"{error.message}: what is in memory is served on. {error.hint}"
            raise
        hosted.tenant.go_over(recommender, served.version, after=served.after, since=served.since)
        hosted.serves(served)
        settle()
        log.info("tenant %s: serves model %s", name, served.version)

    def stand_by(self, name: str, hosted: Hosted) -> None:
        """Write what is served should this model be damaged, once for each that is served well."""
        snapshot = hosted.tenant.snapshot
        if self._stood.get(name) != snapshot.version and not hosted.impaired:
            self._stood[name] = snapshot.version  # first, so that a full disk is tried again at the next start and not every second
            keep_standby(hosted.home, snapshot, msgspec.structs.replace(hosted.entry, since=hosted.tenant.shop.applied))

    def _anew(self, name: str, hosted: Hosted) -> None:
        """A tenant was opened anew in the place of another."""
        self._leaving.append(hosted)
        self._stamps[name] = self.tenants[name].bundles.stamp()
        self._read = {key: stamp for key, stamp in self._read.items() if key[0] != name}
        self._stood.pop(name, None)
        settle()
        log.info("tenant %s: its log is written here from now on", name)

    def tune(self, name: str, hosted: Hosted) -> None:
        """Follow ``rules.toml`` and ``campaigns.toml`` where they changed; what makes no sense is logged, and the old stays."""
        if (path := self._changed(name, hosted.home / RULES)) is not None:
            hosted.tenant.shop.rule(read_rules(path) if path.is_file() else None)
        if (path := self._changed(name, hosted.home / CAMPAIGNS)) is not None:
            hosted.adverts = StaticCampaigns.read(path, impressions(hosted.traces)[0])

    def _changed(self, name: str, path: Path) -> Path | None:
        """The path, if its file is another than at the last look."""
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        if stamp == self._read.get((name, path.name), 0):
            return None
        self._read[name, path.name] = stamp
        return path

    @staticmethod
    def _synonyms(hosted: Hosted) -> Synonyms | None:
        path = next((hosted.home / name for name in SYNONYMS if (hosted.home / name).is_file()), None)
        return None if path is None else Synonyms.read(path)

    def refresh(self, name: str, hosted: Hosted) -> None:
        """Items whose time has come, or is over."""
        hosted.tenant.shop.refresh()

    def train(self, name: str, hosted: Hosted) -> None:
        """Begin a retraining in a process of its own, unless one runs."""
        running = self._training.get(name)
        if isinstance(hosted.tenant.log, ReadLog):
            return
        if running is not None and running.poll() is None:
            return
        command = [sys.executable, "-c", "from zhiyin.cli.app import main; main()", "retrain", str(hosted.bundles.folder)]
        database = hosted.settings.database  # in the environment, for a list of processes shows the words of commands
        environment = {**os.environ, **({} if database is None else {"ZHIYIN_DATABASE": database})}
        self._training[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
