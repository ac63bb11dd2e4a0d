"""A stock Avalanche strategy replays distilled images: only the storage policy is ours."""

import torch

from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig, DistillationConfig, MatchingSettings, NetworkConfig
from clbench.memory import DistilledMemory

from avalanche.models import SimpleMLP  # isort: skip  (importing clbench.memory prepares Avalanche)
from avalanche.training.plugins import ReplayPlugin  # isort: skip
from avalanche.training.supervised import Naive  # isort: skip

torch.manual_seed(0)
benchmark = make_benchmark(BenchmarkConfig("split_mnist5k"))
network = NetworkConfig("convnet", width=16, depth=3)
short = MatchingSettings(num_networks=2)  # a real run takes 80 or more
datadam = DistillationConfig("datadam", network, settings=short)
memory = DistilledMemory(datadam, benchmark.spec, images_per_class=10)
model = SimpleMLP(num_classes=10, hidden_size=400, drop_rate=0)
strategy = Naive(
    model=model,
    optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
    train_mb_size=64,
    eval_mb_size=500,
    plugins=[ReplayPlugin(mem_size=memory.max_size, storage_policy=memory)],
)
for experience in benchmark.streams.train:
    strategy.train(experience)
    print(f"memory: {len(memory.contents())} images, {memory.stored().num_bytes} bytes")
strategy.eval(benchmark.streams.test)
