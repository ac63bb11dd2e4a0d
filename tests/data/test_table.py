from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from clbench import data
from clbench.data import DATASETS
from clbench.errors import InputError

Install = Callable[[str, str], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    points: list[EntryPoint] = []
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [p for p in points if p.group == group]
    )

    def add(name: str, value: str) -> None:
        points.append(EntryPoint(name, value, "clbench.datasets"))

    return add


@pytest.mark.parametrize("name", DATASETS)
def test_entries_are_consistent(name: str) -> None:
    entry = DATASETS[name]
    assert entry.name == name
    # Two hundred names of synsets are read from the files.
    assert len(entry.class_names) == (0 if name == "tiny_imagenet" else entry.num_classes)
    assert len(set(entry.class_names)) == len(entry.class_names)
    # Some moments are known once the images are read, as where these are decoded to any size.
    assert len(entry.mean) == len(entry.std)
    assert len(entry.mean) in ((0,) if entry.scalable else (0, entry.shape[0]))
    assert entry.embedded == (data.status(name) == "embedded")
    assert (entry.download_bytes == 0) == (entry.embedded or bool(entry.on_request))
    assert not entry.mean or entry.spec.shape == entry.shape
    signs = ("mnist5k", "mnist", "kmnist", "emnist", "svhn")
    sided = ("organamnist", "organcmnist", "organsmnist")
    assert ("flip" in entry.augmentation) == (name not in (*signs, *sided))
    assert entry.source and entry.licence and entry.title


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        data.load("fashion_mist")
    message = str(caught.value)
    assert message.startswith("unknown data set 'fashion_mist': expected one of mnist5k, mnist,")
    assert message.endswith("did you mean 'fashion_mnist'?")


def test_third_party_entry(install: Install) -> None:
    install("blobs", "clbench.data.table:DATASETS.get")
    assert data.names() == [*DATASETS, "blobs"]
    with pytest.raises(InputError, match="expected .* to be a DatasetInfo, found a builtin"):
        data.info("blobs")


def test_third_party_entry_loads(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    from clbench.data import table

    monkeypatch.setattr(table, "EXTRA", DATASETS["mnist"], raising=False)
    install("extra", "clbench.data.table:EXTRA")
    assert data.info("extra") is DATASETS["mnist"]


def test_own_entries_win_and_broken_ones_harm_only_themselves(install: Install) -> None:
    install("mnist", "no_such_module:X")
    install("broken", "no_such_module:X")
    assert data.info("mnist") is DATASETS["mnist"]
    assert data.names() == [*DATASETS, "broken"]
    with pytest.raises(InputError, match="broken: the entry point .*ModuleNotFoundError"):
        data.info("broken")


def test_fingerprint_depends_on_images_and_labels(tiny_images: Any) -> None:
    from clbench.data.table import _fingerprint
    from clbench.types import LabelledImages

    whole = _fingerprint(tiny_images)
    images, labels = tiny_images.images.clone(), tiny_images.labels.clone()
    images[0, 0, 0, 0] ^= 1
    labels[0] += 1
    assert _fingerprint(LabelledImages(images, tiny_images.labels)) != whole
    assert _fingerprint(LabelledImages(tiny_images.images, labels)) != whole
    assert _fingerprint(LabelledImages(tiny_images.images.clone(), tiny_images.labels)) == whole


def test_default_root_is_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path))
    assert data.data_root() == tmp_path / "data"
