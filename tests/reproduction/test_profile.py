"""Stamps that hold no more than a one-dimensional profile."""

import numpy as np
import pytest

from experiments.reproduction.profile import azimuthal_average, make_profiles
from experiments.reproduction.study import prepare_sets
from lens_common.data.stamps import load_stamps
from lens_common.mocks.writer import make_mocks


def distance():
    offset = np.arange(45) - 22
    return np.rint(np.hypot(offset[:, None], offset[None]))


def test_without_noise_every_ring_has_the_mean_of_its_pixels():
    stamp = np.random.default_rng(1).normal(3, 2, (45, 45))
    flat = azimuthal_average(stamp, 0.0, np.random.default_rng(2))
    for ring in np.unique(distance()):
        pixels = flat[distance() == ring]
        assert np.ptp(pixels) == 0 and pixels[0] == pytest.approx(stamp[distance() == ring].mean(), rel=1e-6)


def test_an_arc_becomes_a_ring_of_the_same_light():
    stamp = np.zeros((45, 45))
    stamp[22, 32] = 100.0
    flat = azimuthal_average(stamp, 0.0, np.random.default_rng(2))
    on_ring = distance() == 10
    assert flat[on_ring].sum() == pytest.approx(100, rel=1e-5) and (flat[~on_ring] == 0).all()


def test_pixels_keep_the_noise_of_the_stamp():
    noise = np.random.default_rng(3).normal(0, 3.5, (200, 45, 45))
    flat = np.array([azimuthal_average(stamp, 3.5, np.random.default_rng(i)) for i, stamp in enumerate(noise)])
    # 405,000 pixels: the standard deviation is known to about 0.2 per cent, at the centre (200) to 5.
    assert flat.std() == pytest.approx(3.5, rel=0.01)
    assert flat[:, 22, 22].std() == pytest.approx(3.5, rel=0.2)


def test_a_set_of_profiles_has_the_ids_and_labels_of_its_mocks_and_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / "cache"))
    whole = make_mocks(tmp_path / "whole", 6, 3)
    make_profiles(whole, tmp_path / "flat")
    before, after = load_stamps(whole), load_stamps(tmp_path / "flat")
    assert (before.ids == after.ids).all() and (before.labels == after.labels).all()
    assert not np.array_equal(before.pixels, after.pixels)
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "flat").rglob("*.gz")}
    make_profiles(whole, tmp_path / "flat")
    assert first == {path: path.stat().st_mtime_ns for path in (tmp_path / "flat").rglob("*.gz")}
    make_profiles(whole, tmp_path / "again")
    assert np.array_equal(load_stamps(tmp_path / "again").pixels, after.pixels)


def test_the_study_makes_the_sets_of_profiles_that_its_plan_names(tmp_path, monkeypatch):
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / "cache"))
    plan = {"sets": {}, "mocks": {"flat": {"n_stamps": 4, "seed": 5, "azimuthal_average": True}}}
    folder = prepare_sets(plan, tmp_path)["flat"]
    whole, flat = load_stamps(make_mocks(tmp_path / "whole", 4, 5)), load_stamps(folder)
    assert (whole.ids == flat.ids).all()
    on_ring = distance() == 12
    # The light of a ring is that of the mock, give or take the noise that each pixel got back.
    expected = whole.pixels[:, 0][:, on_ring].mean(axis=1)
    assert flat.pixels[:, 0][:, on_ring].mean(axis=1) == pytest.approx(expected, abs=4 * 3.6 / on_ring.sum() ** 0.5)
