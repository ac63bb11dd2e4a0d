from __future__ import annotations

from pathlib import Path

import pytest

from clbench import data


@pytest.mark.real_data
def test_real_mnist(real_data_root: Path) -> None:
    loaded = data.load("mnist", real_data_root)
    assert (len(loaded.train), len(loaded.test)) == (60000, 10000)
    pixels = loaded.train.images.float() / 255
    assert pixels.mean().item() == pytest.approx(loaded.spec.mean[0], abs=5e-5)
    assert pixels.std().item() == pytest.approx(loaded.spec.std[0], abs=5e-5)
    assert loaded.train.labels.bincount().tolist()[:3] == [5923, 6742, 5958]
    assert loaded.fingerprint == "1e35582d42a90940c55b956deb61875c020b567ed20e3c5b174f52bf7809ed9b"
    assert all(check.ok for check in data.verify("mnist", real_data_root))
