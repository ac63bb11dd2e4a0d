"""Files with a bit flipped, a piece cut out or put in: an error that is promised, or content."""

from __future__ import annotations

import gzip
import io
import json
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clbench.codecs.table import parse
from clbench.coded import CodedImages
from clbench.data import csv_table, idx, mhist_table
from clbench.data.bundle import open_bundle
from clbench.data.image_files import ImageRule, decode
from clbench.errors import InputError
from clbench.evaluation.trials import Outcome
from clbench.run import checkpoints
from clbench.sets import load_set
from clbench.store.checkpoints import (
    NoCheckpointError,
    checkpoint_bytes,
    checkpoint_values,
    keep_state,
)
from clbench.store.store import Store
from clbench.store.tensors import pack_tensors, unpack_tensors
from clbench.tuning.search import Tried
from clbench.types import LabelledImages
from tests.hostile.fuzz import FUZZ, broken, torn

CODECS = (
    "raw",
    "float32",
    "tiles:factor=2",
    "levels:side=6,levels=2",
    "levels:side=8,levels=5,blur=1",
    "png",
    "png:mosaic=true",
    "jpeg:quality=40",
    "webp:quality=40",
    "avif:quality=40",
)
RULE = ImageRule(("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"))


def images(channels: int = 1, num: int = 6) -> LabelledImages:
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (num, channels, 8, 8), dtype=torch.uint8, generator=rng)
    return LabelledImages(pixels, torch.arange(num) % 3)


def coded(codec: str) -> CodedImages:
    made, held = parse(codec), images()
    grid = LabelledImages(made.rounded(made.reduced(held.images)), held.labels)
    order = grid.labels.argsort(stable=True)
    return CodedImages.of(grid.select(order), made, (1, 8, 8))


def usable() -> list[str]:
    found = []
    for name in CODECS:
        try:
            coded(name)
        except InputError:
            continue  # this Pillow was built without it
        found.append(name)
    return found


def written(make: Callable[[Path], None]) -> bytes:
    """What lies in a file that ``make`` writes."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "f")
        make(file)
        return file.read_bytes()


def promised(read: Callable[[], Any], *errors: type[Exception]) -> Any:
    """What ``read`` gives, or None where it raises one of these, in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except errors as error:
            assert "\n" not in str(error)
            return None


SETS = {name: coded(name).to_bytes({"data": "tiny"}) for name in usable()}


@pytest.mark.parametrize("codec", SETS)
def test_sets(codec: str, tmp_path: Path) -> None:
    file = tmp_path / "set.safetensors"

    @FUZZ
    @given(torn(SETS[codec]))
    def check(content: bytes) -> None:
        file.write_bytes(content)
        found = promised(lambda: load_set(file), InputError)
        assert found is None or found.coded.images.images.shape[1:] == found.coded.shape

    check()
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("codec", SETS)
def test_streams(codec: str) -> None:
    made, whole = parse(codec), coded(codec)

    @FUZZ
    @given(torn(whole.streams[0]), st.sampled_from([(1, 8, 8), (3, 8, 8), (1, 5, 9)]))
    def check(stream: bytes, shape: tuple[int, int, int]) -> None:
        grid = promised(lambda: made.decode(stream, shape), InputError)
        assert grid is None or tuple(grid.shape[1:]) == made.grid(shape)

    check()


@pytest.mark.parametrize("codec", SETS)
def test_tensors_and_words_of_sets(codec: str) -> None:
    tensors, about = unpack_tensors(SETS[codec])
    plain = {name: tensor.tolist() for name, tensor in tensors.items()}

    @FUZZ
    @given(broken(plain), broken(about))
    def check(values: Any, words: Any) -> None:
        made = {}
        for name, value in values.items():
            try:
                made[str(name)] = torch.tensor(value)
            except (TypeError, ValueError, RuntimeError, OverflowError):
                continue
        words = {str(k): str(v) for k, v in words.items()}
        try:
            content = pack_tensors(made, words)
        except Exception:
            return  # such a file cannot be written
        promised(lambda: CodedImages.from_bytes(content), ValueError)
        promised(lambda: LabelledImages.from_bytes(content), ValueError)

    check()


STATE = {name: {"a": [1, 2.0, "x"], "t": torch.ones(3)} for name in checkpoints.PARTS}
CHECKPOINT = written(lambda file: keep_state(file, "run", STATE))


@given(torn(CHECKPOINT), st.booleans())
@FUZZ
def test_checkpoints(tmp_path_factory: pytest.TempPathFactory, content: bytes, only: bool) -> None:
    folder = tmp_path_factory.mktemp("c")
    (folder / checkpoints.LAST).write_bytes(content)
    if not only:
        (folder / checkpoints.BEFORE).write_bytes(CHECKPOINT)
    state, notes = promised(lambda: checkpoints.read(folder))
    assert (state is None) == (only and content != CHECKPOINT)
    assert len(notes) == (content != CHECKPOINT)


