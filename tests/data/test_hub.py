"""Hugging Face data sets, from folders that ``save_to_disk`` wrote."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clbench import data
from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig
from clbench.errors import InputError
from tests.data import field_files as files

datasets = pytest.importorskip("datasets")
NAMES = ["ant", "bee", "cow"]


def png(pixels: Any, mode: str = "RGB") -> dict[str, Any]:
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "PNG")
    return {"bytes": out.getvalue(), "path": None}


def part(num: int, seed: int, mode: str = "RGB", **changed: Any) -> Any:
    features = {"img": datasets.Image(), "id": datasets.Value("int64")}
    columns = {
        "img": [png(p, mode) for p in files.pixels(num, 32, 32, 3, seed=seed)],
        "id": list(range(num)),
        "kind": [k % 3 for k in range(num)],
    }
    features["kind"] = datasets.ClassLabel(names=NAMES)
    return datasets.Dataset.from_dict({**columns, **changed}, datasets.Features(features))


def saved(root: Path, **parts: Any) -> str:
    datasets.DatasetDict(parts).save_to_disk(str(root / "set"))
    return f"hf:{root / 'set'}"


def test_columns_are_found_by_their_types(tmp_path: Path) -> None:
    name = saved(tmp_path, train=part(12, 0), val=part(6, 1), test=part(6, 2))
    found = data.load(name)
    expected = torch.from_numpy(files.pixels(12, 32, 32, 3)).permute(0, 3, 1, 2)
    assert found.train.images.equal(expected) and found.spec.class_names == tuple(NAMES)
    assert found.validation is not None and found.validation.labels.tolist() == [0, 1, 2] * 2
    assert found.notes == ()
    assert all(check.ok for check in data.verify(name))
    benchmark = make_benchmark(BenchmarkConfig(name, image_size=16, class_order="cow,ant,bee"))
    assert list(benchmark) == [(2,), (0,), (1,)] and benchmark.has_validation
    assert benchmark.tensors("train", 0).images.shape == (4, 3, 16, 16)
    assert data.short_name(name) == "hf-set"


def test_without_a_test_split_a_fifth_is_one(tmp_path: Path) -> None:
    name = saved(tmp_path, train=part(30, 0, "L"))
    info, found = data.info(name), data.load(name)
    assert (info.num_train, info.num_test) == (24, 6) == (len(found.train), len(found.test))
    assert found.test.labels.bincount().tolist() == [2, 2, 2]
    assert found.spec.channels == 1 and "no test split was given" in found.notes[0]
    shown = {image.numpy().tobytes() for p in (found.train, found.test) for image in p.images}
    assert len(shown) == 30


def test_hidden_test_labels_leave_the_validation_split_for_testing(tmp_path: Path) -> None:
    hidden = part(6, 2, kind=[-1] * 6)
    found = data.load(saved(tmp_path, train=part(12, 0), validation=part(6, 1), test=hidden))
    assert len(found.test) == 6 and found.validation is None
    assert found.notes == ("its validation images serve as test images",)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (lambda: {"test": part(3, 0)}, "expected a split train, found test"),
        (
            lambda: {"train": part(3, 0).remove_columns("img")},
            "one column of type Image, found none",
        ),
        (
            lambda: {"train": part(3, 0).cast_column("kind", datasets.Value("int64"))},
            "one column of type ClassLabel, found none",
        ),
        (lambda: {"train": part(9, 0), "test": part(3, 1, kind=[0, 1, None])}, "expected a label"),
    ],
)
def test_what_is_no_set_of_labelled_images(parts: Any, message: str, tmp_path: Path) -> None:
    name = saved(tmp_path, **parts())
    with pytest.raises(InputError, match=message) as caught:
        data.load(name)
    assert "\n" not in str(caught.value)


def test_broken_images_and_paths(tmp_path: Path) -> None:
    images = [png(p) for p in files.pixels(3, 32, 32, 3)]
    images[1] = {"bytes": b"no image", "path": None}
    name = saved(tmp_path, train=part(3, 0, img=images), test=part(3, 1))
    with pytest.raises(InputError, match="expected a PNG or .* image, found something else"):
        data.load(name)
    assert [check.ok for check in data.verify(name)] == [False]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:", "expected hf:NAME or hf:FOLDER"),
        ("hf:./nowhere", "expected a folder, found nothing"),
        ("hf:.", "expected what save_to_disk of a DatasetDict wrote"),
        ("hf:nobody/nothing", "cannot be opened .*check the name and the network"),
    ],
)
def test_names_that_lead_nowhere(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=message) as caught:
        data.info(name)
    assert "\n" not in str(caught.value)


def test_a_second_start_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = saved(tmp_path, train=part(12, 5), test=part(6, 6))
    first = data.load(name)
    monkeypatch.setattr("clbench.data.hub.decode", None)
    assert data.load(name).fingerprint == first.fingerprint
    assert np.array_equal(data.load(name).test.images, first.test.images)


def test_a_name_on_the_hub_is_opened_without_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def load_dataset(place: str, **options: Any) -> Any:
        asked.append((place, options))
        return datasets.DatasetDict(train=part(12, 0), test=part(6, 1))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert data.info("hf:some/where").num_train == 12 == data.info("hf:some/where").num_train
    assert asked == [("some/where", {"trust_remote_code": False})]
