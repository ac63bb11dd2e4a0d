"""Every codec on images of one class: bytes an image, seconds there and back.

    python -m tests.speed.codecs [--data-set mnist --data-root DIR] [--images 10000]

Images are those of all classes, as one class, and repeat where the data set has fewer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from clbench import data
from clbench.codecs import CODECS, parse


def main() -> None:
    """Print a line for each codec."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-set", default="mnist5k")
    parser.add_argument("--data-root", type=Path, default=None)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--codecs", nargs="*", default=[row.example for row in CODECS.values()])
    chosen = parser.parse_args()
    found = data.load(chosen.data_set, chosen.data_root)
    index = torch.arange(chosen.images) % len(found.train)
    images = found.train.images[index]
    print(f"{chosen.images} images of {chosen.data_set}, {torch.get_num_threads()} thread(s)")
    for line in chosen.codecs:
        codec = parse(line)
        start = time.perf_counter()
        stream = codec.encode(codec.reduced(images))
        middle = time.perf_counter()
        codec.decode(stream, found.spec.shape)
        end = time.perf_counter()
        told = f"{len(stream) / chosen.images:.2f} bytes an image"
        seconds = f"encode {middle - start:.2f} s, decode {end - middle:.2f} s"
        print(f"{line}: {told}, {seconds}", flush=True)


if __name__ == "__main__":
    main()
