from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from zhiyin.base.digest import crc32_file, sha256_file
from zhiyin.base.errors import ModelFileError
from zhiyin.store import bundle as module
from zhiyin.store.bundle import ARRAYS, FORMAT_VERSION, MANIFEST, UPGRADES, Bundle, manifest_digest, read_bundle, write_bundle

DTYPES = st.sampled_from(["?", "i1", "u2", "<i4", "<i8", "<f2", "<f4", "<f8"])


def sample() -> Bundle:
    arrays = {"ease.weights": np.arange(12, dtype=np.float32).reshape(3, 4).T, "n": np.array(7), "none": np.zeros((0, 5), np.int32)}
    return Bundle({"kind": "ease", "标题": [1, 2.5, None]}, arrays, {"items": pl.DataFrame({"id": ["a", "音"], "tags": [["x"], []]})})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_bundle(folder, sample())
    return folder


def rewrite(folder: Path, change: Any) -> None:
    """Change the manifest and make its own digest right again."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    manifest["sha256"] = manifest_digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_what_is_written_comes_back(saved: Path) -> None:
    back = read_bundle(saved)
    assert back.meta == {"kind": "ease", "标题": [1, 2.5, None]}
    for name, array in sample().arrays.items():
        assert back.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(back.arrays[name], array)
    assert back.tables["items"].equals(sample().tables["items"])


def test_arrays_are_read_only_views_of_the_file(saved: Path) -> None:
    weights = read_bundle(saved).arrays["ease.weights"]
    assert not weights.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        weights[0, 0] = 1.0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0))))
def test_any_numbers_of_any_shape(tmp_path: Path, array: np.ndarray) -> None:
    write_bundle(tmp_path / "m", Bundle(arrays={"first": np.ones(3, np.uint8), "x": array}))
    np.testing.assert_array_equal(read_bundle(tmp_path / "m").arrays["x"], array)


def test_a_bundle_of_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "m", Bundle())
    assert read_bundle(tmp_path / "m") == Bundle()
    assert [p.name for p in (tmp_path / "m").iterdir()] == [MANIFEST]


def test_a_second_write_replaces_the_first_and_leaves_nothing_beside(saved: Path) -> None:
    before = read_bundle(saved).arrays["ease.weights"]
    write_bundle(saved, Bundle({"kind": "popular"}))
    assert read_bundle(saved).meta == {"kind": "popular"}
    assert [p.name for p in saved.parent.iterdir()] == ["model"]
    assert before[0, 0] == 0.0  # a reader of the old one keeps its pages


def test_a_failed_write_leaves_the_old_model(saved: Path) -> None:
    with pytest.raises(ModelFileError, match="not plain JSON"):
        write_bundle(saved, Bundle({"bad": {1, 2}}))
    with pytest.raises(ModelFileError, match="not plain JSON"):
        write_bundle(saved, Bundle({"bad": float("nan")}))
    with pytest.raises(ModelFileError, match="array 'names' has dtype <U1"):
        write_bundle(saved, Bundle(arrays={"names": np.array(["a"])}))
    with pytest.raises(ModelFileError, match=r"table name '\.\./up' cannot be a file name"):
        write_bundle(saved, Bundle(tables={"../up": pl.DataFrame()}))
    assert read_bundle(saved).meta["kind"] == "ease"
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_nothing_but_a_model_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ModelFileError, match=r"holds something that is not a model.*nothing was overwritten"):
        write_bundle(tmp_path / "home", sample())
    with pytest.raises(ModelFileError, match="is not a folder"):
        write_bundle(tmp_path / "home" / "letter.txt", sample())
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def case_missing(folder: Path) -> None:
    (folder / ARRAYS).unlink()


def case_truncated(folder: Path) -> None:
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:-5])


def case_longer(folder: Path) -> None:
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes() + b"x")


def case_link(folder: Path) -> None:
    (folder / ARRAYS).rename(folder.parent / "elsewhere")
    (folder / ARRAYS).symlink_to(folder.parent / "elsewhere")


def case_path(name: str) -> Any:
    return lambda folder: rewrite(folder, lambda m: m["files"].update({name: {"sha256": "0", "size": 0}}))


def case_not_safetensors(folder: Path) -> None:
    (folder / ARRAYS).write_bytes(b"hello, this is no safetensors file")
    size, crc32 = (folder / ARRAYS).stat().st_size, crc32_file(folder / ARRAYS)
    rewrite(folder, lambda m: m["files"].update({ARRAYS: {"crc32": crc32, "size": size}}))


def case_edited(folder: Path) -> None:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace("ease", "easy"))


def case_newer(folder: Path) -> None:
    rewrite(folder, lambda m: m.update(format_version=9, zhiyin="3.0"))


CASES = {
    "missing": (case_missing, r"file 'arrays.safetensors' of model '.*' is missing \(E400\)\. Copy the whole folder"),
    "truncated": (case_truncated, r"is truncated: \d+ of \d+ bytes"),
    "longer": (case_longer, "is damaged: its crc32 does not match"),
    "flipped array": (lambda f: damaged(f / ARRAYS), "'arrays.safetensors' .* is damaged: its crc32 does not match"),
    "flipped array of an older bundle": (
        lambda f: (damaged(f / ARRAYS), rewrite(f, lambda m: m["files"][ARRAYS].pop("crc32"))),
        "'arrays.safetensors' .* is damaged: its sha256 does not match",
    ),
    "flipped table": (lambda f: damaged(f / "table.items.arrow"), "'table.items.arrow' .* is damaged"),
    "link": (case_link, "names a file no model has: 'arrays.safetensors'"),
    "climbing": (case_path("../secret"), "names a file no model has: '../secret'"),
    "climbing table": (case_path("table.../../x.arrow"), "names a file no model has"),
    "absolute": (case_path("/etc/passwd"), "names a file no model has: '/etc/passwd'"),
    "strange": (case_path("code.py"), "names a file no model has: 'code.py'"),
    "not safetensors": (case_not_safetensors, "'arrays.safetensors' .* cannot be read"),
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "is not a model folder: it has no manifest.json"),
    "no JSON": (lambda f: (f / MANIFEST).write_text("{"), "is damaged: it is not JSON"),
    "not UTF-8": (lambda f: (f / MANIFEST).write_bytes(b"\xff\xfe{}"), "is damaged: it is not JSON"),
    "another's": (lambda f: (f / MANIFEST).write_text('{"name": "an app"}'), "its manifest.json is of another kind"),
    "a list": (lambda f: (f / MANIFEST).write_text("[]"), "its manifest.json is of another kind"),
    "edited": (
        lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text().replace("ease", "easy")),
        "manifest.json .* is damaged: its sha256",
    ),
    "newer": (
        lambda f: rewrite(f, lambda m: m.update(format_version=9, zhiyin="3.0")),
        r"has format 9, written by zhiyin 3\.0; .* reads up to 1",
    ),
    "no version": (lambda f: rewrite(f, lambda m: m.pop("format_version")), "is damaged"),
    "no files": (lambda f: rewrite(f, lambda m: m.pop("files")), "is damaged"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_folder_gets_one_clear_sentence(saved: Path, name: str) -> None:
    change, words = CASES[name]
    change(saved)
    with pytest.raises(ModelFileError, match=words) as caught:
        read_bundle(saved)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"there is no model folder '.*nowhere'"):
        read_bundle(tmp_path / "nowhere")


def test_a_format_0_folder_is_upgraded_step_by_step(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    save_file({"blend/ease/weights": np.eye(2, dtype=np.float32)}, folder / ARRAYS)
    files = {ARRAYS: {"sha256": sha256_file(folder / ARRAYS), "size": (folder / ARRAYS).stat().st_size}}
    manifest = {"format": "zhiyin-bundle", "format_version": 0, "zhiyin": "0.0.1", "meta": {"kind": "blend"}, "files": files}
    (folder / MANIFEST).write_text(json.dumps({**manifest, "sha256": manifest_digest(manifest)}))
    back = read_bundle(folder)
    assert list(back.arrays) == ["blend.ease.weights"]
    np.testing.assert_array_equal(back.arrays["blend.ease.weights"], np.eye(2))


def test_every_old_format_has_its_step() -> None:
    assert sorted(UPGRADES) == list(range(FORMAT_VERSION))
    assert module.FORMAT_VERSION == 1


def test_a_thorough_look_finds_what_was_forged(saved: Path) -> None:
    damaged(saved / ARRAYS)
    rewrite(saved, lambda m: m["files"][ARRAYS].update(crc32=crc32_file(saved / ARRAYS)))
    assert set(read_bundle(saved).arrays) == set(sample().arrays)
    with pytest.raises(ModelFileError, match="its sha256 does not match"):
        read_bundle(saved, thorough=True)


def test_older_bundles_are_read_by_their_sha256(saved: Path) -> None:
    rewrite(saved, lambda m: [said.pop("crc32") for said in m["files"].values()])
    assert set(read_bundle(saved).arrays) == set(sample().arrays)
