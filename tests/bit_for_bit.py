"""Prove a refactoring: run the same commands before and after it, and compare every number.

    python -m tests.bit_for_bit OUTPUT        in a checkout of each commit
    diff BEFORE/digests.txt AFTER/digests.txt

Each line of ``digests.txt`` is the SHA-256 of one command's result without what may differ between
two runs of one command (measured times, environment) and without the names of settings (config).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MEMORIES = ("random", "reservoir", "herding", "dm", "dam", "kip", "frepo", "pad", "bptt")
STRATEGIES = ("naive", "cumulative", *(f"{m}_{t}" for m in _MEMORIES for t in ("replay", "gdumb")))
DISTILLERS = ("random", "herding", "dm", "datadam", "kip", "frepo", "mtt", "datm", "pad", "bptt")
_STREAM = "--train-per-class 60 --images-per-class 2 --epochs 2 --set-epochs 20 --device cpu"
_MATCHING = (
    "--distill-width 8 --distill-depth 2 --num-networks 2 --updates-per-network 3 --batch-real 16"
)
_TRAJECTORIES = (
    "--num-updates 5 --student-steps 3 --num-experts 2 --expert-epochs 10 --last-start 4 "
    "--num-difficulty-networks 1 --difficulty-epochs 2 --bptt-unroll 4 --bptt-window 3"
)
_RUN = f"run --no-tensorboard --quiet --no-cache {_STREAM} {_MATCHING} {_TRAJECTORIES}"
_DISTILL = (
    f"distill --quiet --no-cache --device cpu --images-per-class 2 {_MATCHING} {_TRAJECTORIES}"
)
_EVALUATE = "--device cpu --workers 1 --no-cache --no-tensorboard --quiet"

_EVALUATED = (
    "--evaluate cross-architecture,architecture-search --networks-evaluated mlp,lenet "
    "--num-networks-evaluated 1 --search-candidates 3"
)

# Name -> command line; {out} is the folder of the results.
COMMANDS: dict[str, str] = {
    **{f"run-{name}": f"{_RUN} --strategy {name}" for name in STRATEGIES},
    "run-packed": f"{_RUN} --strategy dam_replay --codec tiles:factor=2 --seed 1",
    "run-float32": f"{_RUN} --strategy dm_replay --shuffle-classes --seed 2 ".replace(
        "--images-per-class 2", "--images-per-class 8 --codec float32"
    ),
    "run-bytes": f"{_RUN} --strategy herding_replay --validation-fraction 0.2".replace(
        "--images-per-class 2", "--memory-bytes 20000"
    ),
    "run-easy": f"{_RUN} --strategy dam_replay --initialisation easy --matched-layers deep",
    "run-trained": f"{_RUN} --strategy dm_gdumb --network-steps 2 --resample --optimizer adam",
    "run-no-start": f"{_RUN} --strategy pad_replay --matched-start none --no-soft-labels",
    "run-one-class": f"{_RUN} --strategy pad_replay --num-experiences 10",
    "run-evaluated": f"{_RUN} --strategy dam_replay {_EVALUATED}",
    **{
        f"distill-{name}": f"{_DISTILL} --distiller {name} --no-evaluate "
        f"-o {{out}}/{name}.safetensors"
        for name in DISTILLERS
    },
    "distill-scored": f"{_DISTILL} --distiller datadam --codec tiles:factor=2 "
    "--num-networks-evaluated 2 --evaluation-epochs 10 --evaluation-network mlp --workers 1 "
    "-o {out}/scored.safetensors",
    "evaluate-set": "evaluate set {out}/dm.safetensors --num-networks-evaluated 2 "
    "--evaluation-epochs 10 --evaluation-network lenet --device cpu --workers 1 --no-cache --json",
    "evaluate-cross": "evaluate cross-architecture {out}/dm.safetensors {out}/pad.safetensors "
    "--networks mlp,lenet --num-networks-evaluated 2 --evaluation-epochs 10 --full-epochs 1 "
    f"{_EVALUATE}",
    "evaluate-search": "evaluate architecture-search {out}/dm.safetensors --candidates 3 "
    f"--full-epochs 1 --evaluation-epochs 5 {_EVALUATE}",
    "evaluate-offline": "evaluate offline --network mlp --epochs 2 --device cpu "
    "--no-tensorboard --quiet",
}
_VOLATILE = {"measured", "environment", "config", "seconds", "distil_seconds", "distillation"}
_VOLATILE |= {"memory", "schema"}  # settings of a set; what a run remembered is added below


def main(out: Path) -> None:
    """Run every command whose digest is not in ``out`` yet, and write ``digests.txt``."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} {_digest(name, command, out)}" for name, command in COMMANDS.items()]
    (out / "digests.txt").write_text("\n".join(lines) + "\n")


def _digest(name: str, command: str, out: Path) -> str:
    kept = out / f"{name}.sha256"
    if not kept.exists():
        place = [] if "{out}" in command and "evaluate-" not in name else ["-o", str(out / name)]
        if name == "evaluate-set":
            place = []
        arguments = [sys.executable, "-m", "clbench", *command.format(out=out).split(), *place]
        environment = {**os.environ, "CLBENCH_CACHE": str(out / "cache")}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr}")
        (out / f"{name}.stdout").write_text(done.stdout)
        digest = hashlib.sha256()
        for part in _results(name, out):
            digest.update(part)
        kept.write_text(digest.hexdigest())
        print(name, digest.hexdigest()[:16], flush=True)
    return kept.read_text()


def _results(name: str, out: Path) -> Iterator[bytes]:
    """The numbers that a command left, in a fixed order."""
    if name == "evaluate-set":
        yield _plain(json.loads((out / f"{name}.stdout").read_text()))
    elif name.startswith("distill-"):
        stem = name.removeprefix("distill-")
        yield _plain(json.loads((out / f"{stem}.json").read_text()))
        yield _tensors(out / f"{stem}.safetensors")
    else:
        report = json.loads((out / name / "report.json").read_text())
        yield _plain(report)
        if name.startswith("run-"):
            yield json.dumps([report["memory"], report["distillation"]], sort_keys=True).encode()
        for file in sorted((out / name / "memory").glob("*.safetensors")):
            yield _tensors(file)


def _plain(value: Any) -> bytes:
    return json.dumps(_kept(value), sort_keys=True).encode()


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kept(v) for name, v in value.items() if name not in _VOLATILE}
    return [_kept(v) for v in value] if isinstance(value, list) else value


def _tensors(file: Path) -> bytes:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        found = [opened.get_tensor(name).numpy().tobytes() for name in sorted(opened.keys())]
    return b"".join(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
