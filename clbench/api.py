"""The Python interface: what the command line does, as functions.

import clbench
report = clbench.run(RunConfig(strategy="random_replay"))
made = clbench.distil("mnist5k", output=Path("set.safetensors"))
scores = clbench.evaluate("set", ["set.safetensors"])
table = clbench.compare(["runs/split_mnist5k"]).to_frame()
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench import comparison, data, seeding
from clbench.codecs.table import parse
from clbench.coded import CodedImages
from clbench.comparison import Comparison, load_runs
from clbench.config import DistillationConfig, MemoryConfig
from clbench.data import ImageData
from clbench.data.dataset import Normalisation
from clbench.distillation import Job, OnUpdate, make_distiller
from clbench.distillation.filling import Share, fill_both, label_bytes
from clbench.distillation.updates import UpdateLog
from clbench.errors import InputError
from clbench.evaluation import EVALUATIONS, Laboratory, Result, trials
from clbench.fields import Config
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.device import resolve_device
from clbench.measuring.cost import environment
from clbench.report import RunReport
from clbench.sets import DistilledSet, network_of
from clbench.sets import load_set as read_set
from clbench.types import ImageSpec

__all__ = ["compare", "distil", "evaluate", "load_set", "load_sets", "provenance"]


def distil(
    images: ImageData | str,
    config: DistillationConfig | None = None,
    memory: MemoryConfig | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    output: Path | None = None,
    on_update: OnUpdate | None = None,
    keep: bool = True,
) -> DistilledSet:
    """Condense the training images of a data set, and write the set with its provenance.

    Args:
        images: a data set, or its name.
        config: the distiller and its settings; None is the default one.
        memory: capacity and codec of the set.
        seed: of all that is drawn.
        device: "auto", "cpu" or "cuda".
        output: file to write (safetensors); None writes none.
        on_update: hears of the progress.
        keep: work that is stopped stays in the user's cache, and the same call goes on there.

    Raises:
        InputError: a configuration that does not fit the data; an output that is there already.
        Diverged: a loss, a pixel or a label is nan or infinite.
    """
    config, memory = config or DistillationConfig(), (memory or MemoryConfig()).settled()
    found = data.load(images) if isinstance(images, str) else images
    if output is not None and output.exists():
        raise InputError(
            f"{output}: expected a new file, found one; remove it or choose another name"
        )
    keep_freed_memory()
    log = UpdateLog(on_update)
    distiller = make_distiller(config)
    share = share_of(memory, found.spec, label_bytes(distiller, found.spec))
    job = Job(
        found.train,
        found.spec,
        {},
        seeding.generator(seed, "distillation"),
        codec=share.codec,
        device=resolve_device(device),
        on_update=log,
        keep=keep,
    )
    start = time.perf_counter()
    look = seeding.generator(seed, "filling")
    made = fill_both(distiller, job, share, look, real_share=memory.real_share)
    seconds = time.perf_counter() - start + log.seconds_saved
    stored = CodedImages.of(made, share.codec, found.spec.shape)
    one = DistilledSet(
        stored,
        config.distiller if output is None else output.stem,
        found.name,
        found.fingerprint,
        found.normalisation,
        seconds,
        network_of(config.to_dict()),
    )
    if output is not None:
        origin = provenance(one, config, memory, seed)
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in origin.items()}
        stored.save(output, texts)
    return one


def share_of(memory: MemoryConfig, spec: ImageSpec, label_bytes: int = 0) -> Share:
    """Return what each class of a set has room for.

    Args:
        memory: capacity and codec.
        spec: of the images.
        label_bytes: of one image's soft label.
    """
    wanted = memory.settled()
    assert wanted.codec is not None
    codec = parse(wanted.codec)
    codec.check(spec.shape)
    if wanted.capacity_bytes is not None:
        num_bytes = wanted.capacity_bytes // spec.num_classes
    else:
        assert wanted.images_per_class is not None
        num_bytes = wanted.images_per_class * (spec.image_bytes + label_bytes)
    return Share(spec, codec, num_bytes, label_bytes, capacity=wanted.capacity_bytes)


def provenance(
    made: DistilledSet, config: DistillationConfig, memory: MemoryConfig, seed: int
) -> dict[str, Any]:
    """Return what a set's file says of where it comes from."""
    return {
        "data": made.data,
        "fingerprint": made.fingerprint,
        "normalisation": made.normalisation,
        "seed": seed,
        "memory": memory.to_dict(),
        "distillation": config.to_dict(),
        "distil_seconds": made.distil_seconds,
        "environment": environment(),
    }


def load_set(
    path: Path | str, data_root: Path | None = None, *, check: bool = True
) -> DistilledSet:
    """Read a set that `distil` wrote, or what a run remembered in the end.

    Args:
        path: a set's file, or a run directory.
        data_root: where its data set is looked for, see `clbench.data.data_root`.
        check: hold the set's origin to the data set found there.

    Raises:
        InputError: neither of them, a set without origin, or one of other data than those here.
    """
    if not check:
        return read_set(path)
    return next(iter(load_sets([path], data_root)[0].values()))