@given(torn(checkpoint_bytes(STATE)))
@FUZZ
def test_values_of_checkpoints(content: bytes) -> None:
    promised(lambda: checkpoint_values(content, checkpoints.PARTS), NoCheckpointError)


ENTRY = bytes(range(256))


@given(torn(ENTRY), torn(ENTRY))
@FUZZ
def test_entries_of_the_store(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, tail: bytes
) -> None:
    store = Store(tmp_path_factory.mktemp("s"), limit_bytes=2**30)
    store.write("trials", "ab", ENTRY)
    file = store.path_of("trials", "ab")
    file.write_bytes(content + file.read_bytes()[len(ENTRY) :] + tail)
    assert promised(lambda: store.read("trials", "ab")) in (None, ENTRY)


IDX = struct.pack(">HBBI", 0, 8, 1, 40) + bytes(40)


@given(torn(IDX) | torn(gzip.compress(IDX)), st.sampled_from(["f", "f.gz"]))
@FUZZ
def test_idx_files(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    file = tmp_path_factory.mktemp("i") / name
    file.write_bytes(content)
    found = promised(lambda: idx.read(file, 40), InputError)
    assert found is None or found.shape == (40,)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """A megabyte that unpacks to a gigabyte."""
    inner = gzip.compress(bytes(2**20)) * 1024
    (tmp_path / "bomb.gz").write_bytes(inner)
    with pytest.raises(InputError, match="expected 48 bytes when unpacked, found more"):
        idx.read(tmp_path / "bomb.gz", 40)


def picture(kind: str, size: tuple[int, int] = (9, 8)) -> bytes:
    held = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert("RGB").save(held, kind)
    return held.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
def test_pictures(kind: str) -> None:
    @FUZZ
    @given(torn(picture(kind)), st.sampled_from([1, 3]))
    def check(content: bytes, channels: int) -> None:
        found = promised(lambda: decode(content, RULE, channels, 6), InputError)
        assert found is None or found.shape == (channels, 6, 6)

    check()


MHIST = (
    "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition\n"
    + "".join(f"MHIST_{n}.png,HP,{n % 4},{'train' if n % 2 else 'test'}\n" for n in range(6))
).encode()


@given(torn(MHIST))
@FUZZ
def test_tables(content: bytes) -> None:
    promised(lambda: mhist_table.parse(content), InputError)
    promised(lambda: csv_table.read_table(content, ["Image Name"], ["Partition"]), InputError)


def archive(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("d/annotations.csv", MHIST)
        made.writestr("d/images/MHIST_0.png", picture("PNG"))
        made.writestr("d/images/x/../MHIST_1.png", picture("PNG"))


@given(torn(written(archive)))
@FUZZ
def test_archives(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("z")
    file = folder / "a.zip"
    file.write_bytes(content)

    def read() -> None:
        with open_bundle(file, "annotations.csv") as bundle:
            for name in ("MHIST_0.png", "MHIST_1.png", "../../etc/passwd"):
                promised(lambda name=name: bundle.image(name), InputError)

    promised(read, InputError)
    assert [one.name for one in folder.iterdir()] == ["a.zip"]


OUTCOME = json.loads(Outcome(0.5, 1.0, 0.1, 2.0, 0.4).to_json())


@given(broken(OUTCOME).map(lambda values: json.dumps(values).encode()) | torn(b'{"accuracy": 0.5}'))
@FUZZ
def test_outcomes(content: bytes) -> None:
    promised(lambda: Outcome.from_json(content), ValueError)


TRIED = {
    "schema": 1,
    "about": {},
    "trials": [
        {
            "candidate": {"strategy": "a", "settings": {"b": 1}},
            "seed": 0,
            "accuracy": 0.5,
            "num_bytes": 5,
            "num_images": 2,
            "seconds": 1.0,
            "refused": "",
        }
    ],
}


@given(broken(TRIED))
@FUZZ
def test_what_was_tried(tmp_path_factory: pytest.TempPathFactory, values: Any) -> None:
    file = tmp_path_factory.mktemp("t") / "tried.json"
    file.write_text(json.dumps(values))
    found = promised(lambda: Tried.opened(file, {}), InputError)
    for trial in () if found is None else found.trials:
        assert trial.accuracy is None or 0 <= trial.accuracy <= 1
        assert isinstance(trial.refused + trial.candidate.title, str) and trial.seconds >= 0
