from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clbench.codecs import CODECS, Codec, canonical, num_that_fit, parse
from clbench.codecs.protocol import read_number, write_number
from clbench.codecs.scaling import area_sums, blurred, grown, shrunk
from clbench.errors import Diverged, InputError

# CLBENCH_ROUND_TRIPS=10000 pytest tests/codecs -k comes_back: the long form
ROUND_TRIPS = int(os.environ.get("CLBENCH_ROUND_TRIPS", "40"))
LINES = (
    "raw",
    "float32",
    "tiles:factor=2",
    "tiles:factor=3",
    "levels:side=5,levels=2",
    "levels:side=8,levels=7,blur=0.5",
    "levels:side=1,levels=256",
    "png",
    "png:mosaic=0,side=4",
    "webp",
    "webp:quality=40",
    "jpeg:quality=30",
    "jpeg:quality=80,mosaic=0",
    "avif:quality=30,side=7",
)


@st.composite
def images(draw: st.DrawFn) -> Tensor:
    """Up to 9 grey or colour images of 8 to 11 pixels, uint8 or float, noise or flat areas."""
    num = draw(st.integers(0, 9))
    shape = draw(st.sampled_from([(1, 8, 8), (3, 8, 9), (1, 11, 8), (3, 9, 9)]))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    pixels = torch.rand(num, *shape, generator=rng)
    if draw(st.booleans()):
        pixels = (pixels.mean((2, 3), keepdim=True) + 0.2 * (pixels > 0.9)).expand(num, *shape)
    if draw(st.booleans()):
        return (pixels * 255).clamp(0, 255).to(torch.uint8)
    return pixels.clamp(0, 1).contiguous()


@pytest.mark.parametrize("line", LINES)
@given(images())
@settings(max_examples=ROUND_TRIPS)
def test_what_is_written_comes_back(line: str, found: Tensor) -> None:
    codec = parse(line)
    shape = tuple(found.shape[1:])
    grid = codec.reduced(found)
    assert tuple(grid.shape[1:]) == codec.grid(shape) and grid.dtype == found.dtype
    stream = codec.encode(grid)
    back = codec.decode(stream, shape)
    rounded = codec.rounded(grid)
    assert back.dtype == rounded.dtype and torch.equal(back, rounded)
    if codec.image_bytes(shape) is not None:
        assert len(stream) == len(found) * codec.image_bytes(shape)
    enlarged = codec.enlarged(back.float(), shape)
    assert enlarged.shape == found.shape
    if not codec.coarse:
        assert torch.equal(codec.rounded(back), back)


@pytest.mark.parametrize("line", LINES)
def test_learnt_images_are_scaled_as_real_ones(line: str) -> None:
    codec = parse(line)
    real = torch.randint(0, 256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    real = real.to(torch.uint8)
    learnt = (real.float() / 255).requires_grad_()
    difference = codec.reduced(real).float() / 255 - codec.reduced(learnt)
    levels = 2**8 if "levels" not in line else int(line.split("levels=")[1].split(",")[0])
    assert difference.abs().max() <= 0.5 / (levels - 1) + 1e-6
    codec.enlarged(codec.reduced(learnt), (1, 8, 8)).sum().backward()
    assert learnt.grad is not None and learnt.grad.abs().sum() > 0


@pytest.mark.parametrize("line", LINES)
@given(st.data())
@settings(max_examples=40)
def test_torn_and_foreign_streams(line: str, data: st.DataObject) -> None:
    codec = parse(line)
    rng = torch.Generator().manual_seed(3)
    whole = codec.encode(codec.reduced(torch.rand(5, 1, 8, 8, generator=rng)))
    broken = data.draw(
        st.one_of(
            st.binary(max_size=60),
            st.integers(0, len(whole) - 1).map(lambda n: whole[:n]),
            st.binary(min_size=1, max_size=9).map(lambda more: whole + more),
            st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)).map(
                lambda p: whole[: p[0]] + bytes([whole[p[0]] ^ p[1]]) + whole[p[0] + 1 :]
            ),
        )
    )
    try:
        back = codec.decode(broken, (1, 8, 8))
    except Diverged:
        assert line == "float32"  # its pixels are none
    except InputError as error:
        assert "expected a stream written by the codec" in str(error) and "\n" not in str(error)
    else:  # other bytes may say other images; what they say is sound
        assert tuple(back.shape[1:]) == codec.grid((1, 8, 8)) and back.isfinite().all()


