"""The tracker in a real browser: Debian's chromium shows pages of another site, whose events a real server takes."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from zhiyin.base.clock import now_us
from zhiyin.client import Client
from zhiyin.online.tenant import live_folder
from zhiyin.serve.access import Keys
from zhiyin.serve.routes.tracker import script
from zhiyin.testing.serving import Served, serving

PAGE = '<!doctype html><body>{before}<script src="{server}/tracker.js" data-tenant="shop" data-key="{key}"></script><script>{code}</script>'
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--virtual-time-budget=4000")


def test_it_is_small_and_hides_nothing() -> None:
    assert len(script()) < 2048
    source = (Path(__file__).parents[2] / "src/zhiyin/serve/routes/tracker.js").read_text()
    bare = re.sub(r"^\s*//.*$", "", source, flags=re.MULTILINE)
    assert re.sub(r"\s", "", bare) == re.sub(r"\s", "", script().decode())


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A page is written anew for every visit, often within the second that If-Modified-Since can tell: none may be kept."""

    def log_message(self, format: str, *args: object) -> None: ...

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()


class Site:
    """Pages of a shop, and what the server has heard from them."""

    def __init__(self, pages: Path, origin: str, served: Served, key: str, admin: Client) -> None:
        self.pages = pages
        self.origin = origin
        self.served = served
        self.key = key
        self.admin = admin

    def shown(self, code: str, before: str = "", *, visitor: str = "one") -> str:
        """What a page says of itself in the end, after a visitor's browser has run it."""
        text = PAGE.format(server=self.served.address, key=self.key, code=code, before=before)
        (self.pages / "page.html").write_text(text)
        profile = self.pages.parent / visitor
        command = [str(shutil.which("chromium")), *BROWSER, f"--user-data-dir={profile}", "--dump-dom", f"{self.origin}/page.html"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.admin.export_events().splitlines()]


@pytest.fixture(scope="module")
def browser() -> None:
    if shutil.which("chromium") is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")


@pytest.fixture(scope="module")
def site(browser: None, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, pages = tmp_path_factory.mktemp("tracker") / "shop", tmp_path_factory.mktemp("site") / "pages"
    shutil.copytree(model, folder)
    pages.mkdir()
    keys = Keys(live_folder(folder))
    key, admin = keys.make("pages", ["ingest"], now_us()), keys.make("admin", ["admin"], now_us())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(pages))) as files:
        origin = f"http://127.0.0.1:{files.server_address[1]}"
        threading.Thread(target=files.serve_forever, kwargs={"poll_interval": 0.02}).start()
        with (
            serving(folder, environment={"ZHIYIN_CORS_ORIGINS": origin}) as served,
            Client(served.address, tenant="shop", key=admin) as client,
        ):
            yield Site(pages, origin, served, key, client)
        files.shutdown()


def test_served_to_everybody_and_kept_for_an_hour(site: Site) -> None:
    with urllib.request.urlopen(f"{site.served.address}/tracker.js") as answer:
        assert answer.read() == script()
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "max-age=3600" in answer.headers["cache-control"]


SAY = "document.title = [zhiyin.session(), localStorage.length, sessionStorage.length].join();"


def title(page: str) -> list[str]:
    return page.split("<title>")[1].split("</title>")[0].split(",")


def test_without_consent_nothing_is_kept_or_sent_and_with_it_one_session_is(site: Site) -> None:
    assert title(site.shown("zhiyin.track('view', 'p1');" + SAY)) == ["", "0", "0"]
    assert site.heard() == []
    session, kept, _ = title(site.shown("zhiyin.track('view', 'p1'); zhiyin.consent(true); zhiyin.track('view', 'p2');" + SAY))
    assert (len(session), kept) == (32, "1")
    first = site.heard()
    assert [(e["item"], e["kind"], e["session"]) for e in first] == [("p1", "view", session), ("p2", "view", session)]
    assert "user" not in first[0] and len({e["event_id"] for e in first}) == 2
    assert title(site.shown("zhiyin.track('view', 'p3');" + SAY))[0] == session
    assert site.heard()[-1]["session"] == session
    assert title(site.shown("zhiyin.consent(false); zhiyin.track('view', 'p4');" + SAY)) == ["", "0", "0"]
    assert len(site.heard()) == 3


def test_what_led_to_an_item_is_told_and_who_logs_out_is_somebody_else(site: Site) -> None:
    link = '<a id="a" data-zy-item="p9" data-zy-trace="1-2-abc" data-zy-placement="home"><b id="b">lamp</b></a>'
    code = """
        zhiyin.consent(true); b.click(); zhiyin.track("buy", "p9", {value: 2.5}); zhiyin.track("view", "p8");
        zhiyin.user("user7"); zhiyin.track("buy", "p7"); zhiyin.user(); zhiyin.track("view", "p6");
    """
    site.shown(code, link, visitor="two")
    heard = {(e["kind"], e["item"]): e for e in site.heard() if e["item"] in ("p9", "p8", "p7", "p6")}
    click, bought = heard["click", "p9"], heard["buy", "p9"]
    assert (click["trace"], click["placement"]) == (bought["trace"], bought["placement"]) == ("1-2-abc", "home")
    assert bought["value"] == 2.5 and "trace" not in heard["view", "p8"]
    assert heard["buy", "p7"]["user"] == "user7" and "user" not in heard["view", "p8"]
    assert heard["buy", "p7"]["session"] == click["session"] != heard["view", "p6"]["session"]
    assert "user" not in heard["view", "p6"]


def test_what_fails_is_sent_again_and_counts_once_and_who_leaves_is_heard(site: Site) -> None:
    lossy = "<script>const real = fetch; let n = 0; fetch = (...a) => n++ ? real(...a) : real(...a).then(() => Promise.reject(0))</script>"
    site.shown("zhiyin.consent(true); zhiyin.track('view', 'p20');", lossy, visitor="three")
    site.shown("zhiyin.track('view', 'p21'); location = '/';", visitor="three")
    assert sorted(e["item"] for e in site.heard() if e["item"] in ("p20", "p21")) == ["p20", "p21"]


def test_an_old_browser_sends_a_beacon(site: Site) -> None:
    old = "<script>delete Request.prototype.keepalive; navigator.sendBeacon = (to, blob) => { document.title = [to, blob.type] }</script>"
    said = title(site.shown("zhiyin.consent(true); zhiyin.track('view', 'p22'); dispatchEvent(new Event('pagehide'));", old))
    assert said == [f"{site.served.address}/v1/shop/events", "application/json"]


def test_pages_of_sites_that_were_not_allowed_are_not_heard(site: Site) -> None:
    stranger = Site(site.pages, site.origin.replace("127.0.0.1", "localhost"), site.served, site.key, site.admin)
    stranger.shown("zhiyin.consent(true); zhiyin.track('view', 'p30');", visitor="four")
    assert "p30" not in {e["item"] for e in site.heard()}
