from .benchmark import Benchmark, Streams, make_benchmark
from .table import BENCHMARKS, BenchmarkInfo, Domains, info, names

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "BenchmarkInfo",
    "Domains",
    "Streams",
    "info",
    "make_benchmark",
    "names",
]
