"""What only the sequence model can get wrong: its numpy twin, its windows, its losses, its resume."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.sequence import SequenceSpec
from zhiyin.models.retrieve.sequence_fit import Asked, Net, Windows
from zhiyin.nn.attention import LookUp
from zhiyin.nn.losses import Sparse, full_softmax, gbce, sampled_softmax
from zhiyin.testing.contracts import small_world


@pytest.mark.parametrize("score", ["dot", "bilinear", "cosine"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("memory", [None, {"reach": 3}])
def test_numpy_serves_what_torch_trained(score: str, shared: bool, memory: dict[str, int] | None) -> None:
    data = small_world("position")
    spec = SequenceSpec.parse({"dim": 16, "heads": 4, "layers": 2, "max_len": 6, "score": score, "shared_items": shared, "memory": memory})
    torch.manual_seed(1)
    net = Net(spec, data).eval()
    for parameter in net.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    model = net.frozen(spec, data)
    items = np.flatnonzero(model.usable)
    lists = [items[:1], items[[2, 1]], items[[0, 3, 3, 5, 1, 2, 4, 6, 7]], items[[5]], items[[3, 1, 4, 2, 5]]]
    instants = [[0], [0, 1], [0, 0, 0, 1, 1, 1, 2, 2, 3], [0], [0, 0, 1, 1, 1]]  # baskets in some
    history = replace(Histories.of_items(Ragged.of(lists)), time_us=np.concatenate(instants) * 9)
    mine = model.scores(Requests.of(history))
    with torch.no_grad():
        for i, (row, past) in enumerate(zip(mine, lists, strict=True)):
            rows = F.embedding(torch.from_numpy(past[-6:].astype(np.int64))[None], net.seen())
            state, table = net.tower(rows, torch.tensor(instants[i][-6:])[None])[:, -1], net.next()
            if score == "bilinear":
                state = state @ net.bilinear.T
            if score == "cosine":
                state, table = F.normalize(state, dim=1) * net.log_temperature.exp(), F.normalize(table, dim=1)
            logits = (state @ table.T)[0]
            if model.memory is not None:
                logits = logits + net._heard(model.memory.evidence(Requests.of(history.take(np.array([i])))))[0]
            np.testing.assert_allclose(row[items], logits.numpy()[items], rtol=1e-4, atol=1e-4)


def test_an_epoch_that_cuts_all_but_one_basket_away_asks_nothing() -> None:
    windows = Windows(np.arange(260, dtype=np.int32), np.repeat([0, 1], [250, 10]), np.array([0, 260]), 200)
    asked = [len(windows.batches(4, np.random.default_rng(seed))) for seed in range(20)]
    assert set(asked) == {0, 1}


def test_the_future_of_a_window_does_not_reach_its_past() -> None:
    data = small_world("position")
    net = Net(SequenceSpec(dim=16, max_len=8), data).eval()
    rows = torch.randn(2, 8, 16)
    changed = rows.clone()
    changed[:, 5:] += torch.randn(2, 3, 16)
    for instants in (None, torch.tensor([[0, 1, 1, 2, 2, 3, 4, 4], [0, 0, 0, 0, 1, 2, 3, 3]])):
        before, after = net.tower(rows, instants), net.tower(changed, instants)
        assert torch.equal(before[:, :5], after[:, :5])
        assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_every_thing_of_a_basket_is_asked_from_the_basket_before() -> None:
    items = torch.tensor([[7, 8, 9, 5, 6, -1], [1, 2, 3, 4, 5, 6]])
    instants = torch.tensor([[0, 1, 1, 2, 2, 3], [0, 1, 2, 3, 4, 5]])
    asked = Asked.of(items, instants)
    told = list(zip(asked.window.tolist(), asked.place.tolist(), asked.item.tolist(), strict=True))
    assert told == [(0, 0, 8), (0, 0, 9), (0, 2, 5), (0, 2, 6), (1, 0, 2), (1, 1, 3), (1, 2, 4), (1, 3, 5), (1, 4, 6)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_each_event_is_a_target_at_most_once_and_short_histories_are_whole(lengths: list[int], width: int, seed: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    windows = Windows(np.arange(offsets[-1], dtype=np.int32), np.arange(offsets[-1]), offsets, width)
    if not len(windows.users):
        return
    spans = windows.spans(np.random.default_rng(seed))
    targets = np.concatenate([np.arange(a + 1, b) for a, b in spans])
    assert len(np.unique(targets)) == len(targets)
    assert (spans[:, 1] - spans[:, 0] <= width + 1).all()
    short = [u for u in windows.users if lengths[u] <= width + 1]
    for u in short:
        assert [offsets[u], offsets[u + 1]] in spans.tolist()
    seen = sum(int((row >= 0).sum()) for batch in windows.batches(4, np.random.default_rng(seed)) for row in batch[..., 0])
    assert seen == int((spans[:, 1] - spans[:, 0]).sum())


def test_a_window_inside_one_large_basket_is_no_batch() -> None:
    """Three orders of fifty lines among short histories: a batch without targets has no mean, and made every weight NaN."""
    lengths = [4] * 20 + [150]
    instants = np.concatenate([np.tile(np.arange(4), 20), np.repeat(np.arange(3), 50)])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    instants += np.repeat(np.arange(len(lengths)) * 10, lengths)
    windows = Windows(np.arange(starts[-1], dtype=np.int32) % 60, instants, starts, 10)
    for seed in range(5):
        batches = windows.batches(4, np.random.default_rng(seed))
        assert all(len(Asked.of(batch[..., 0], batch[..., 1]).item) for batch in batches)


def test_fused_softmax_equals_the_plain_one() -> None:
    torch.manual_seed(0)
    h, w = torch.randn(50, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True)
    targets = torch.randint(0, 30, (50,))
    plain = F.cross_entropy(h @ w.T, targets)
    expected = torch.autograd.grad(plain, [h, w])
    fused = full_softmax(h, w, targets, torch.float32)
    found = torch.autograd.grad(fused, [h, w])
    torch.testing.assert_close(fused, plain)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_looked_up_biases_have_the_gradient_of_plain_indexing() -> None:
    torch.manual_seed(0)
    table, at, weight = torch.randn(2, 7, requires_grad=True), torch.randint(0, 7, (3, 5, 5)), torch.randn(3, 2, 5, 5)
    plain, found = table[:, at].transpose(0, 1), LookUp.apply(table, at)
    torch.testing.assert_close(found, plain)
    expected, seen = (torch.autograd.grad((values * weight).sum(), table)[0] for values in (plain, found))
    torch.testing.assert_close(seen, expected)


def test_fused_softmax_adds_what_memory_says() -> None:
    torch.manual_seed(0)
    h, w, targets = torch.randn(40, 8, requires_grad=True), torch.randn(30, 8, requires_grad=True), torch.randint(0, 30, (40,))
    extra = torch.randn(40, 30) * (torch.rand(40, 30) < 0.2)
    values = extra[extra != 0].clone().requires_grad_()
    rows, columns = extra.nonzero(as_tuple=True)
    indptr = F.pad(torch.bincount(rows, minlength=40).cumsum(0), (1, 0))
    expected = F.cross_entropy(h @ w.T + torch.zeros(40, 30).index_put((rows, columns), values), targets)
    fused = full_softmax(h, w, targets, torch.float32, Sparse(indptr, columns, values))
    torch.testing.assert_close(fused, expected)
    wanted = torch.autograd.grad(expected, [h, w, values])
    for one, other in zip(torch.autograd.grad(fused, [h, w, values]), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_sampled_softmax_with_every_item_as_negative_is_the_full_one() -> None:
    torch.manual_seed(0)
    h, w, targets = torch.randn(20, 8), torch.randn(15, 8), torch.randint(0, 15, (20,))
    sampled = sampled_softmax(h, w, targets, torch.arange(15), torch.zeros(15))
    torch.testing.assert_close(sampled, F.cross_entropy(h @ w.T, targets))


def test_gbce_without_calibration_is_binary_cross_entropy() -> None:
    torch.manual_seed(0)
    h, w, targets = torch.randn(20, 8), torch.randn(40, 8), torch.randint(0, 20, (20,))
    negatives = torch.arange(20, 40)
    logits = h @ w.T
    expected = F.softplus(-logits.gather(1, targets[:, None])[:, 0]) + F.softplus(logits[:, 20:]).sum(1)
    torch.testing.assert_close(gbce(h, w, targets, negatives, calibration=0.0), expected.mean())


def test_losses_learn_the_same_ordering() -> None:
    data = small_world("position")
    for loss in ("full", "sampled", "gbce"):
        model = SequenceSpec.parse(
            {"dim": 16, "layers": 1, "max_len": 20, "epochs": 30, "learning_rate": 0.01, "loss": loss, "dropout": 0.0}
        ).fit(data, Run(seed=1))
        history = data.positive.history(np.arange(data.n_users))
        usual = np.bincount(data.events.item_ix, minlength=data.n_items).argmax()
        scores = model.scores(Requests.of(history))
        rank = (scores > scores[:, usual, None]).sum(1)
        assert np.median(rank) < data.n_items / 2, loss


def test_a_new_item_is_found_by_its_text() -> None:
    data = small_world("position")
    spec = SequenceSpec(dim=16, layers=1, max_len=20, epochs=4, id_dropout=0.3)
    model = spec.fit(data, Run())
    twin = int(np.argmax(data.item_counts))
    catalog = data.catalog.with_rows(["new"], data.catalog.table.head(0).clear(1))
    vectors = catalog.vectors["text"].matrix.copy()
    vectors[-1] = vectors[twin]
    grown = model.with_catalog(catalog.with_vectors("text", type(catalog.vectors["text"])(vectors, "test")))
    assert grown.usable[-1]
    scores = grown.scores(Requests.of(data.history(np.arange(5))))
    assert np.isfinite(scores[:, -1]).all()
    np.testing.assert_array_equal(scores[:, :-1] > -np.inf, np.broadcast_to(model.usable, scores[:, :-1].shape))


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"dim = 10 is not a multiple of heads = 4"):
        SequenceSpec.parse({"dim": 10, "heads": 4})
    data = small_world("position")
    one_each = data.take(np.unique(data.events.user_ix, return_index=True)[1])
    with pytest.raises(FitError, match=r"no user of .* has two events.*Use 'ease' or 'content'"):
        SequenceSpec().fit(one_each, Run())


FIT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from zhiyin.data.run import Run
from zhiyin.models.retrieve.sequence import SequenceSpec
from zhiyin.testing.contracts import small_world

killed_at = int(sys.argv[3])

def report(row):
    if killed_at and row.get("step", 0) >= killed_at:
        os.kill(os.getpid(), signal.SIGKILL)

spec = SequenceSpec(dim=16, layers=1, max_len=20, epochs=6, batch_size=1, dropout=0.2)
run = Run(seed=3, threads=1, folder=Path(sys.argv[1]), checkpoint_steps=7, report=report)
np.save(sys.argv[2], spec.fit(small_world("position"), run).next_items)
"""


