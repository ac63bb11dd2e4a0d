"""The networks that learn, distil and evaluate; made by `build` from a `NetworkConfig`."""

from clbench.networks.base import Architecture, Network
from clbench.networks.convnet import ConvNet
from clbench.networks.table import GROUP, NETWORKS, NetworkInfo, build, num_parameters, options

__all__ = [
    "GROUP",
    "NETWORKS",
    "Architecture",
    "ConvNet",
    "Network",
    "NetworkInfo",
    "build",
    "num_parameters",
    "options",
]
