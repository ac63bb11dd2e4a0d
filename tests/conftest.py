"""What every test may use; no test reaches the network or the user's cache."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from clbench.types import ImageSpec, LabelledImages

# Read once: the tests' environment does not show it, so that no result depends on it unasked.
_DATA = os.environ.get("CLBENCH_DATA")
_LOCAL = {"localhost", "127.0.0.1", "::1", ""}


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


# A busy machine must not fail a test, and a failure must be one that comes back.
settings.register_profile("clbench", deadline=None, derandomize=True)
settings.load_profile("clbench")
torch.set_num_threads(1)  # the tests' tensors are too small to share among threads
if "PYTEST_XDIST_WORKER" in os.environ:  # and the commands that a worker starts leave others room
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _sealed(monkeypatch: pytest.MonkeyPatch, session_cache: Path) -> None:
    monkeypatch.setenv("CLBENCH_CACHE", str(session_cache))
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def local_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in _LOCAL:
            raise OSError(f"a test tried to connect to {address}")
        connect(self, address)

    def local_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and host not in _LOCAL and host != socket.gethostname():
            raise socket.gaierror(f"a test tried to look up {host}")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", local_connect)
    monkeypatch.setattr(socket, "getaddrinfo", local_getaddrinfo)


@pytest.fixture
def tiny_spec() -> ImageSpec:
    """8 x 8 grey images of 4 classes."""
    return ImageSpec(1, 8, 8, 4, (0.35,), (0.25,), ("a", "b", "c", "d"), "color_crop_scale")


@pytest.fixture
def tiny_images(tiny_spec: ImageSpec) -> LabelledImages:
    """20 noisy images of each class; class k has a bright quadrant k, so any network separates."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(tiny_spec.num_classes).repeat(20)
    images = torch.randint(0, 100, (len(labels), *tiny_spec.shape), generator=draw)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[:, row : row + 4, column : column + 4] += 155
    return LabelledImages(images.to(torch.uint8), labels)


def _real_data(pattern: str) -> Path:
    """The folder that ``CLBENCH_DATA`` names, where it holds the pattern; else a clear skip."""
    root = Path(_DATA).expanduser().resolve() if _DATA else None
    if root is None or not list(root.glob(pattern)):
        pytest.skip(f"needs real data: set CLBENCH_DATA to a folder that holds {pattern}")
    return root


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder of the real MNIST."""
    return _real_data("MNIST/raw/train-images-idx3-ubyte*")


@pytest.fixture(scope="session")
def standin_root() -> Path:
    """Real histology images in MHIST's layout; not MHIST."""
    return _real_data("MHIST_standin/annotations.csv") / "MHIST_standin"
