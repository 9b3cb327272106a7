"""The client knows every operation of the server, and what it answers."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

from zhiyin.client import AsyncClient, Client

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tool() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("client_tool", ROOT / "tools" / "client.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_as_the_tool_writes_them(tool: types.ModuleType) -> None:
    for name, text in tool.files(tool.every()).items():
        assert (tool.CLIENT / name).read_text(encoding="utf-8") == text, f"{name} is out of date: run python tools/client.py"


def test_every_operation_has_its_method(tool: types.ModuleType) -> None:
    for op in tool.every():
        for client in (Client, AsyncClient):
            method = getattr(client, op.name)
            assert op.summary in method.__doc__
        assert inspect.iscoroutinefunction(getattr(AsyncClient, op.name))
        assert inspect.signature(getattr(AsyncClient, op.name)) == inspect.signature(getattr(Client, op.name))


def test_importing_it_is_light() -> None:
    told = "import sys, zhiyin.client; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "polars", "pydantic", "starlette", "uvicorn", "torch", "scipy"} & set(loaded)
