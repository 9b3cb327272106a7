"""Neural rankers: numpy serving equals torch, rows are drawn anew, new items are known by their text."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.rank.attention import AttentionSpec
from zhiyin.models.rank.cross import CrossSpec
from zhiyin.models.rank.neural import NeuralSpec
from zhiyin.models.rank.neural_fit import Draw, Net, inputs_of
from zhiyin.models.rank.quality import auc
from zhiyin.models.rank.registry import ranker_of
from zhiyin.testing.ranker_contracts import small_examples

SMALL: dict[str, Any] = {"dim": 5, "hidden": [12, 6], "epochs": 4, "batch_size": 128}
KINDS: dict[str, dict[str, Any]] = {
    "cross": {"kind": "cross", "layers": 3},
    "two streams": {"kind": "cross", "form": "two_stream"},
    "bilinear": {"kind": "bilinear"},
    "attention": {"kind": "attention", "history_len": 6},
    "attention without text": {"kind": "attention", "text": "off"},
    "convolution": {"kind": "convolution", "history_len": 5, "heights": [1, 3, 5]},
}
TRAIN, VALIDATION, TEST = small_examples(200, seed=1), small_examples(100, seed=2), small_examples(100, seed=3)


def spec(values: dict[str, Any], **more: Any) -> NeuralSpec:
    made = ranker_of({**SMALL, **values, **more})
    assert isinstance(made, NeuralSpec)
    return made


@pytest.mark.parametrize("embed", [[], ["item", "hour"]])
@pytest.mark.parametrize("name", KINDS)
def test_numpy_equals_torch(name: str, embed: list[str]) -> None:
    torch.manual_seed(0)
    net = Net(inputs_of(spec(KINDS[name], embed=embed), TRAIN), TRAIN).eval()
    with torch.no_grad():
        for parameter in net.parameters():  # far from where training starts, so that every part counts
            parameter.add_(torch.randn_like(parameter) * 0.5)
        expected = net.body(net._rows(torch.arange(len(TRAIN.labels)))).numpy()
    served = net.frozen().score(TRAIN.requests, TRAIN.slates)
    assert expected.std() > 0.1
    np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-4)


def test_many_rows_are_scored_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = spec(KINDS["attention"], epochs=1).fit(TRAIN, Run(threads=1))
    whole = ranker.score(TEST.requests, TEST.slates)
    monkeypatch.setattr("zhiyin.models.rank.neural.CHUNK_ROWS", 7)
    np.testing.assert_allclose(ranker.score(TEST.requests, TEST.slates), whole, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.sampled_from(["binary", "list"]), st.integers(0, 99))
def test_each_epoch_draws_other_negatives_and_keeps_all_positives(per_positive: int, objective: Any, seed: int) -> None:
    draw = Draw(TRAIN, CrossSpec(negatives_per_positive=per_positive, objective=objective, batch_size=64))
    one, again, other = (np.concatenate(draw.batches(np.random.default_rng(s))) for s in (seed, seed, seed + 1))
    chosen = np.flatnonzero(TRAIN.labels > 0)
    np.testing.assert_array_equal(one, again)
    assert len(np.unique(one)) == len(one) <= len(chosen) * (1 + per_positive)
    assert set(chosen) <= set(one) and set(chosen) <= set(other)
    if len(one) == len(chosen) * (1 + per_positive):
        assert set(one) != set(other)


def test_batches_hold_whole_lists_and_lists_with_an_answer() -> None:
    draw = Draw(TRAIN, CrossSpec(negatives_per_positive=None, objective="list"))
    lists = TRAIN.slates.items.rows
    parts = [set(lists[batch]) for batch in draw.batches(np.random.default_rng(0))]
    assert len(parts) > 5 and sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == set(lists[TRAIN.labels > 0])


def test_list_loss_is_the_softmax_of_each_list() -> None:
    net = Net(inputs_of(spec(KINDS["cross"], objective="list", dropout=0), TRAIN), TRAIN).eval()
    rows = np.flatnonzero(np.isin(TRAIN.slates.items.rows, [3, 4, 8]))
    loss, n = net.loss(torch.from_numpy(rows))
    logits = net.frozen().score(TRAIN.requests, TRAIN.slates)
    by_hand = 0.0
    for i in (3, 4, 8):
        at = slice(TRAIN.slates.offsets[i], TRAIN.slates.offsets[i + 1])
        by_hand -= float(((logits[at] - np.log(np.exp(logits[at]).sum())) * TRAIN.labels[at]).sum())
    assert n == 3 and float(loss.detach()) == pytest.approx(by_hand / 3, rel=1e-4)


@pytest.mark.parametrize("name", ["attention", "convolution"])
def test_history_says_what_columns_do_not(name: str) -> None:
    """Whether an item goes with the history is in no column."""
    big = small_examples(600, seed=7)
    ranker = spec(KINDS[name], columns=["noise"], epochs=6, dim=8).fit(big, Run(threads=1), VALIDATION)
    blind = Requests.of(Histories.empty(len(TEST.requests)), now_us=1_000_000)
    assert auc(TEST.labels, ranker.score(TEST.requests, TEST.slates)) > 0.6
    assert auc(TEST.labels, ranker.score(blind, TEST.slates)) < 0.58


def test_disliked_events_are_no_history() -> None:
    ranker = spec(KINDS["attention"], epochs=1).fit(TRAIN, Run(threads=1))
    history = TEST.requests.history
    disliked = replace(TEST.requests, history=replace(history, weight=np.zeros_like(history.weight)))
    nobody = replace(TEST.requests, history=Histories.empty(len(TEST.requests)))
    np.testing.assert_array_equal(ranker.score(disliked, TEST.slates), ranker.score(nobody, TEST.slates))


def _grown(catalog: Catalog) -> Catalog:
    """One more item, with the text of item 2."""
    grown = catalog.with_rows(["new"], catalog.table.clear(1))
    text = grown.vectors["text"]
    matrix = text.matrix.copy()
    matrix[-1] = matrix[2]
    return grown.with_vectors("text", Vectors(matrix, text.fingerprint))


def test_a_new_item_is_known_by_its_text() -> None:
    assert TRAIN.catalog is not None
    n = len(TRAIN.catalog)
    ranker = AttentionSpec(**SMALL, id_dropout=0.5).fit(TRAIN, Run(threads=1))
    grown = ranker.spec.restore(ranker.state(), _grown(TRAIN.catalog))
    np.testing.assert_allclose(grown.score(TEST.requests, TEST.slates), ranker.score(TEST.requests, TEST.slates), atol=1e-6)
    new, without = (replace(TEST.slates, item_ix=np.full_like(TEST.slates.item_ix, ix)) for ix in (n, n + 5))
    assert np.abs(grown.score(TEST.requests, new) - grown.score(TEST.requests, without)).max() > 1e-3


def test_unknown_codes_and_people_share_a_row() -> None:
    ranker = spec(KINDS["cross"], embed=["item", "user"], epochs=1).fit(TRAIN, Run(threads=1))
    strange = Requests.of(Histories.of_items(Ragged.empty(len(TEST.requests))), np.full(len(TEST.requests), 999), 1_000_000)
    nobody = Requests.of(Histories.of_items(Ragged.empty(len(TEST.requests))), None, 1_000_000)
    np.testing.assert_array_equal(ranker.score(strange, TEST.slates), ranker.score(nobody, TEST.slates))
    assert ranker.columns == ("liking", "price", "hour", "noise")


@pytest.mark.parametrize(("kind", "more"), [("cross", {"embed": ["item", "hour"]}), ("attention", {})])
def test_codes_or_a_history_alone_are_enough_but_not_without_anything_chosen(kind: str, more: dict[str, Any]) -> None:
    hour = {"hour": TRAIN.slates.columns["hour"]} if more else {}
    bare = replace(TRAIN, slates=replace(TRAIN.slates, columns=hour))
    ranker = spec({"kind": kind}, epochs=1, **more).fit(bare, Run(threads=1))
    assert np.isfinite(ranker.score(bare.requests, bare.slates)).all()
    with pytest.raises(FitError, match="examples of one kind only"):
        spec({"kind": kind}, **more).fit(replace(bare, labels=np.zeros_like(bare.labels)), Run(threads=1))


def test_a_code_column_must_be_there() -> None:
    with pytest.raises(ConfigError, match="ranker 'cross' reads column 'wether', which the slates do not have"):
        spec(KINDS["cross"], embed=["wether"]).fit(TRAIN, Run(threads=1))
    with pytest.raises(ConfigError, match="a pattern of 9 events does not fit into history_len = 5"):
        ranker_of({"kind": "convolution", "history_len": 5, "heights": [9]})


def test_a_killed_fit_goes_on_where_it_was(tmp_path: Any) -> None:
    """The checkpoint of the one training loop serves rankers too."""
    made = spec(KINDS["cross"])

    class KilledError(Exception):
        pass

    def dies(row: Any) -> None:
        if row.get("epoch") == 3:
            raise KilledError

    with pytest.raises(KilledError):
        made.fit(TRAIN, Run(threads=1, folder=tmp_path, checkpoint_steps=5, report=dies), VALIDATION)
    went_on = made.fit(TRAIN, Run(threads=1, folder=tmp_path), VALIDATION)
    assert "resumed_at_step" in (tmp_path / "log.jsonl").read_text()
    plain = made.fit(TRAIN, Run(threads=1), VALIDATION)
    np.testing.assert_allclose(went_on.score(TEST.requests, TEST.slates), plain.score(TEST.requests, TEST.slates), atol=1e-5)


def test_serving_needs_no_torch(tmp_path: Any) -> None:
    from zhiyin.store.bundle import Bundle, write_bundle

    made = spec(KINDS["attention"], epochs=1)
    state = made.fit(TRAIN, Run(threads=1)).state()
    write_bundle(tmp_path / "ranker", Bundle({"spec": made.described(), "state": dict(state.meta)}, state.arrays))
    code = (
        "import sys\n"
        "from zhiyin.models.rank.registry import RANKERS, ranker_of\n"
        "from zhiyin.models.roles import State\n"
        "from zhiyin.store.bundle import read_bundle\n"
        "from zhiyin.testing.ranker_contracts import small_examples\n"
        f"found, examples = read_bundle({str(tmp_path / 'ranker')!r}), small_examples(20)\n"
        "ranker = ranker_of(found.meta['spec']).restore(State(found.arrays, found.meta['state']), examples.catalog)\n"
        "ranker.score(examples.requests, examples.slates)\n"
        "[RANKERS.get(name) for name in RANKERS.names()]\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'sklearn', 'lightgbm', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
