"""``zhiyin check``: look a data set over before a model learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.given import DataArgument
from zhiyin.cli.outcome import JsonOption, PlotsOption, ending, hand_over

if TYPE_CHECKING:
    from zhiyin.data.dataset import Dataset
    from zhiyin.data.findings import Findings


@ending
def check(
    data: DataArgument,
    out: Annotated[Path | None, typer.Option(help="The report; default: NAME-check.html, here.")] = None,
    plots: PlotsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count, plot and judge the data: gaps, duplicates, bursts, leaks, text that cannot be read.

    Rows that the cleaning rules of zhiyin.toml drop are counted; bad ones lie in quarantine/ afterwards.
    Findings are places to look at; they do not change the exit code.

    Example: zhiyin check shop
    """
    _, findings = looked_over(data)
    hand_over(findings, out or Path(f"{findings.name}-check.html"), plots, as_json=as_json)


def looked_over(said: str) -> tuple[Dataset, Findings]:
    """The data, and what there is to say of it. A folder is read with its counts, a known name as it is."""
    from zhiyin.data.check import check as look_over

    if not Path(said).exists():
        from zhiyin.cli.given import open_data

        dataset = open_data(said)
        return dataset, look_over(dataset, unknown_share=unread)
    from zhiyin.data.folder import load_with_report, read_folder

    dataset, report = load_with_report(said)
    return dataset, look_over(dataset, report, tables=read_folder(said), unknown_share=unread)


def unread(texts: Sequence[str]) -> float:
    """Share of tokens the packaged language model does not know."""
    from zhiyin.text.choose import open_encoder

    return open_encoder().encoder.unknown_share(texts)
