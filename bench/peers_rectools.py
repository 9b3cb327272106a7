"""The RecTools side of peers.py. Runs in RecTools' own environment, never in zhiyin's.

    .cache/rectools/bin/python bench/peers_rectools.py steps|full|metrics IN.npz OUT.json JSON_SETTINGS

``steps`` times single training steps of SASRec, ``full`` trains until a validation NDCG@10 is reached,
``metrics`` measures given lists. CPU seconds are user + system time of this process (getrusage).
"""

from __future__ import annotations

import json
import math
import resource
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
Arrays = Mapping[str, np.ndarray]
K = 10


def cpu_used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def dataset_of(given: Arrays) -> Any:
    """RecTools' data set from flat events, oldest first within each user; the order becomes the date."""
    from rectools.dataset import Dataset

    dates = np.datetime64("2000-01-01", "s") + np.arange(len(given["user"])).astype("timedelta64[s]")
    frame = pd.DataFrame({"user_id": given["user"], "item_id": given["item"], "weight": 1.0, "datetime": dates})
    return Dataset.construct(frame)


def sasrec(settings: Mapping[str, Any], **trainer: Any) -> Any:
    """SASRec with the loss over the whole catalogue, on one thread."""
    import torch
    from pytorch_lightning import Trainer, seed_everything
    from rectools.models import SASRecModel

    torch.set_num_threads(1)
    seed_everything(settings["seed"])
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}

    def make() -> Trainer:
        return Trainer(accelerator="cpu", devices=1, **quiet, **trainer)

    size = {"n_blocks": settings["layers"], "n_heads": settings["heads"], "n_factors": settings["dim"]}
    return SASRecModel(
        **size, session_max_len=settings["max_len"], dropout_rate=settings["dropout"], loss="softmax", lr=settings["learning_rate"],
        batch_size=settings["batch_size"], recommend_torch_device="cpu", get_trainer_func=make,
    )  # fmt: skip


def steps(given: Arrays, settings: Mapping[str, Any]) -> dict[str, Any]:
    """CPU seconds of each training step from loading the batch to the update, without the first few."""
    from pytorch_lightning import Callback

    class Clock(Callback):
        ends: list[float] = []  # noqa: RUF012  the trainer is copied deeply, so an instance's list would not come back

        def on_train_batch_end(self, *_: Any) -> None:
            self.ends.append(cpu_used_s())

    n = settings["warm_up"] + settings["steps"]
    sasrec(settings, max_steps=n, callbacks=[Clock()]).fit(dataset_of(given))
    spent = np.diff(Clock.ends)[settings["warm_up"] - 1 :]
    return {"step_cpu_s": spent.tolist(), "steps_per_epoch": math.ceil(len(np.unique(given["user"])) / settings["batch_size"])}


def full(given: Arrays, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Train epoch by epoch, recommend after each, stop at the wanted NDCG@10: {"cpu_s", "ndcg", "epoch_cpu_s"}."""
    data = dataset_of(given)
    model = sasrec(settings)
    answer = dict(zip(given["valid_user"].tolist(), given["valid_item"].tolist(), strict=True))
    start, epochs, ndcg = cpu_used_s(), [], []
    while len(epochs) < settings["max_epochs"] and max(ndcg, default=0.0) < settings["wanted"]:
        before = cpu_used_s()
        model.fit_partial(data, min_epochs=1, max_epochs=1)
        epochs.append(cpu_used_s() - before)
        found = model.recommend(users=given["valid_user"], dataset=data, k=K, filter_viewed=True)
        hits = found[found["item_id"].to_numpy() == found["user_id"].map(answer).to_numpy()]
        ndcg.append(float((1 / np.log2(hits["rank"].to_numpy() + 1)).sum() / len(answer)))
        print(f"  rectools epoch {len(epochs)}: validation NDCG@{K} {ndcg[-1]:.4f}, {epochs[-1]:.0f} CPU s", flush=True)
    return {"cpu_s": cpu_used_s() - start, "ndcg": ndcg, "epoch_cpu_s": epochs}


def metrics(given: Arrays, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Means of the accuracy metrics and the CPU seconds of each run; the frames are made before."""
    from rectools.metrics import MAP, MRR, NDCG, F1Beta, HitRate, Precision, Recall, calc_metrics

    n, k = given["lists"].shape
    lists = {"user_id": np.repeat(np.arange(n), k), "item_id": given["lists"].ravel(), "rank": np.tile(np.arange(1, k + 1), n)}
    reco = pd.DataFrame(lists)
    answers = pd.DataFrame({"user_id": given["answer_user"], "item_id": given["answer_item"]})
    wanted = {
        "hr": HitRate(k), "recall": Recall(k), "precision": Precision(k), "f1": F1Beta(k), "map": MAP(k),
        "ndcg": NDCG(k, divide_by_achievable=True), "mrr": MRR(k),
    }  # fmt: skip
    spent, found = [], {}
    for _ in range(settings["runs"]):
        before = cpu_used_s()
        found = calc_metrics(wanted, reco, answers, catalog=np.arange(settings["n_items"]))
        spent.append(cpu_used_s() - before)
    return {"cpu_s": spent, "means": found}


ACTIONS: dict[str, Callable[[Arrays, Mapping[str, Any]], dict[str, Any]]] = {"steps": steps, "full": full, "metrics": metrics}

if __name__ == "__main__":
    action, source, target, settings_json = sys.argv[1:]
    with np.load(source) as arrays:
        result = ACTIONS[action](dict(arrays), json.loads(settings_json))
    Path(target).write_text(json.dumps(result), encoding="utf-8")
