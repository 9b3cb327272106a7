"""Relations, and files of everything: in row by row, out again the same."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings

SETTINGS = Settings(deadline_ms=2_000)


@pytest.fixture
def client(trained_shop: Path, tmp_path: Path) -> Iterator[TestClient]:
    folder = tmp_path / "shop"
    folder.symlink_to(trained_shop)
    with TestClient(open_server([folder], SETTINGS)[1]) as client:
        yield client


def lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def test_relations_are_put_changed_paged_and_removed(client: TestClient) -> None:
    path = "/v1/shop/relations"
    batch = [{"head": head, "relation": kind, "tail": f"t{i}"} for head in ("a", "ab") for kind in ("follows", "likes") for i in range(3)]
    assert client.put(path, json=batch).json()["stored"] == 12
    assert client.put(f"{path}/a/follows/t9", json={"since": 3}).status_code == 200
    assert client.patch(f"{path}/a/follows/t9", json={"near": True}).status_code == 200
    assert client.get(f"{path}/a/follows/t9").json()["columns"] == {"since": 3, "near": True}
    assert client.patch(f"{path}/a/follows/nobody", json={}).status_code == 404
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get(path, params={"head": "a", "relation": "follows", "n": 3, "after": after}).json()
        seen += [r["tail"] for r in page["relations"]]
        after = page["after"]
    assert seen == ["t0", "t1", "t2", "t9"]
    assert len(client.get(path, params={"head": "a"}).json()["relations"]) == 7
    assert client.request("POST", f"{path}/delete", json=[{"head": "a", "relation": "likes", "tail": "t0"}] * 2).json() == {"deleted": 1}
    assert client.delete(f"{path}/a/follows/t9").json() == {"deleted": 1}
    assert client.get(f"{path}/a/follows/t9").status_code == 404
    assert len(client.get(path).json()["relations"]) == 11


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("PUT", "/v1/shop/relations/a/b/c", {"head": "x"}), "a column of a relation cannot be named 'head'"),
        (("PUT", "/v1/shop/relations/a%1Fb/b/c", {}), "the head of a relation is 'a\\x1fb'"),
        (("PUT", f"/v1/shop/relations/{'x' * 300}/b/{'y' * 300}", {}), "has more than 510 bytes"),
        (("GET", "/v1/shop/relations?relation=likes", None), "no head was given"),
    ],
)
def test_relations_that_make_no_sense_are_refused(client: TestClient, call: tuple[str, str, object], words: str) -> None:
    method, path, body = call
    given = client.request(method, path, json=body) if body is not None else client.request(method, path)
    assert given.status_code == 422
    assert words in given.json()["detail"]


def test_events_are_taken_row_by_row_and_count_once(client: TestClient) -> None:
    good = [{"event_id": f"e{i}", "user": "u1", "item": f"i{i % 29}", "time": "2020-01-01T00:00:00Z"} for i in range(3_000)]
    bad = [b"{", b'"text"', b'{"event_id": "x", "item": "i1"}', b'{"event_id": "y", "user": "u1", "item": "i1", "tyme": 3}']
    body = b"\n".join([lines(*good[:2_500]), *bad, b"", lines(*good[2_500:]), lines(good[0])])
    client.put("/v1/shop/users/quiet/consent", json={"store": False})
    body += b"\n" + lines({"event_id": "q", "user": "quiet", "item": "i1"})
    told = client.post("/v1/shop/import/events", content=body).json()
    counted = {name: told[name] for name in ("rows", "new", "known", "refused", "unwanted")}
    assert counted == {"rows": 3_006, "new": 3_000, "known": 1, "refused": 4, "unwanted": 1}
    assert [r["row"] for r in sorted(told["reasons"], key=lambda r: r["row"])] == [2_501, 2_502, 2_503, 2_504]
    assert any("says neither user nor session" in r["why"] for r in told["reasons"])
    assert client.post("/v1/shop/import/events", content=body).json()["known"] == 3_001
    assert client.get("/v1/shop/health/ready").json()["events"] == 3_000


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_what_was_exported_is_imported_the_same(trained_shop: Path, client: TestClient, tmp_path: Path, form: str) -> None:
    batch = [
        {"event_id": f"e{i}", "user": None if i % 2 else "ü,1", "session": "s", "item": "i1", "value": i / 3, "context": {"page": 'a"b'}}
        for i in range(5)
    ]
    client.post("/v1/shop/events", json=batch)
    client.put("/v1/shop/items", json=[{"id": "new", "columns": {"title": 'with "quotes", and\nlines'}}])
    client.delete("/v1/shop/items/i3")
    client.put("/v1/shop/users", json=[{"id": f"v{i}", "columns": {"town": "东", "note": None if i else "x"}} for i in range(3)])
    client.put("/v1/shop/relations/a/follows/b", json={"why": "a,b"})
    other = tmp_path / "copy" / "shop"
    other.parent.mkdir()
    other.symlink_to(trained_shop)
    with TestClient(open_server([other], SETTINGS)[1]) as copy:
        for kind, n in (("events", 5), ("items", 30), ("users", 3), ("relations", 1)):
            given = client.get(f"/v1/shop/export/{kind}", params={"format": form})
            assert given.status_code == 200 and kind in given.headers["content-disposition"]
            told = copy.post(f"/v1/shop/import/{kind}", params={"format": form}, content=given.content).json()
            assert (told["rows"], told["refused"], told["new"] + told["known"]) == (n, 0, n), told
            assert told["new"] == (1 if kind == "items" else n)
            if kind != "items":  # deletions are not rows of a file
                assert copy.get(f"/v1/shop/export/{kind}").content == client.get(f"/v1/shop/export/{kind}").content
        assert copy.get("/v1/shop/items/new").json() == client.get("/v1/shop/items/new").json()


def test_items_of_any_format_become_what_their_columns_hold(client: TestClient) -> None:
    told = client.post(
        "/v1/shop/import/items", params={"format": "csv"}, content=b"item_id,title,colour\n7,seven,red\n8,eight,\n,nine,\n10,ten\n"
    ).json()
    assert (told["new"], told["refused"]) == (1, 3)
    whys = [r["why"] for r in told["reasons"]]
    assert "the items have no column 'colour'" in whys[0]
    assert whys[1:] == ["the row has no 'item_id'", "has 2 fields, and there are 3 columns"]
    page = io.BytesIO()
    pl.DataFrame({"item_id": [11, 12], "title": ["eleven", None]}).write_parquet(page)
    assert client.post("/v1/shop/import/items", params={"format": "parquet"}, content=page.getvalue()).json()["new"] == 2
    assert client.get("/v1/shop/items/11").json()["columns"]["title"] == "eleven"


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("parquet", b"PAR1", "this is no sound Parquet file"),
        ("csv", b"a,a\n1,2\n", "the first line names column 'a' twice"),
        ("csv", b'user_id\nv1\n"' + b"x" * (5 << 20), "quotation mark may be missing"),
    ],
)
def test_a_file_that_cannot_be_read_says_how_far_it_came(client: TestClient, form: str, content: bytes, words: str) -> None:
    given = client.post("/v1/shop/import/users", params={"format": form}, content=content)
    assert given.status_code == 422
    assert "rows stored before that" in given.json()["detail"]
    assert words in given.text
    assert client.get("/v1/shop/users/v1").status_code == (200 if b"v1" in content else 404)


def test_a_file_beyond_the_limit_is_refused(trained_shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.symlink_to(trained_shop)
    with TestClient(open_server([folder], Settings(max_import_mb=0.001))[1]) as client:
        assert client.post("/v1/shop/import/users", content=b"{}\n" * 1_000).status_code == 413
        assert client.post("/v1/shop/import/users", content=iter([b"{}\n" * 1_000])).status_code == 413


def test_imports_leave_room_for_everybody_else(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zhiyin.serve.routes.bulk.MOST", 0)
    given = client.post("/v1/shop/import/users", content=b"{}")
    assert (given.status_code, given.headers["retry-after"]) == (503, "5")
