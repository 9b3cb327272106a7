"""Ids in addresses: whatever they consist of, every operation with one in its path finds it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from zhiyin.client.given import part
from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.paths import Table, segments
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.calls import operations_of
from zhiyin.testing.small import small_world

ODD = [
    "delete",
    "consent",
    "a/b",
    "/",
    "a//b/",
    "red shoe",
    "a?b=c",
    "a#b",
    "100%",
    "%2F",
    "..",
    ".",
    "../..",
    "a+b",
    "a;b,c",
    "知音",
    "🎧",
    "x" * 512,
    '"\\',
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    data, run = small_world("time"), Run(report=silent)
    recommender = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    _, app = open_server([recommender.save(tmp_path_factory.mktemp("paths") / "shop")], Settings(deadline_ms=2_000))
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("odd", ODD)
def test_what_was_put_under_an_odd_id_is_found_changed_and_deleted_there(client: TestClient, odd: str) -> None:
    item = f"/v1/shop/items/{part(odd)}"
    assert client.put(item, json={"title": "odd"}).json()["versions"].keys() == {odd}
    assert client.get(item).json() == {"id": odd, "columns": {"title": "odd"}}
    assert client.patch(item, json={"title": "odder"}).status_code == 200
    assert client.get(item).json()["columns"] == {"title": "odder"}
    assert client.delete(item).json() == {"deleted": 1}
    assert client.get(item).status_code == 404
    user = f"/v1/shop/users/{part(odd)}"
    client.put(user, json={"city": "x"})
    client.put(f"{user}/consent", json={"store": True})
    assert client.get(user).json() == {"id": odd, "columns": {"city": "x"}}
    assert client.get(f"{user}/export").json()["columns"] == {"city": "x"}
    if len(odd) < 200:
        relation = f"/v1/shop/relations/{part(odd)}/follows/{part(odd + '!')}"
        assert client.put(relation, json={}).json()["stored"] == 1
        assert client.get(relation).json() == {"head": odd, "relation": "follows", "tail": odd + "!", "columns": {}}


def test_every_operation_with_a_name_in_its_path_takes_a_slash_in_it(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    named_ones = [op for op in operations_of(document) if len(op.names) > 1]
    assert len(named_ones) > 15
    for op in named_ones:
        ids = {name: "shop" if name == "tenant" else "no/such/../id" for name in op.names}
        call = op.call(ids)
        given = client.request(call.method, call.path, content=call.body, headers=call.headers)
        assert "there is no /v1" not in given.text and given.status_code != 405, op.name
        for parameter in document["paths"][op.path][op.method.lower()]["parameters"]:
            assert parameter["in"] != "path" or "%2F" in parameter["description"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/shop%2Fitems/i1", 404),  # a slash that is encoded parts nothing
        ("/v1%2Fshop/items/i1", 404),
        ("/v1/shop/items/i1%2F", 404),  # the id "i1/", which nobody has
        ("/v1/shop/items/i1", 200),
        ("/v1/shop/items/%691", 200),
        ("/v1/shop/items/", 404),
        ("/v1/shop/items//", 404),
        ("/v1/shop/items/%ff%2F", 400),
        ("/v1/shop/items/a%2F%00", 400),
    ],
)
def test_only_slashes_that_are_not_encoded_part_a_path(client: TestClient, path: str, status: int) -> None:
    given = client.get(path)
    assert given.status_code == status
    assert status == 200 or given.headers["content-type"] == "application/problem+json"


def test_another_method_is_told_which_ones_there_are(client: TestClient) -> None:
    given = client.post("/v1/shop/items/a%2Fb", json={})
    assert given.status_code == 405
    assert given.headers["allow"]


@pytest.mark.parametrize("odd", ODD)
def test_parts_come_back_as_they_were(odd: str) -> None:
    assert segments(f"/v1/{part(odd)}/{quote(odd, safe='')}".encode()) == ["v1", odd, odd]


def test_a_table_knows_words_before_names_and_the_methods_of_a_path() -> None:
    table = Table([("GET", "/v1/{tenant}", 1), ("PUT", "/v1/{tenant}/items/{item}", 2), ("GET", "/v1/{tenant}/items/export", 3)])
    assert table.find("GET", b"/v1/shop") == (1, {"tenant": "shop"}, ("GET", "HEAD"))
    assert table.find("PUT", b"/v1/shop/items/a%2Fb") == (2, {"tenant": "shop", "item": "a/b"}, ("PUT",))
    assert table.find("GET", b"/v1/shop/items/export") == (3, {"tenant": "shop"}, ("GET", "HEAD"))
    assert table.find("GET", b"/v1/shop/items/a") == (None, {}, ("PUT",))
    for path in (b"", b"/", b"/v2/shop", b"/v1/", b"/v1//items/a", b"/v1/shop/items", b"/v1/shop/items/a/b"):
        assert table.find("GET", path) is None


def test_a_word_of_a_path_may_be_an_id_too() -> None:
    rows = [("POST", "/a/delete"), ("GET", "/a/{x}"), ("PUT", "/a/{x}/b"), ("GET", "/a/delete/c"), ("GET", "/{y}/delete/d")]
    table = Table([(method, path, f"{method} {path}") for method, path in rows])

    def found(method: str, path: bytes) -> tuple[str | None, dict[str, str], set[str]] | None:
        one = table.find(method, path)
        return None if one is None else (one.value, one.names, set(one.allowed) - {"HEAD"})

    assert found("POST", b"/a/delete") == ("POST /a/delete", {}, {"POST"})
    assert found("GET", b"/a/delete") == ("GET /a/{x}", {"x": "delete"}, {"GET"})
    assert found("PUT", b"/a/delete/b") == ("PUT /a/{x}/b", {"x": "delete"}, {"PUT"})
    assert found("GET", b"/a/delete/d") == ("GET /{y}/delete/d", {"y": "a"}, {"GET"})
    assert found("PATCH", b"/a/delete") == (None, {}, {"POST", "GET"})
    assert found("GET", b"/a/delete/e") is None
    assert found("GET", b"/b/delete/c") is None
    assert found("PATCH", b"/a/other") == (None, {}, {"GET"})
