"""Stop an installation before it downloads gigabytes of CUDA for a machine without an NVIDIA device.

``python tools/torch_build.py [pip options]`` asks pip which PyTorch it would install (its metadata
alone, nothing is installed) and leaves with code 2 and the line to use when that build wants
nvidia packages and there is no NVIDIA device here. Only the standard library and pip are used.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CUDA_PREFIXES = ("nvidia-", "cuda-")


def has_nvidia_device() -> bool:
    """The driver's folder or its tool: either says that CUDA would be of use."""
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def wanted_torch(pyproject: Path) -> str:
    """The torch requirement of the project, with its cap."""
    dependencies: list[str] = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    return next(d for d in dependencies if d.startswith("torch"))


def resolved(requirement: str, pip_options: list[str]) -> dict[str, Any]:
    """Metadata of the build pip would take. Without dependencies: asking must not fetch CUDA either."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
    done = subprocess.run([*command, "--report", "-", *pip_options, requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"pip finds no {requirement}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'no reason given'}")
    metadata: dict[str, Any] = json.loads(done.stdout)["install"][0]["metadata"]
    return metadata


def cuda_packages(metadata: dict[str, Any]) -> list[str]:
    """Names among the requirements that are CUDA and apply to this machine."""
    from pip._vendor.packaging.requirements import Requirement

    needed = [Requirement(text) for text in metadata.get("requires_dist", [])]
    here = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return [r.name for r in here if r.name.lower().startswith(CUDA_PREFIXES)]


def installed_torch() -> str | None:
    """The version that is already there, if any: then nothing more would be downloaded."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch")
    except PackageNotFoundError:
        return None


def main(pip_options: list[str]) -> int:
    if has_nvidia_device() or installed_torch() is not None:
        return 0
    metadata = resolved(wanted_torch(Path(__file__).parent.parent / "pyproject.toml"), pip_options)
    cuda = cuda_packages(metadata)
    if not cuda:
        print(f"torch {metadata['version']}: a build without CUDA")
        return 0
    print(
        f"torch {metadata['version']} would bring {len(cuda)} CUDA packages ({cuda[0]}, ...), about 3 GB, and there is no\n"
        f"NVIDIA device here. Nothing of it was downloaded. For the CPU build say:\n\n    make setup TORCH_INDEX={CPU_INDEX}\n",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
