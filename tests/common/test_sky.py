"""A sky level is seen, said, refused where it is far, and taken off where that is asked for."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lens_common import make_mocks
from lens_common.cli import run_command_line
from lens_common.data.domain import Domain, describe_pixels, sky_levels, subtract_sky, unit_warnings
from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError

NOISE = 4.0
DOMAIN = Domain(1, 45, 0.18, 30.0, (3.0, 4.0, 5.0), (-0.02, 0.1, 0.3), 0.09, "sigma")


@pytest.fixture(scope="module")
def mocks(tmp_path_factory):
    return load_stamps(make_mocks(tmp_path_factory.mktemp("sky") / "mocks", 60, seed=3))


def with_sky(stamps, counts):
    return replace(stamps, pixels=np.asarray(stamps.pixels) + np.float32(counts))


def test_the_level_is_the_median_over_the_noise_of_the_band_furthest_from_zero():
    pixels = np.random.RandomState(0).normal(0, NOISE, (3, 2, 45, 45)).astype(np.float32)
    pixels[1, 0] += 2 * NOISE
    pixels[2, 1] -= 3 * NOISE
    assert sky_levels(pixels) == pytest.approx([0, 2, -3], abs=0.15)


def test_a_stamp_without_noise_has_no_level():
    assert np.isnan(sky_levels(np.ones((1, 1, 9, 9), np.float32))).all()


def test_mocks_as_they_are_are_not_warned_of(mocks):
    assert unit_warnings(mocks, DOMAIN) == []


@pytest.mark.parametrize("counts", [2, -2, 10])
def test_a_level_beyond_the_training_is_a_warning_that_names_both(mocks, counts):
    (sentence,) = unit_warnings(with_sky(mocks, counts), DOMAIN)
    level = np.median(sky_levels(with_sky(mocks, counts).pixels))
    assert f"the sky level of {mocks.folder} is {level:+.2f} times the noise" in sentence
    assert "-0.02 to +0.30" in sentence and "`subtract_sky`" in sentence


@pytest.mark.parametrize("counts", [15, -15, 1000])
def test_a_level_ten_times_beyond_is_refused(mocks, counts):
    with pytest.raises(UserError, match="the sky level of .*: subtract it with `subtract_sky`"):
        unit_warnings(with_sky(mocks, counts), DOMAIN)


@pytest.mark.parametrize("counts", [10, 1000])
def test_a_network_that_subtracts_the_sky_itself_is_warned_of_and_never_refused(mocks, counts):
    (sentence,) = unit_warnings(with_sky(mocks, counts), replace(DOMAIN, scaling="sky-sigma"))
    assert "the sky level of" in sentence and "-0.02 to +0.30" in sentence and "subtracts the sky" in sentence


@pytest.mark.parametrize("counts", [0, 1, -10, 1000])
def test_whatever_was_added_is_gone_once_it_is_subtracted(mocks, counts):
    plain, subtracted = subtract_sky(mocks), subtract_sky(with_sky(mocks, counts))
    np.testing.assert_allclose(subtracted.pixels, plain.pixels, atol=2e-3)  # float32 at 1000 counts
    assert subtracted.sky_subtracted and subtracted.changes == {"sky_subtracted": True}
    assert subtracted.data_hash == mocks.data_hash


def test_what_is_left_is_what_the_training_had(mocks):
    levels = sky_levels(subtract_sky(with_sky(mocks, 50), residual=0.5).pixels)
    assert np.median(levels) == pytest.approx(0.5, abs=0.06)


def test_a_training_keeps_its_levels():
    pixels = np.random.RandomState(1).normal(2 * NOISE, NOISE, (50, 1, 45, 45)).astype(np.float32)
    about = describe_pixels(pixels)
    assert about["sky"] == pytest.approx([2, 2, 2], abs=0.25) and about["sky"] == sorted(about["sky"])
    assert about["residual_sky"] == pytest.approx(2, abs=0.05)


def test_inspect_shows_the_level_and_takes_it_off(mocks, capsys):
    backend = SimpleNamespace(NAME="test", add_options=lambda *_, **__: None, configure=lambda _: None)
    lines = []
    for options in ([], ["--subtract-sky"]):
        assert run_command_line(backend, ["inspect", mocks.folder, *options]) == 0
        lines += [line for line in capsys.readouterr().out.splitlines() if line.startswith("sky level / noise")]
    assert len(lines) == 2 and lines[0] != lines[1]
