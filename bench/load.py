"""How long reading ten million events takes and how much memory it needs; how quickly zhiyin starts.

    python bench/load.py [--json PATH] [--rows 10000000] [--runs 3]

Each figure is taken in a child process: wall clock from its start to its end, and the peak of its
resident memory as the system reports it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from rows import Row, show
from rows import write as write_rows
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.tables import Tables, write

N_USERS, N_ITEMS = 100_000, 50_000
READ = "import sys; from zhiyin.data.folder import load; d = load(sys.argv[1]); print(len(d.events), d.n_users, d.n_items)"


def folder_of_events(folder: Path, n: int, seed: int = 0) -> None:
    """Write n events of text ids with Zipf-like items, unsorted in time, and an items table."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, N_USERS, n, dtype=np.int32)
    item = np.minimum((N_ITEMS * rng.random(n) ** 2).astype(np.int32), N_ITEMS - 1)
    kinds = np.array(["view", "cart", "purchase"])
    events = pl.DataFrame(
        {
            "user_id": _named("customer-", N_USERS)[user],
            "item_id": _named("sku-", N_ITEMS)[item],
            "event": pl.Series(kinds)[rng.choice(3, n, p=[0.8, 0.15, 0.05])],
            "value": rng.random(n, dtype=np.float32),
            "time": 1_600_000_000 + rng.integers(0, 10_000_000, n),
        }
    )
    items = pl.DataFrame({"item_id": _named("sku-", N_ITEMS), "title": _named("thing number ", N_ITEMS)})
    manifest = Manifest(
        name="ten-million",
        events=EventsTable(kind="event", value="value", time="time"),
        items=ItemsTable(title="title", columns={"title": "text"}),
        weights={"view": 1.0, "cart": 2.0, "purchase": 4.0},
    )
    write(Tables(manifest, events, items), folder)


def _named(prefix: str, n: int) -> pl.Series:
    return prefix + pl.Series(np.arange(n)).cast(pl.String).str.zfill(6)


def child(arguments: list[str]) -> tuple[float, float, str]:
    """Wall seconds, peak resident GB and output of a process of its own."""
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments[:3])} ended with {process.returncode}: {said[-2000:]}")
    return wall, usage.ru_maxrss / 1e6, said.strip()


def rows_of(case: str, metric: str, values: list[float], unit: str) -> Row:
    return Row("load", case, metric, float(np.median(values)), min(values), max(values), len(values), unit)


def measure(n: int, runs: int) -> list[Row]:
    """All cases; the events folder lives in a temporary place and leaves afterwards."""
    out = []
    starts = [child([sys.executable, "-c", "import zhiyin"])[0] for _ in range(runs + 1)][1:]
    out.append(rows_of("import zhiyin", "wall_s", starts, "s"))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder_of_events(folder, n)
        taken = [child([sys.executable, "-c", READ, str(folder)]) for _ in range(runs)]
        print(f"read: {taken[0][2]} (events, users, items)")
        case = f"{n // 1_000_000}M events"
        out.append(rows_of(case, "wall_s", [t[0] for t in taken], "s"))
        out.append(rows_of(case, "peak_gb", [t[1] for t in taken], "GB"))
    return out + recommend(runs)


def recommend(runs: int) -> list[Row]:
    """The wall clock of ``zhiyin recommend`` on a folder with a trained model, from start to end."""
    if find_spec("zhiyin.cli.app") is None:
        print("zhiyin recommend: skipped, the command line does not exist yet")
        return []
    command = [str(Path(sys.executable).with_name("zhiyin"))]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder_of_events(folder, 100_000)
        model = str(folder / "model")
        child([*command, "train", str(folder), "--model", "popular", "--out", model])
        walls = [child([*command, "recommend", model, "--user", "customer-000007", "-n", "10"])[0] for _ in range(runs + 1)][1:]
    return [rows_of("zhiyin recommend", "wall_s", walls, "s")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    rows = measure(given.rows, given.runs)
    show(rows, "load")
    write_rows(rows, given.json)


if __name__ == "__main__":
    main()
