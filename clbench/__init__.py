"""clbench: does a memory of distilled images beat a memory of real ones, at equal bytes?

A stream of experiences trains a learner; a distiller turns each experience into a few images, which
go into memory and are replayed; everything is measured, beside the same learner on real images. The
tour below is kept tiny so that it runs in seconds, and runs as a test.

Data first: 5,000 real digits come with an installed package, as uint8 tensors.

>>> from clbench.data import load
>>> digits = load("mnist5k")
>>> digits.train.images.shape, digits.train.images.dtype
(torch.Size([4000, 1, 28, 28]), torch.uint8)

A distiller condenses them. It is a pure function of configuration, images and generator.

>>> import torch
>>> from clbench.config import DistillationConfig, MatchingSettings, NetworkConfig
>>> from clbench.distillation import Job, make_distiller
>>> from clbench.seeding import generator
>>> cpu = torch.device("cpu")
>>> tiny = NetworkConfig("convnet", width=8, depth=2)
>>> short = MatchingSettings(num_networks=2, batch_real=16)
>>> datadam = make_distiller(DistillationConfig("datadam", tiny, settings=short))
>>> losses = []
>>> job = Job.equal(digits.train, digits.spec, 1, generator(0, "distillation"))
>>> distilled = datadam.distill(job.replace(on_update=lambda update: losses.append(update.loss)))
>>> len(distilled), distilled.classes, len(losses)
(10, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 10)

In memory it is charged what its codec writes: a byte per pixel, or a bit per pixel and less.

>>> from clbench.coded import CodedImages
>>> from clbench.codecs import parse
>>> raw, bits = (
...     CodedImages.of(distilled, parse(line), digits.spec.shape)
...     for line in ("raw", "levels:side=14,levels=2")
... )
>>> raw.num_bytes, bits.num_bytes < 300
(7840, True)

How good is it? Fresh networks are trained on it alone (here two, for a few epochs).

>>> from clbench.config import SetTrainingConfig
>>> from clbench.evaluation import evaluate_set
>>> scores = evaluate_set(
...     distilled.quantised(), digits.test, digits.spec, tiny, SetTrainingConfig(epochs=20),
...     seeds=[0, 1], device=cpu,
... )
>>> scores.num, scores.mean > 0.2
(2, True)

A run takes a strategy through a stream; its configuration is frozen and says everything.

>>> from clbench.config import BenchmarkConfig, LearnerConfig, MemoryConfig, RunConfig
>>> import clbench
>>> config = RunConfig(
...     strategy="dam_replay",
...     benchmark=BenchmarkConfig("split_mnist5k", train_per_class=50),
...     learner=LearnerConfig(NetworkConfig("mlp", width=64), learning_rate=0.1, epochs=5),
...     memory=MemoryConfig(images_per_class=5),
...     distillation=DistillationConfig(network=tiny, settings=short),
... )
>>> report = clbench.run(config, use_cache=False)
>>> report.class_groups
[[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]

Every number comes from the report: the accuracy matrix, the metrics made of it, memory and cost.

>>> len(report.accuracy_matrix), report.memory[-1]["num_images"], report.memory[-1]["num_bytes"]
(5, 50, 39200)
>>> sorted(report.metrics)[:4]
['average_accuracy', 'average_incremental_accuracy', 'bwt', 'forgetting']

A variant changes a field. With one seed it meets the same stream, weights and batches, so the two
differ in their memories alone, and those take the same bytes.

>>> random = clbench.run(config.replace(strategy="random_replay"))
>>> random.memory[-1]["num_bytes"] == report.memory[-1]["num_bytes"]
True

Without memory the learner knows little but the last experience.

>>> naive = clbench.run(config.replace(strategy="naive"))
>>> memories = min(report.metrics["average_accuracy"], random.metrics["average_accuracy"])
>>> memories > naive.metrics["average_accuracy"] + 0.2
True

`clbench.distil`, `clbench.load_set`, `clbench.evaluate` and `clbench.compare` do what the commands
of these names do. docs/ goes on from here: the command line, the concepts, the papers, measuring,
the Python interface, extending.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def _require_links() -> None:
    """Say what to do where git wrote the two links as text files (Windows, core.symlinks=false).

    An editable install maps both folders without the links, and is left alone.
    """
    from importlib.util import find_spec
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    for name in ("strategies", "benchmarks"):
        if not (root / "clbench" / name).is_file():
            continue
        spec = find_spec(f"clbench.{name}")
        if spec is None or Path(spec.origin or "").resolve().parent != root / name:
            raise ImportError(
                f"clbench/{name}: expected a link to ../{name}, found a text file, as git writes "
                "it without symbolic links; run pip install -e . here, or git config "
                "core.symlinks true && git checkout -- clbench/strategies clbench/benchmarks"
            )


_require_links()
