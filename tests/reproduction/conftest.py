"""What the tests of the reproduction share: its scripts, and folders of stamps in the 2018 layout."""

import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parents[2] / "reproduction"))


@pytest.fixture
def write_stamps(tmp_path, monkeypatch):
    """Write stamps (N, H, W) below a folder, lenses apart from non-lenses; the cache is the test's own."""
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / "cache"))

    def write(name, stamps, labels=None):
        for number, stamp in enumerate(stamps):
            kind = "" if labels is None else "lensed_outputs/0" if labels[number] else "unlensed_outputs/0"
            path = tmp_path / name / kind / f"stamp{number}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.writeto(path, np.asarray(stamp, np.float32))
        return str(tmp_path / name)

    return write
