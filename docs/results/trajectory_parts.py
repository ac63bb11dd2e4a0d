"""What each part of PAD is worth: sets with one part switched at a time.

    python docs/results/trajectory_parts.py --data-root DIR --output OUT

MNIST, matched in ConvNet-3 of width 32; each set trains two networks of the same architecture from
scratch, scored on the whole test set. All seeds share the experts, as runs do. A finished set is
never made again, so the command can be stopped and started again, or started several times at once
for different seeds (one thread each).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from clbench import data
from clbench.codecs.pixels import RAW
from clbench.coded import CodedImages
from clbench.config import DistillationConfig, SetTrainingConfig
from clbench.distillation import Job, make_distiller
from clbench.distillation.updates import UpdateLog
from clbench.evaluation import evaluate_set, rivals
from clbench.machine.allocator import keep_freed_memory
from clbench.seeding import generator
from clbench.store.files import write_json

# Distiller and changed fields of `TrajectorySettings`, by the row's name.
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "datadam": ("datadam", {}),
    "pad": ("pad", {}),
    "pad, hard labels": ("pad", {"soft_labels": False}),
    "pad, no data scheduler": ("pad", {"data_scheduler": False}),
    "pad, no mask": ("pad", {"mask_ratio": 0.0}),
    "pad, starts not growing": ("pad", {"growing_start": False}),
    "pad, step size not learnt": ("pad", {"learn_step_size": False}),
    "pad, step sizes not falling": ("pad", {"decay": "none"}),
    "pad, gradient as it is": ("pad", {"normalise_gradient": False, "learning_rate": 500.0}),
    "pad, from real images": ("pad", {"matched_start": "none"}),
    "datm": ("datm", {}),
    "mtt": ("mtt", {}),
    "mtt, from real images": ("mtt", {"matched_start": "none"}),
}


def main() -> None:
    """Make and score what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images-per-class", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(3))
    parser.add_argument("--held-out", action="store_true", help="10,000 training images, no test")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    device = torch.device("cpu")
    images = data.load("mnist", arguments.data_root)
    train, test = images.train, images.test
    if arguments.held_out:
        test, train = rivals.split(train, 1 / 6, seed=0)
    for seed in arguments.seeds:
        for row in arguments.rows:
            name = f"{row.replace(', ', '-').replace(' ', '_')}-ipc{arguments.images_per_class}"
            place = arguments.output / f"{name}-seed{seed}.json"
            if place.exists():
                continue
            distiller, changes = ROWS[row]
            config = DistillationConfig.from_dict({"distiller": distiller, "settings": changes})
            log, clock = UpdateLog(), time.perf_counter()
            rng = generator(seed, "distillation")
            equal = Job.equal(train, images.spec, arguments.images_per_class, rng)
            job = equal.replace(on_update=log, keep=True)
            made = make_distiller(config).distill(job).quantised()
            seconds = time.perf_counter() - clock + log.seconds_saved
            CodedImages.of(made, RAW, images.spec.shape).save(place.with_suffix(".safetensors"))
            scores = evaluate_set(
                made,
                test,
                images.spec,
                config.network,
                SetTrainingConfig(),
                seeds=range(2),
                device=device,
            )
            accuracies = [100 * value for value in scores.values]
            write_json(
                place,
                {"row": row, "seed": seed, "accuracies": accuracies, "seconds": seconds,
                 "losses": log.losses, **log.scalars},
            )  # fmt: skip
            print(f"{name} seed {seed}: {accuracies} in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