def _fit_in_child(folder: Path, out: Path, killed_at: int) -> int:
    return subprocess.run([sys.executable, "-c", FIT, str(folder), str(out), str(killed_at)], check=False).returncode


def test_killed_mid_epoch_and_resumed_is_the_same_model(tmp_path: Path) -> None:
    assert _fit_in_child(tmp_path / "whole", tmp_path / "whole.npy", 0) == 0
    assert _fit_in_child(tmp_path / "cut", tmp_path / "cut.npy", 60) == -signal.SIGKILL
    assert (tmp_path / "cut" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "cut.npy").exists()
    assert _fit_in_child(tmp_path / "cut", tmp_path / "cut.npy", 0) == 0
    assert "resumed_at_step" in (tmp_path / "cut" / "log.jsonl").read_text()
    np.testing.assert_array_equal(np.load(tmp_path / "cut.npy"), np.load(tmp_path / "whole.npy"))
    assert not (tmp_path / "cut" / "checkpoint.safetensors").exists(), "a finished fit keeps no checkpoint"


def test_a_foreign_or_broken_checkpoint_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half a file")
    spec = SequenceSpec(dim=16, layers=1, max_len=20, epochs=1)
    data = small_world("position")
    fresh = spec.fit(data, Run(seed=1, threads=1))
    beside = spec.fit(data, Run(seed=1, threads=1, folder=tmp_path))
    np.testing.assert_array_equal(fresh.next_items, beside.next_items)
