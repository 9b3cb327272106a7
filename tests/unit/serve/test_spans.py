"""Spans around requests, with a stand-in for OpenTelemetry: what is told to it, and that it is named where it is missing."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from zhiyin.base.errors import MissingExtraError
from zhiyin.serve.app import Server, build_app
from zhiyin.serve.operation import Call, Operation, Scope
from zhiyin.serve.settings import Settings
from zhiyin.serve.spans import spans


class Span(dict[str, Any]):
    def set_attribute(self, name: str, value: Any) -> None:
        self[name] = value

    def set_status(self, status: str) -> None:
        self["status"] = status


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """The spans of a package ``opentelemetry`` that keeps them in a list."""
    found: list[Span] = []

    class Tracer:
        @contextlib.contextmanager
        def start_as_current_span(self, name: str, context: Any, kind: str, attributes: dict[str, Any]) -> Iterator[Span]:
            found.append(Span(attributes, name=name, parent=context, kind=kind))
            yield found[-1]

    package: Any = types.ModuleType("opentelemetry")
    package.trace = types.SimpleNamespace(
        get_tracer=lambda name: Tracer(), SpanKind=types.SimpleNamespace(SERVER="server"), StatusCode=types.SimpleNamespace(ERROR="error")
    )
    package.propagate = types.SimpleNamespace(extract=lambda carrier: carrier.get("traceparent"))
    monkeypatch.setitem(sys.modules, "opentelemetry", package)
    return found


async def live(call: Call) -> str:
    return "ok"


async def broken(call: Call) -> str:
    raise KeyError("somebody")


def test_each_request_is_a_span_under_that_of_its_caller(told: list[Span]) -> None:
    operations = (
        Operation("live", "GET", "/live", Scope.PUBLIC, live, "Lives."),
        Operation("broken", "GET", "/broken", Scope.PUBLIC, broken, "Breaks."),
    )
    server = Server({"shop": object()}, Settings(otel=True))  # type: ignore[dict-item]
    app = build_app(server, operations)
    client = TestClient(app)
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert client.get("/live", headers={"traceparent": parent, "x-api-key": "secret"}).status_code == 200
    assert client.get("/broken").status_code == 500
    assert told[0] == {
        "name": "live", "kind": "server", "parent": parent, "http.response.status_code": 200,
        "zhiyin.operation": "live", "zhiyin.tenant": "",
    }  # fmt: skip
    assert (told[1]["http.response.status_code"], told[1]["status"], told[1]["parent"]) == (500, "error", None)
    assert "secret" not in str(told) and "somebody" not in str(told)


def test_where_it_is_missing_the_command_that_brings_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'zhiyin\[otel\]'"):
        spans()
