"""The name of one distillation: what is kept of it on disk is found by that."""

from __future__ import annotations

from dataclasses import asdict

from clbench.distillation.protocol import Job
from clbench.distillation.settings import DistillationConfig
from clbench.store.fingerprint import digest, identity, name_of, software
from clbench.store.sources import sources_of


def work_name(config: DistillationConfig, kind: type, job: Job) -> str:
    """Return the name (hex) of one `Distiller.distill`: all that its result depends on.

    Its own method's settings and sources count, those of other methods do not.

    Args:
        config: the whole configuration of the distiller.
        kind: the distiller's class; its module and all that it imports count, and those of the
            job's codec.
        job: before anything was drawn from its generator.
    """
    sources = {*sources_of(kind.__module__), *sources_of(type(job.codec).__module__)}
    work = {
        "distiller": config.to_dict(),
        "spec": asdict(job.spec),
        "counts": sorted(job.counts.items()),
        "codec": job.codec.name,
        "generator": digest(job.generator.get_state()),
        "real": identity(job.real),
        "known": identity(job.known),
        "software": software(job.device, tuple(sorted(sources))),
    }
    return name_of(work)
