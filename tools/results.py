"""The table of results of both READMEs, from the rows the benches wrote.

    python tools/results.py [FOLDER]     FOLDER: bench/results, with the --json files

Figures are never typed by hand: run a bench with --json bench/results/NAME.json, then this.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NEXT = "`python bench/next_item.py --data {}`"
LINES = [  # file, words, metrics, prefix of the case, best published
    ("next_item-ml-1m-seq", "MovieLens-1M, leave-one-out, seen items removed", ("ndcg@10", "hr@10"), "", ".1779 / .3058"),
    ("next_item-amazon_beauty", "Amazon Beauty, leave-one-out", ("ndcg@10", "recall@10"), "", ".0531 / .0928"),
    ("next_item-amazon_toys", "Amazon Toys, leave-one-out", ("ndcg@10", "recall@10"), "", ""),
    ("next_item-amazon_sports", "Amazon Sports, leave-one-out", ("ndcg@10", "recall@10"), "", ""),
    ("next_item-yelp_s3rec", "Yelp, leave-one-out", ("ndcg@10", "recall@10"), "", ""),
    ("next_item-online_retail", "Online Retail, November by time, repeats allowed", ("ndcg@10", "hr@10"), "repeat allow ", ""),
    ("next_item-online_retail", "Online Retail, November by time, no repeats", ("ndcg@10", "hr@10"), "repeat never ", ""),
    ("cold_items", "Amazon Industrial, untimed, new items only", ("cold recall@20",), "amazon18_industrial ", ""),
    ("cold_items", "Amazon Office, untimed, new items only", ("cold recall@20",), "amazon18_office ", ""),
]
NOT_CLOSED = ("popular", "sequence", "zhiyin", "two-stage", "two-stage vs zhiyin")


def figures(found: dict[str, float] | None, metrics: tuple[str, ...]) -> str:
    if found is None:
        return ""
    return " / ".join(f"{found[m]:.4f}".lstrip("0") for m in metrics)


def line(folder: Path, name: str, words: str, metrics: tuple[str, ...], prefix: str, published: str) -> str | None:
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    cases: dict[str, dict[str, float]] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        if row["case"].startswith(prefix):
            cases.setdefault(row["case"].removeprefix(prefix), {})[row["metric"]] = row["value"]
    closed = {case: found for case, found in cases.items() if case not in NOT_CLOSED}
    best = max(closed, key=lambda case: closed[case][metrics[0]])
    command = "`python bench/cold_items.py`" if name == "cold_items" else NEXT.format(name.removeprefix("next_item-"))
    cells = [words, " / ".join(metrics), figures(cases["popular"], metrics), f"{figures(closed[best], metrics)} ({best})"]
    ours = {name: figures(cases.get(name), metrics) for name in ("sequence", "zhiyin", "two-stage")}
    top = max(ours, key=lambda name: cases[name][metrics[0]] if name in cases else -1.0)
    cells += [*(f"**{text}**" if name == top else text for name, text in ours.items()), published, command]
    return f"| {' | '.join(cells)} |"


RANKED = [  # file, words, case, metric, baseline case and its words, best published or measured before
    ("next_place", "Foursquare NYC, last check-in, training history, time known", "training history, time known", "acc@1",
     "training history, time known, formula", ".4070 (3B language model)"),
    ("next_place", "Foursquare NYC, rolling history, time known", "rolling, time known", "acc@1", "rolling, time known, formula", ".441"),
    ("next_place", "Foursquare NYC, rolling history, time unknown", "rolling, time unknown", "acc@1",
     "rolling, time unknown, formula", ".324"),
    ("context", "Frappe, published test rows", "frappe", "auc", "frappe without context", ".9861"),
    ("context", "Frappe, (user, app) pairs never seen", "frappe unseen pairs", "auc", "frappe without context unseen pairs", ".9515"),
]  # fmt: skip


def ranked(folder: Path, name: str, words: str, case: str, metric: str, baseline: str, before: str) -> str | None:
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    found = {(row["case"], row["metric"]): row for row in json.loads(path.read_text(encoding="utf-8"))}
    own, other = found[case, metric], found[baseline, metric]
    said = f"**{own['value']:.4f}** [{own['low']:.4f}, {own['high']:.4f}]".replace("0.", ".")
    compared = "without context" if "without" in baseline else "closed formula"
    usual = f"{other['value']:.4f} ({compared})".replace("0.", ".", 1)
    return f"| {words} | {metric} | {usual} | {said} | {before} | `python bench/{name}.py` |"


SERVED = [  # words; figures: file, beginning of the cases, metric, which of several; goal; command
    ("Beside FastAPI + faiss HNSW, 1 / 8 / 32 connections", "requests/s, ratio",
     [("serve", f"vs fastapi+faiss, c={c}", "rps_ratio", max) for c in (1, 8, 32)], "1.5 / 1.5 / 2", "serve.py"),
    ("An answer: cells / exact scan", "CPU ms", [("serve", case, "cpu_ms_per_request", max) for case in ("ann", "exact")],
     ".25 / 1.5", "serve.py"),
    ("Found of the ten best, without / with a filter", "recall@10",
     [("serve", f"recall, ann, {what}", "recall@10", max) for what in ("no filter", "filter")], ".99", "serve.py"),
    ("600 recommendations and 600 durable events a second", "p99 ms / errors / memory growth",
     [("serve", "sustained", metric, max) for metric in ("p99_ms", "errors", "rss_growth_share")], "25 / 0 / .02", "serve.py"),
    ("The default blend of seven models (ml-1m), 4 connections", "p99 ms", [("serve", "full pipeline", "p99_ms", max)], "60", "serve.py"),
    ("From the start to the first answer, a million people", "s / memory per raw vectors",
     [("serve", "cold start", metric, max) for metric in ("s_to_first_answer", "rss_ratio_to_raw_vectors")], "2 / 1.5", "serve.py"),
    ("From a click to its effect on the answer", "p99 s", [("serve", "freshness", "event_to_effect_p99_s", max)], "1", "serve.py"),
    ("Events on disk before the answer, beside FastAPI + SQLite: singly / by hundreds", "events/s, ratio",
     [("ingest", case, "events_per_s_ratio_vs_baseline", max) for case in ("c=32 single", "batch 100")], "3 / 2", "ingest.py"),
    ("Killed, or without power, at 200 points each", "lost / double / s to restart",
     [("crash", "", metric, max) for metric in ("lost", "double", "restart_s")], "0 / 0 / 2", "crash.py --points 200"),
    ("Faults of disk, log, model, clock, locks", "lost / silent / answered / worst p99 ms",
     [("faults", "", "lost", max), ("faults", "", "silent", max), ("faults", "", "answered_share", min), ("faults", "", "p99_ms", max)],
     "0 / 0 / 1 / 50", "faults.py"),
    ("Hostile input", "cases / errors of the server / wrong accesses",
     [("bad_input", "all", "cases", max), ("bad_input", "all", "server_errors", max), ("bad_input", "access matrix", "mismatches", max)],
     "5,000 / 0 / 0", "bad_input.py"),
    ("Search: Cranfield, gain over BM25 (low end) / Chinese categories", "ndcg@10 / precision@10",
     [("search", "cranfield", "ndcg@10_gain_over_bm25_low", max), ("search", "chinese", "precision@10", max)], "0 / .85", "search.py"),
    ("Search: typos / pinyin / traditional characters", "found@10",
     [("search", case, "found@10", max) for case in ("typos", "pinyin", "traditional")], ".9 / .85 / .95", "search.py"),
]  # fmt: skip


def served(folder: Path, words: str, metric: str, figures: list[tuple[str, str, str, Any]], goal: str, command: str) -> str | None:
    """A line of the server's table; an empty case stands for all cases of the file."""
    reached = []
    for name, case, what, of in figures:
        path = folder / f"{name}.json"
        if not path.exists():
            return None
        rows = json.loads(path.read_text(encoding="utf-8"))
        reached.append(short(of(row["value"] for row in rows if row["metric"] == what and case in ("", row["case"]))))
    return f"| {words} | {metric} | **{' / '.join(reached)}** | {goal} | `python bench/{command}` |"