def load_sets(
    paths: Sequence[Path | str], data_root: Path | None = None
) -> tuple[dict[str, DistilledSet], ImageData]:
    """Read sets of one data set by name, and that data set; origin and fingerprint are checked.

    Raises:
        InputError: see `load_set`; sets of several data sets, image sizes or normalisations; one
            given twice; no set at all.
    """
    if not paths:
        raise InputError("expected at least one set, found none")
    read = [read_set(path) for path in paths]
    origins = {(one.data, one.fingerprint) for one in read}
    kinds = {(one.coded.shape[-1], one.normalisation) for one in read}
    if len(origins) > 1 or not all(next(iter(origins))):
        found = ", ".join(sorted(f"{name or 'no data set'} {mark[:8]}" for name, mark in origins))
        raise InputError(
            f"expected sets that `clbench distill` made of one data set, found {found}"
        )
    if len(kinds) > 1:
        found = ", ".join(sorted(f"{size} pixels, {moments}" for size, moments in kinds))
        raise InputError(f"expected sets of one image size and normalisation, found {found}")
    (name, fingerprint), (size, normalisation) = origins.pop(), kinds.pop()
    moments: Normalisation = "imagenet" if normalisation == "imagenet" else "dataset"
    images = data.load(name, data_root, image_size=size).normalised(moments)
    if images.fingerprint != fingerprint:
        raise InputError(
            f"{paths[0]}: distilled from {name} with fingerprint {fingerprint[:8]}, but the data "
            f"here have {images.fingerprint[:8]}; choose their folder with --data-root"
        )
    return _by_name(read, paths), images


def _by_name(read: Sequence[DistilledSet], paths: Sequence[Path | str]) -> dict[str, DistilledSet]:
    names = [one.name for one in read]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise InputError("expected every SET once, found one twice")
    return dict(zip(names, read, strict=True))


def evaluate(
    name: str,
    sets: Sequence[Path | str] | Mapping[str, DistilledSet] = (),
    settings: Config | None = None,
    *,
    images: ImageData | str | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    cache: bool | Path = True,
) -> Result:
    """Evaluate sets, or a data set alone.

    Args:
        name: in the table of evaluations: "set", "offline", "cross_architecture",
            "architecture_search", or a third party's.
        sets: paths (see `load_set`), or sets by name; none for an evaluation of the data alone.
        settings: of the evaluation; None is its row's own.
        images: the data set, or its name; None is that of the sets.
        seed: decides weights, order and every random set.
        device: "auto", "cpu" or "cuda".
        workers: networks trained at once on a CPU; None is the number of cores.
        cache: keep outcomes in the user's cache, or in a directory, and take them from there.

    Raises:
        InputError: no such evaluation, sets or data that do not fit, see `Evaluation.run`.
    """
    row = EVALUATIONS.find(name)
    loaded, found = _loaded(sets, images)
    directory = cache if isinstance(cache, Path) else trials.default_directory()
    laboratory = Laboratory(
        found.train,
        found.test,
        found.spec,
        seed=seed,
        device=resolve_device(device),
        workers=workers or trials.default_workers(),
        directory=directory if cache else None,
        title=found.shown_as,
    )
    evaluation = row.make(settings or row.settings)
    evaluation.check(found.spec, seed)
    return evaluation.run(laboratory, loaded)


def _loaded(
    sets: Sequence[Path | str] | Mapping[str, DistilledSet], images: ImageData | str | None
) -> tuple[Mapping[str, DistilledSet], ImageData]:
    if not isinstance(sets, Mapping) and sets:
        loaded, found = load_sets(sets)
        return loaded, found if images is None else _images(images)
    if images is None:
        raise InputError("images: expected a data set, or paths of sets that name theirs")
    return sets if isinstance(sets, Mapping) else {}, _images(images)


def _images(images: ImageData | str) -> ImageData:
    return data.load(images) if isinstance(images, str) else images


def compare(
    runs: Sequence[Path | str | RunReport],
    *,
    baseline: str | None = None,
    group_by: Sequence[str] = ("auto",),
) -> Comparison:
    """Compare finished runs: groups over seeds, and paired tests against a baseline.

    Args:
        runs: run directories, report files or folders of runs; or reports.
        baseline: see `clbench.comparison.compare`.
        group_by: see `clbench.comparison.compare`.

    Raises:
        InputError: no run there, or see `clbench.comparison.compare`.
    """
    reports = [one for one in runs if isinstance(one, RunReport)]
    paths = [one for one in runs if not isinstance(one, RunReport)]
    found = load_runs(paths).without_repeats()[0] if paths else None
    if found is None or reports:
        every = [*reports, *(found or ())]
        return comparison.compare(every, baseline=baseline, group_by=group_by)
    return comparison.compare(found, baseline=baseline, group_by=group_by)
