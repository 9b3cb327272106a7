"""The page of the demo: people to pick, items that are new, and the comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.spacetime.calendar import zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zhiyin.base.arrays import AnyArray
    from zhiyin.evaluate.compare import Comparison
    from zhiyin.page.page import Page
    from zhiyin.pipeline.train import Contest

N_PEOPLE, N_HISTORY, N_LIST = 24, 12, 10


@dataclass(frozen=True, slots=True)
class Newcomer:
    """An item that came after training: ``shown[model]`` = (people who see it, those of them who really took it)."""

    item_id: str
    title: str
    text: str
    n_takers: int
    n_people: int
    shown: Mapping[str, tuple[int, int]]

    def told(self) -> dict[str, Any]:
        return {**asdict(self), "shown": {m: {"people": n, "took_it": k} for m, (n, k) in self.shown.items()}}

    def sentence(self) -> str:
        """Before and after, in one line."""
        parts = [f"{model} shows it to {n}, {k} of whom took it" for model, (n, k) in self.shown.items()]
        takers = f"takers in town: {self.n_takers} of {self.n_people}"
        return f"new: {self.title}: before nobody could see it; after with_items {'; '.join(parts)} ({takers})"


def page_of(comparison: Comparison, fought: Contest, newcomers: list[Newcomer]) -> Page:
    """One self-contained page."""
    from zhiyin.evaluate.report import add_comparison, header
    from zhiyin.page.page import Page

    page = Page("知音 in a simulated town", header(comparison))
    data = fought.data
    page.facts({"people": data.n_users, "items": data.n_items, "events": len(data.events), "models": len(comparison.models)})
    page.note(
        "The town is simulated: people choose by taste, hour, distance and habit that are known. It shows what the models find of that. "
        "It says nothing about how they do on your data; zhiyin compare does.",
        "info",
    )
    page.heading("Pick somebody")
    page.text(
        "What the person did until now, and what each model would show. A tick marks what he or she really chose afterwards, "
        "which no model saw."
    )
    page.json_data("people", people_of(fought, list(comparison.models)))
    page.raw_html(resources.files("zhiyin.cli").joinpath("demo_people.html").read_text(encoding="utf-8"))
    _add_newcomers(page, newcomers)
    add_comparison(page, comparison)
    return page


def _add_newcomers(page: Page, newcomers: list[Newcomer]) -> None:
    if not newcomers:
        return
    page.heading("New in town")
    page.text(
        "These items opened after the models were trained. Before, no list could contain them. with_items(table) reads their text, "
        "and nothing is trained again: the columns say to how many people each model now shows the item among the first 20, and how many "
        "of those really took it. By chance the share would be that of the takers among all."
    )
    models = list(newcomers[0].shown)
    rows = [
        [
            n.title,
            n.text,
            "in no list",
            *(f"{n.shown[m][0]} people, {n.shown[m][1]} took it" for m in models),
            f"{n.n_takers} of {n.n_people}",
        ]
        for n in newcomers
    ]
    page.table(["new item", "its text", "before", *(f"after: {m}" for m in models), "really took it"], rows)


def people_of(fought: Contest, models: list[str]) -> dict[str, Any]:
    """JSON-able: people with their history, what they chose, and each model's list with hits marked."""
    data, test = fought.data, fought.split.test
    lively = np.flatnonzero((test.requests.history.lengths >= 8) & (test.truth.items.lengths >= 2))
    rows = (
        lively[np.linspace(0, len(lively) - 1, min(N_PEOPLE, len(lively))).astype(int)]
        if len(lively)
        else np.arange(min(N_PEOPLE, len(test)))
    )
    asked = test.take(rows)
    slates = {m: fought.models[m].retrieve(asked.requests, N_LIST).items for m in models}
    tz = zone(data.manifest.time_zone)

    def when(us: int) -> str:
        return datetime.fromtimestamp(us / 1e6, UTC).astimezone(tz).strftime("%a %d %b, %H:%M")

    def titles(ix: AnyArray) -> list[str]:
        return data.catalog.titles(ix)

    about = data.users_table["about"].to_list() if "about" in data.users_table.columns else [""] * data.n_users
    people = []
    for i in range(len(asked)):
        user = int(asked.requests.user_ix[i])
        past = asked.requests.history.take(np.array([i])).last(N_HISTORY)
        chosen = asked.truth.items[i]
        people.append(
            {
                "id": data.users[user],
                "about": about[user] or "",
                "now": when(int(asked.requests.now_us[i])),
                "history": [{"title": t, "when": when(int(us))} for t, us in zip(titles(past.item_ix), past.time_us, strict=True)][::-1],
                "lists": {
                    m: [{"title": t, "hit": bool(ix in chosen)} for t, ix in zip(titles(slates[m][i]), slates[m][i], strict=True)]
                    for m in models
                },
                "chosen": titles(chosen)[:N_LIST],
            }
        )
    return {"models": models, "people": people}
