"""Who may do what: every operation of the document, called by everybody, about ids of his own tenant and of another.

Nothing here is a list of operations: what is added to the API is in the matrix at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from zhiyin.data.run import Run, silent
from zhiyin.models.registry import spec_of
from zhiyin.pipeline.recommender import Recommender
from zhiyin.serve.access import Keys
from zhiyin.serve.run import open_server
from zhiyin.serve.settings import Settings
from zhiyin.testing.calls import Described, ToCall, operations_of
from zhiyin.testing.small import small_world

SCOPES = ("recommend", "ingest", "read", "admin")
SECRET = "only-in-the-other-tenant"
FOREIGN = {"item": SECRET, "user": SECRET, "trace": "1-0-" + "f" * 6, "tag": SECRET, "id": SECRET, "cursor": "1-0-" + "f" * 6}
MISSING = {name: value.replace(SECRET, "in-no-tenant-anywhere").replace("f" * 6, "e" * 6) for name, value in FOREIGN.items()}
OWN = {"item": "i3", "user": "u1", "trace": "1-0-x", "tag": "t", "id": "i3"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, dict[str, str | None]]]:
    """A server with two tenants, ``shop`` and ``other``, and the key of everybody who may come."""
    folder = tmp_path_factory.mktemp("matrix")
    data = small_world("time")
    run = Run(report=silent)
    recommender = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    for name in ("shop", "other"):
        recommender.save(folder / name)
    callers: dict[str, str | None] = {"anonymous": None, "made up": "zy_" + "x" * 32}
    for scope in SCOPES:
        callers[scope] = Keys(folder / "shop.live").make(scope, [scope], 1)
        callers[f"other {scope}"] = Keys(folder / "other.live").make(scope, [scope], 1)
    _, app = open_server([folder / "shop", folder / "other"], Settings(deadline_ms=5_000))
    with TestClient(app) as client:
        admin = {"authorization": f"Bearer {callers['other admin']}"}
        assert client.put(f"/v1/other/items/{SECRET}", json={"title": SECRET}, headers=admin).status_code == 200
        assert client.put(f"/v1/other/users/{SECRET}", json={"city": SECRET}, headers=admin).status_code == 200
        event = {"event_id": "e", "user": SECRET, "item": SECRET}
        assert client.post("/v1/other/event", json=event, headers=admin).json()["new"] == 1
        yield client, callers


@pytest.fixture(scope="module")
def operations(world: tuple[TestClient, dict[str, str | None]]) -> list[Described]:
    return operations_of(world[0].get("/openapi.json").json())


def told(client: TestClient, call: ToCall, key: str | None) -> tuple[int, str]:
    """Status and body, without what differs from answer to answer."""
    headers = call.headers | ({} if key is None else {"x-api-key": key})
    given = client.request(call.method, call.path, content=call.body, headers=headers)
    return given.status_code, given.text


def test_every_operation_does_for_everybody_what_the_document_says(
    world: tuple[TestClient, dict[str, str | None]], operations: list[Described]
) -> None:
    client, callers = world
    n_cases, mismatches = 0, []
    for operation in operations:
        for who, key in callers.items():
            seen = []
            for ids in (OWN, FOREIGN, MISSING):
                status, body = told(client, operation.call({"tenant": "shop", **ids}), key)
                n_cases += 1
                seen.append((status, body))
                expected = expected_status(operation, who)
                right = status == expected if expected else status not in (401, 403) and status < 500
                if not right or (SECRET in body.replace(f"'{SECRET}'", "") and ids is not FOREIGN):
                    mismatches.append((operation.name, who, status, expected, body[:100]))
            if expected_status(operation, who) and len(set(seen)) > 1:
                mismatches.append((operation.name, who, "tells ids apart", seen))
    assert mismatches == []
    assert n_cases == len(operations) * len(callers) * 3 >= 1_000


def expected_status(operation: Described, who: str) -> int | None:
    """What the scopes say; None = the operation answers."""
    if operation.scope == "public":
        return None
    if "{tenant}" not in operation.path:  # the server over all tenants: any key of any of them counts
        who = who.removeprefix("other ")
    if who not in SCOPES:
        return 401
    return None if who in (operation.scope, "admin") else 403


def test_ids_of_another_tenant_are_ids_of_nobody(world: tuple[TestClient, dict[str, str | None]], operations: list[Described]) -> None:
    client, callers = world
    for operation in operations:
        told_of = []
        for ids in (FOREIGN, MISSING):
            status, body = told(client, operation.call({"tenant": "shop", **ids}), callers["admin"])
            same = body.replace(ids["item"], "ID").replace(ids["trace"], "TRACE")
            told_of.append((status, re.sub(r'"(trace|cursor)":"[^"]*"|\d+', "", same)))
        assert told_of[0] == told_of[1], operation.name


def test_a_tenant_that_is_not_there_looks_like_one_that_is_closed(
    world: tuple[TestClient, dict[str, str | None]], operations: list[Described]
) -> None:
    client, callers = world
    for operation in operations:
        if "{tenant}" not in operation.path:
            continue
        for who in ("anonymous", "made up", "admin", "read"):
            closed, absent = (told(client, operation.call({"tenant": name, **OWN}), callers[who]) for name in ("other", "nobodys"))
            assert closed == absent, (operation.name, who)
            assert closed[0] == 401


def test_what_a_scope_may_cover(operations: list[Described]) -> None:
    for operation in operations:
        if operation.scope == "public":
            assert operation.method == "GET" and not operation.names, operation.name
        if "/users" in operation.path:
            assert operation.scope == "admin", operation.name
        if operation.method in ("PUT", "PATCH", "DELETE"):
            assert operation.scope == "admin", operation.name
        if operation.scope == "read":
            assert operation.method == "GET", operation.name


def test_figures_name_only_the_tenants_a_key_opens(world: tuple[TestClient, dict[str, str | None]]) -> None:
    client, callers = world
    for who, own, foreign in (("read", "shop", "other"), ("other read", "other", "shop")):
        given = client.get("/metrics", headers={"x-api-key": str(callers[who])})
        assert f'tenant="{own}"' in given.text and f'tenant="{foreign}"' not in given.text


def test_problems_do_not_name_other_keys_or_tenants(world: tuple[TestClient, dict[str, Any]]) -> None:
    client, callers = world
    for path in ("/v1/other/items", "/v1/nobodys/items"):
        for who in ("anonymous", "made up", "admin"):
            _, body = told(client, ToCall("GET", path), callers[who])
            assert not any(word in body for word in ("shop", "other'", "nobodys"))
