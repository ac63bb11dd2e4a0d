"""Which stream: a data set dealt out by classes or by domains, as Avalanche experiences.

Each benchmark is an entry of `BENCHMARKS`; another distribution adds its own by an entry point in
the group ``clbench.benchmarks`` whose object is a `BenchmarkInfo`.
"""

if __name__ != "clbench.benchmarks":
    # A second name would make a second copy of every class.
    raise ImportError(f"import this package as clbench.benchmarks, not as {__name__}")

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
