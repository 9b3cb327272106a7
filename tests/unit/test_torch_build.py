"""Setting up must not fetch CUDA for a machine that has no use for it."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "torch_build.py"
CUDA = {
    "version": "2.13.0",
    "requires_dist": [
        "filelock",
        "nvidia-cudnn-cu13==9.1; platform_system == 'Linux'",
        "cuda-bindings<14,>=13; platform_system == 'Linux'",
        "nvidia-extra; extra == 'more'",
        "nvidia-elsewhere; platform_system == 'Plan9'",
    ],
}


@pytest.fixture
def tool() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("torch_build", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside pip's own copy of packaging
def test_cuda_packages_are_those_that_apply_here(tool: types.ModuleType) -> None:
    assert tool.cuda_packages(CUDA) == ["nvidia-cudnn-cu13", "cuda-bindings"]
    assert tool.cuda_packages({"requires_dist": ["filelock", "jinja2"]}) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_stops_with_the_line_to_use(tool: types.ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tool, "has_nvidia_device", lambda: False)
    monkeypatch.setattr(tool, "installed_torch", lambda: None)
    monkeypatch.setattr(tool, "resolved", lambda requirement, options: CUDA)
    assert tool.main([]) == 2
    assert "make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu" in capsys.readouterr().err
    monkeypatch.setattr(tool, "resolved", lambda requirement, options: {"version": "2.13.0+cpu"})
    assert tool.main([]) == 0
    assert capsys.readouterr().out == "torch 2.13.0+cpu: a build without CUDA\n"


def test_a_device_or_an_installed_torch_needs_no_question(tool: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> dict[str, str]:
        raise AssertionError("pip was asked")

    monkeypatch.setattr(tool, "resolved", asked)
    monkeypatch.setattr(tool, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(tool, "installed_torch", lambda: None)
    assert tool.main([]) == 0
    monkeypatch.setattr(tool, "has_nvidia_device", lambda: False)
    monkeypatch.setattr(tool, "installed_torch", lambda: "2.13.0")
    assert tool.main([]) == 0


def test_the_requirement_has_a_cap(tool: types.ModuleType) -> None:
    assert tool.wanted_torch(TOOL.parents[1] / "pyproject.toml").startswith("torch>=2.6,<")
