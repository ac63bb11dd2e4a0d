from .base import Architecture, Network
from .build import build, num_parameters
from .convnet import ConvNet
from .settings import NetworkConfig
from .table import NETWORKS, NetworkInfo, options

__all__ = [
    "NETWORKS",
    "Architecture",
    "ConvNet",
    "Network",
    "NetworkConfig",
    "NetworkInfo",
    "build",
    "num_parameters",
    "options",
]
