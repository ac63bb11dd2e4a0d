"""First and second start of a set of image files: seconds, and peak memory.

    python -m tests.speed.decoding
    python -m tests.speed.decoding --files 60000

Makes a set of MHIST's size in MHIST's layout (3,152 PNG files of 224 x 224, blurred noise), loads
it in a fresh process and again in another one, at full size, and then puts the whole stream in
memory. With ``--files N`` it is a folder of one's own instead: N JPEG files of 32 x 32 pixels in
ten classes.
Seconds are those of `clbench.data.load`, without imports. The second start is taken with the files
in the system's cache, as the first is: they have just been written.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from clbench.data.mhist_table import PUBLISHED
from tests.data.pictures import table

CHILD = """
import json, resource, sys, time
from pathlib import Path
import clbench.data.mhist, clbench.data.own_images  # and all that they import
from clbench import data
from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig
root, side, streams = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "streams"
own = not (root / "MHIST").is_dir()
name, stream = (f"folder:{root}",) * 2 if own else ("mhist", "split_mhist")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.perf_counter()
found = data.load(name, root, image_size=side)
seconds, loaded = time.perf_counter() - start, peak()
if streams:
    benchmark = make_benchmark(BenchmarkConfig(stream, image_size=side), root)
    experiences = range(len(benchmark))
    parts = [benchmark.tensors(split, k) for split in ("train", "test") for k in experiences]
print(json.dumps([seconds, before, loaded, peak(), found.fingerprint]))
"""


def make_set(root: Path, share: float) -> int:
    """Write the set, or a share of it; how many images it has."""
    folder = root / "MHIST" / "images"
    folder.mkdir(parents=True)
    rows, draw = [], np.random.default_rng(0)
    for (partition, label), num in PUBLISHED.items():
        for number in range(max(1, round(share * num))):
            name = f"{partition}_{label}_{number:04}.png"
            noise = Image.fromarray(draw.integers(0, 256, (224, 224, 3), dtype=np.uint8))
            out = io.BytesIO()
            noise.filter(ImageFilter.GaussianBlur(1)).save(out, "PNG", compress_level=1)
            (folder / name).write_bytes(out.getvalue())
            rows.append(f"{name},{label},{7 if label == 'SSA' else 0},{partition}")
    (folder.parent / "annotations.csv").write_bytes(table(*rows))
    return len(rows)


def make_folder(root: Path, num: int) -> int:
    """Write a folder of ten classes of JPEG files of 32 x 32, no two alike; how many."""
    draw = np.random.default_rng(0)
    for number in range(num):
        folder = root / f"class {number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        noise.save(folder / f"{number:06}.jpg", quality=85)
    return num


def start(root: Path, cache: Path, side: int, what: str = "") -> tuple[float, ...]:
    """A fresh process: seconds to load, then peak bytes before, after, and with the stream."""
    environment = {**os.environ, "CLBENCH_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(side), what],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    *numbers, _ = json.loads(done.stdout)
    return tuple(numbers)


def main() -> None:
    """Make the set, start three times, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of MHIST's 3,152 images")
    parser.add_argument("--image-size", type=int, default=None)
    parser.add_argument("--files", type=int, default=0, help="of a folder of one's own, 32 x 32")
    arguments = parser.parse_args()
    side = 32 if arguments.files else 224
    arguments.image_size = arguments.image_size or side
    with tempfile.TemporaryDirectory() as place:
        root, cache = Path(place) / "data", Path(place) / "cache"
        num = make_folder(root, arguments.files) if arguments.files else 0
        num = num or make_set(root, arguments.share)
        time.sleep(2.1)  # files that changed less than two seconds ago are read again
        first = start(root, cache, arguments.image_size)
        second = start(root, cache, arguments.image_size)
        whole = start(root, cache, arguments.image_size, "streams")
    print(f"images: {num:,} of {side} x {side}, decoded to {arguments.image_size}")
    print(f"first start: {first[0]:.2f} s, peak {first[2] / 2**30:.2f} GiB")
    print(f"second start: {second[0]:.3f} s, peak {second[2] / 2**30:.2f} GiB")
    print(f"ratio first / second: {first[0] / second[0]:.1f}")
    print(f"with the stream in memory: peak {whole[3] / 2**30:.2f} GiB")
    print(f"imports alone: peak {first[1] / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