def short(value: float) -> str:
    """Three digits that matter, as figures stand in the tables."""
    nearly = 0.99 < value < 1  # one in a hundred and one in a thousand are not the same
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4f}" if nearly else f"{value:.3g}"
    return text.removeprefix("0") if text.startswith("0.") else text


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "bench" / "results"
    lines = [line(folder, name, words, metrics, prefix, published) for name, words, metrics, prefix, published in LINES]
    table = "\n".join(text for text in lines if text)
    second = "\n".join(text for row in RANKED if (text := ranked(folder, *row)))
    third = "\n".join(text for row in SERVED if (text := served(folder, *row)))
    for readme in ("README.md", "README.zh-CN.md"):
        path = ROOT / readme
        text = path.read_text(encoding="utf-8")
        new = re.sub(
            r"(\|---\|---\|---\|---\|---\|---\|---\|---\|---\|\n).*?(<!-- RESULTS END -->)",
            lambda m: m[1] + table + "\n" + m[2],
            text,
            flags=re.S,
        )
        new = re.sub(
            r"^(\|---\|---\|---\|---\|---\|---\|\n).*?(<!-- RANKED END -->)",
            lambda m: m[1] + second + "\n" + m[2],
            new,
            flags=re.S | re.M,
        )
        new = re.sub(
            r"^(\|---\|---\|---\|---\|---\|\n).*?(<!-- SERVED END -->)", lambda m: m[1] + third + "\n" + m[2], new, flags=re.S | re.M
        )
        path.write_text(new, encoding="utf-8")
    print(table)
    print(second)
    print(third)


if __name__ == "__main__":
    main()
