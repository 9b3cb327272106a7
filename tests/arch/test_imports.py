"""What may be imported, and what light commands must not drag in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "sklearn", "matplotlib", "implicit")


def heavy_modules_after(code: str) -> set[str]:
    """Which of the heavy packages are loaded once the code has run in a fresh interpreter."""
    told = f"{code}\nimport sys\nprint('LOADED', *sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split()) & {*HEAVY, "numpy", "polars", "typer"}


def test_import_zhiyin_loads_nothing() -> None:
    assert heavy_modules_after("import zhiyin") == set()


def test_public_names_load_without_torch() -> None:
    code = "import zhiyin\nfor name in zhiyin.__all__:\n    getattr(zhiyin, name)"
    assert not heavy_modules_after(code) & set(HEAVY)


def test_help_needs_no_numbers() -> None:
    code = "import contextlib\nfrom zhiyin.cli.app import main\nwith contextlib.suppress(SystemExit):\n    main(['--help'])"
    assert heavy_modules_after(code) == {"typer"}


def test_layers() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