@pytest.mark.parametrize("line", [one for one in LINES if one != "float32"])
def test_cut_streams_are_refused(line: str) -> None:
    codec = parse(line)
    rng = torch.Generator().manual_seed(3)
    whole = codec.encode(codec.reduced(torch.rand(5, 1, 9, 9, generator=rng)))
    with pytest.raises(InputError, match="expected a stream"):
        codec.decode(whole[:-1], (1, 9, 9))
    with pytest.raises(InputError, match="expected a stream"):
        codec.decode(whole + b"\x01", (1, 9, 9))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("levls:side=4,levels=2", "did you mean 'levels'"),
        ("levels:side=4,level=2", "did you mean 'levels'"),
        ("levels:side=4", "expected levels to be given, as in 'levels:side=14,levels=2'"),
        ("levels:side=4,levels=1", "levels to be a whole number from 2 to 256, found '1'"),
        ("levels:side=4,levels=2.5", "whole number"),
        ("levels:side=0,levels=2", "from 1 to 4096"),
        ("levels:side=4,levels=2,blur=nan", "blur to be a number from 0 to 8"),
        ("levels:side=4,side=4,levels=2", "expected side once"),
        ("raw:factor=2", "expected no parameters, found 'factor=2'"),
        ("jpeg:quality", "expected quality=NUMBER, mosaic=NUMBER, side=NUMBER, found 'quality'"),
        ("avif:quality=96", "from 1 to 95"),
        ("", "unknown codec ''"),
    ],
)
def test_lines_that_name_no_codec(line: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(line)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "shape", "message"),
    [
        ("levels:side=9,levels=2", (1, 8, 8), "expected a side of 1 to 8"),
        ("tiles:factor=9", (1, 8, 8), "expected a factor of 1 to 8"),
        ("png", (2, 8, 8), "expected 1 or 3 channels, found 2"),
        ("jpeg:quality=30,side=9", (3, 8, 8), "expected a side of at most 8"),
    ],
)
def test_images_that_do_not_suit(line: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(line).check(shape)


def test_one_name_for_all_that_mean_the_same() -> None:
    assert canonical(" levels:levels=2, side=14 ,blur=0") == "levels:side=14,levels=2"
    assert canonical("webp") == "webp:quality=100"
    for line in LINES:
        assert canonical(canonical(line)) == canonical(line) == parse(line).name


def test_every_row_has_an_example_that_parses() -> None:
    for name, row in CODECS.items():
        assert parse(row.example).name.partition(":")[0] == name


def test_a_pillow_without_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import features

    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    parse("jpeg")
    with pytest.raises(InputError, match="codec avif: expected a Pillow built with avif"):
        parse("avif")


@given(st.integers(0, 1 << 24))
def test_numbers(number: int) -> None:
    stream = b"x" + write_number(number) + b"yz"
    assert read_number(parse("png"), stream, 1) == (number, len(stream) - 2)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60)
def test_area_scaling_is_torchs(height: int, width: int, h: int, w: int) -> None:
    h, w = min(h, height), min(w, width)
    rng = torch.Generator().manual_seed(height * width)
    pixels = torch.randint(0, 256, (2, 1, height, width), generator=rng).to(torch.uint8)
    sums, sizes = area_sums(pixels, h, w)
    expected = torch.nn.functional.interpolate(pixels.double(), (h, w), mode="area")
    torch.testing.assert_close(sums.double() / sizes, expected)
    assert (shrunk(pixels, h, w).double() - expected).abs().max() <= 0.5


def test_blur_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter

    image = torch.rand(1, 1, 12, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = gaussian_filter(image[0, 0].numpy(), 0.8, mode="nearest", truncate=3 / 0.8)
    torch.testing.assert_close(blurred(image, 0.8)[0, 0], torch.from_numpy(expected))
    assert blurred(image, 0.0) is image and grown(image, 12, 9) is image


@pytest.mark.parametrize("line", ["raw", "levels:side=6,levels=2", "png", "webp:quality=30"])
def test_as_many_as_fit(line: str) -> None:
    codec: Codec = parse(line)
    rng = torch.Generator().manual_seed(1)
    grid = codec.reduced((torch.rand(60, 1, 8, 8, generator=rng) > 0.8).to(torch.uint8) * 255)
    held = grid[50:]
    for budget in (0, 40, 150, 500, 1200, 10_000):
        num = num_that_fit(codec, grid[:50], budget, each=2)
        plain = [n for n in range(51) if not n or len(codec.encode(grid[:n])) + 2 * n <= budget]
        exact = line in ("raw", "levels:side=6,levels=2")  # a longer stream is never shorter
        assert num in plain and max(plain) - num <= (0 if exact else 3)
        more = num_that_fit(codec, grid[:50], budget, before=held)
        size = len(codec.encode(torch.cat([held, grid[:more]])))
        assert size <= budget or not more


def test_the_table_is_light() -> None:
    code = "import sys, clbench.codecs.table as t; t.parse; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("line", "most"), [("levels:side=14,levels=2", 8.4), ("levels:side=28,levels=2", 17.0)]
)
def test_bytes_of_real_digits(line: str, most: float, real_data_root: Path) -> None:
    from clbench import data

    train, codec = data.load("mnist", real_data_root).train, parse(line)
    total = 0
    for c in range(10):
        grid = codec.reduced(train.of_class(c).images[:97])
        total += len(codec.encode(grid))
    assert total / 970 <= most
