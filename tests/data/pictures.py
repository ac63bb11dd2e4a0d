"""Tiny image files, and a complete set of eight in MHIST's layout."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition"
# Every agreement, 4 to 7, of both classes in both parts would take 16; these have 7 and 4.
ROWS = (
    "a.png,HP,0,train",
    "b.png,SSA,7,train",
    "c.png,HP,3,train",
    "d.png,SSA,4,train",
    "e.png,HP,0,test",
    "f.png,SSA,7,test",
    "g.png,HP,3,test",
    "h.png,SSA,4,test",
)


def pixels(seed: int, height: int = 224, width: int = 224, channels: int = 3) -> np.ndarray:
    """Coarse noise, (height, width, channels): packs well, and no two seeds look alike."""
    few = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), dtype=np.uint8)
    tall = few.repeat(-(-height // 4), axis=0)[:height]
    return tall.repeat(-(-width // 4), axis=1)[:, :width]


@cache
def image(
    seed: int,
    height: int = 224,
    width: int = 224,
    *,
    mode: str = "RGB",
    kind: str = "PNG",
) -> bytes:
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 3)
    values = pixels(seed, height, width, channels)
    made = Image.fromarray(
        values[:, :, 0] if channels == 1 else values, mode if channels != 3 else None
    )
    if made.mode != mode:
        made = made.convert(mode)
    out = io.BytesIO()
    made.save(out, kind)
    return out.getvalue()


def table(*rows: str, header: str = HEADER) -> bytes:
    return ("\n".join([header, *(rows or ROWS)]) + "\n").encode()


def mhist(root: Path, *rows: str) -> Path:
    """Write a set in MHIST's layout below ``root``; its folder."""
    folder = root / "MHIST"
    (folder / "images").mkdir(parents=True)
    rows = rows or ROWS
    (folder / "annotations.csv").write_bytes(table(*rows))
    for seed, row in enumerate(rows):
        (folder / "images" / row.partition(",")[0]).write_bytes(image(seed % 20))
    return folder


def tree(
    root: Path,
    names: dict[str, int],
    *,
    height: int = 12,
    width: int = 12,
    mode: str = "RGB",
    kind: str = "PNG",
) -> Path:
    """Folders of images: ``{"train/cat": 3}`` writes three below ``root/train/cat``."""
    seed = 0
    for name, num in names.items():
        (root / name).mkdir(parents=True)
        for number in range(num):
            file = root / name / f"{number}.{kind.lower()}"
            file.write_bytes(image(seed, height, width, mode=mode, kind=kind))
            seed += 1
    return root
