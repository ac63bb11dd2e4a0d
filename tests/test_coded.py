from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.codecs import parse
from clbench.coded import CodedImages, first_images
from clbench.errors import InputError
from clbench.store.tensors import pack_tensors
from clbench.types import LabelledImages

LINES = ("raw", "float32", "tiles:factor=2", "levels:side=5,levels=3", "png", "webp:quality=30")


def labelled(num: int = 12, *, soft: bool = False, size: int = 8) -> LabelledImages:
    """Random images of classes 1, 4 and 5 of six, not in order."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.tensor([1, 5, 4])[torch.arange(num) % 3]
    images = torch.rand(num, 1, size, size, generator=rng)
    if soft:
        return LabelledImages(images, 0.9 * F.one_hot(labels, 6).float() + 0.1 / 6)
    return LabelledImages(images, labels)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_saved_is_loaded(line: str, soft: bool, tmp_path: Path) -> None:
    original = CodedImages.of(labelled(soft=soft), parse(line), (1, 8, 8))
    original.save(tmp_path / "set.safetensors", {"seed": "3"})
    found, about = CodedImages.load(tmp_path / "set.safetensors")
    assert about["seed"] == "3" and found.codec.name == line and found.shape == (1, 8, 8)
    assert found.streams == original.streams
    for one, other in ((found.grid, original.grid), (found.images, original.images)):
        assert torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    assert found.per_class == {1: 4, 4: 4, 5: 4}
    streams = sum(map(len, found.streams.values()))
    assert found.num_bytes == streams + (12 * 6 if soft else 0)
    assert found.images.images.shape == (12, 1, 8, 8)
    assert [file.name for file in tmp_path.iterdir()] == ["set.safetensors"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("soft", [False, True])
def test_the_first_of_each_class(line: str, soft: bool, tmp_path: Path) -> None:
    original = CodedImages.of(labelled(soft=soft), parse(line), (1, 8, 8))
    original.save(tmp_path / "set.safetensors")
    found, every = first_images(tmp_path / "set.safetensors", 3), original.images
    index = torch.cat([(every.hard_labels == c).nonzero()[:3, 0] for c in (1, 4, 5)])
    assert torch.equal(found.images, every.images[index])
    assert found.labels.tolist() == [1] * 3 + [4] * 3 + [5] * 3
    with pytest.raises(InputError, match="no such file"):
        first_images(tmp_path / "other.safetensors", 3)


def test_nothing_is_something_too() -> None:
    none = CodedImages.of(labelled(0), parse("levels:side=5,levels=3"), (1, 8, 8))
    found, _ = CodedImages.from_bytes(none.to_bytes())
    assert len(found) == found.num_bytes == 0 and found.images.images.shape == (0, 1, 8, 8)


@pytest.mark.parametrize("soft", [False, True])
def test_other_numbers_for_the_classes(soft: bool) -> None:
    coded = CodedImages.of(labelled(soft=soft), parse("raw"), (1, 8, 8))
    order = torch.tensor([3, 5, 0, 1, 2, 4])
    renamed = coded.relabelled(order)
    assert renamed.classes == (2, 4, 5)
    for c in coded.classes:
        new = int(order[c])
        assert renamed.streams[new] == coded.streams[c]
        assert torch.equal(renamed.grid.of_class(new).images, coded.grid.of_class(c).images)
    back, _ = CodedImages.from_bytes(renamed.to_bytes())
    assert torch.equal(back.grid.labels, renamed.grid.labels)


@pytest.mark.parametrize(("factor", "size"), [(1, 8), (2, 8), (3, 8)])
def test_sets_of_before_there_were_codecs(factor: int, size: int) -> None:
    """Tile by tile, as version 0.1 laid F x F images into one of full size."""
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 1, size, size), generator=rng).to(torch.uint8)
    labels = torch.tensor([0, 0, 1, 1])
    content = pack_tensors({"images": images, "labels": labels}, {"packing": str(factor)})
    found, _ = CodedImages.from_bytes(content)
    assert found.per_class == {0: 2 * factor**2, 1: 2 * factor**2}
    side, position = size // factor, 0
    for n in range(4):
        for tile in range(factor**2):
            y, x = side * (tile // factor), side * (tile % factor)
            cut = images[n : n + 1, :, y : y + side, x : x + side]
            assert torch.equal(found.grid.images[position], cut[0])
            whole = F.interpolate(cut.float() / 255, size=(size, size), mode="bilinear")
            ours = found.images.images[position]
            ours = ours.float() / 255 if ours.dtype == torch.uint8 else ours
            torch.testing.assert_close(ours, whole[0])
            position += 1


def test_floats_of_before_there_were_codecs() -> None:
    data = labelled()
    order = data.labels.argsort(stable=True)
    tensors = {"images": data.images, "labels": data.labels}
    found, _ = CodedImages.from_bytes(pack_tensors(tensors, {"packing": "1"}))
    assert found.codec.name == "float32" and torch.equal(found.images.images, data.images[order])


@given(data=st.data())
@settings(max_examples=150)
def test_what_is_no_set(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    line = data.draw(st.sampled_from(LINES))
    whole = CodedImages.of(labelled(), parse(line), (1, 8, 8)).to_bytes({"seed": "3"})
    place = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    broken = data.draw(
        st.one_of(
            st.just(whole[:place]),
            st.just(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]),
            st.binary(max_size=80),
        )
    )
    path = tmp_path_factory.mktemp("broken") / "set.safetensors"
    path.write_bytes(broken)
    try:
        found, _ = CodedImages.load(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert found.images.is_finite


@pytest.mark.parametrize(
    "change",
    [
        {"codec": "levls"},
        {"codec": "levels:side=5"},
        {"codec": "levels:side=9,levels=3"},
        {"shape": "1x8"},
        {"shape": "0x8x8"},
        {"shape": "1x8x99999999999"},
        {"packing": "9"},
        {"packing": "x"},
    ],
)
def test_what_says_another_thing_than_it_holds(change: dict[str, str], tmp_path: Path) -> None:
    coded = CodedImages.of(labelled(), parse("levels:side=5,levels=3"), (1, 8, 8))
    tensors = {
        "streams": torch.tensor(list(b"".join(coded.streams.values())), dtype=torch.uint8),
        "lengths": torch.tensor([len(s) for s in coded.streams.values()]),
        "classes": torch.tensor(coded.classes),
    }
    about = {"codec": coded.codec.name, "shape": "1x8x8"}
    path = tmp_path / "set.safetensors"
    path.write_bytes(pack_tensors(tensors, about))
    assert len(CodedImages.load(path)[0]) == 12
    path.write_bytes(pack_tensors(tensors, {**about, **change}))
    with pytest.raises(InputError, match="expected a set written by clbench"):
        CodedImages.load(path)


def test_images_of_another_size() -> None:
    with pytest.raises(InputError, match=r"expected images of shape \(1, 9, 9\)"):
        CodedImages.of(labelled(), parse("raw"), (1, 9, 9))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        CodedImages.load(tmp_path / "none.safetensors")
