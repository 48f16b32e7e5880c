"""The rendering of stamps, against lenstronomy, the analytic flux and symmetry."""

import dataclasses
import math

import numpy as np
import pytest

from lens_common.mocks.prior import PRIOR
from lens_common.mocks.rendering import IsothermalLens, Scene, SersicProfile, render
from lens_common.mocks.simulator import draw_scene

from .lenstronomy_oracle import lenstronomy_counts

DARKEST_SKY_COUNTS = PRIOR.sky_sigma_quantiles_counts[0]
LENS = IsothermalLens(7.0, 0.7, 0.4, 0.05, 1.9)
SOURCE = SersicProfile(200.0, 1.5, 1.3, 0.6, 0.8, (1.0, 0.6))
GALAXY = SersicProfile(300.0, 2.5, 1.6, 0.5, 0.8, (3.0, -4.0))


def replaced(profile, **changes):
    return dataclasses.replace(profile, **changes)


def drawn(seed, is_lens):
    return draw_scene(np.random.RandomState([seed, int(is_lens)]), is_lens)[0]


def rendered(scene):
    source_counts, field_counts = render([scene])
    return np.stack([source_counts[0], field_counts[0]])


def unlensed(*profiles):
    return Scene(profiles, (), 3.4)


def lensed(*profiles, lens=LENS):
    return Scene(profiles, (), 3.4, lens)


def assert_renders_as(scene, expected):
    """Hold the worst pixel to a tenth of the darkest sky's sigma, and the flux of both parts to 1 %."""
    counts = rendered(scene)
    assert np.abs((counts - expected).sum(axis=0)).max() < 0.1 * DARKEST_SKY_COUNTS
    np.testing.assert_allclose(counts.sum(axis=(1, 2)), expected.sum(axis=(1, 2)), rtol=0.01)


# lenstronomy as the oracle, on 10 x 10 points a pixel: an odd number has one on the very centre of the lens and of some
# galaxies.  From 9 to 15 points a side its worst pixel moves by 0.02 sigma at most in 120 mocks.


@pytest.mark.parametrize("is_lens", [True, False], ids=["lens", "non-lens"])
@pytest.mark.parametrize("seed", range(10))
def test_a_mock_is_what_lenstronomy_renders(seed, is_lens):
    scene = drawn(seed, is_lens)
    assert_renders_as(scene, lenstronomy_counts(scene, 10))


HARD = {
    "round": unlensed(replaced(GALAXY, axis_ratio=1.0)),
    "flat": unlensed(replaced(GALAXY, axis_ratio=0.3)),
    "gaussian": unlensed(replaced(GALAXY, index=0.5, flux_counts=1000.0)),
    "bright": unlensed(replaced(GALAXY, flux_counts=6000.0)),
    "steep": unlensed(replaced(GALAXY, index=4.0)),
    "small": unlensed(replaced(GALAXY, index=1.0, radius_pixels=0.3)),
    "tiny on a pixel corner": unlensed(
        SersicProfile(100.0, 0.3, 4.0, 0.8, 0.3, (3.5, -4.5)), SersicProfile(300.0, 0.3, 1.0, 1.0, 0.0, (-3.5, 4.5))
    ),
    "large": unlensed(replaced(GALAXY, index=4.0, radius_pixels=8.0)),
    "beyond the edge": unlensed(replaced(GALAXY, centre_pixels=(24.0, -3.0), flux_counts=1000.0)),
    "on the corner of the stamp": unlensed(replaced(GALAXY, centre_pixels=(22.5, 22.5), flux_counts=1000.0)),
    "ring": lensed(replaced(SOURCE, centre_pixels=(0.0, 0.0)), lens=replaced(LENS, axis_ratio=0.95, shear=0.0)),
    "round lens": lensed(SOURCE, lens=replaced(LENS, axis_ratio=1.0)),
    "flat lens": lensed(SOURCE, lens=replaced(LENS, axis_ratio=0.3)),
    "strong shear": lensed(SOURCE, lens=replaced(LENS, shear=0.3)),
    "on the caustic": lensed(replaced(SOURCE, radius_pixels=0.5, centre_pixels=(0.73, 0.31))),
    "steep and lensed": lensed(replaced(SOURCE, index=4.0, centre_pixels=(2.2, 1.1))),
    "small and lensed": lensed(replaced(SOURCE, index=1.0, radius_pixels=0.3, centre_pixels=(2.2, 1.1))),
    "images at the lens centre": lensed(replaced(SOURCE, centre_pixels=(6.0, 2.0))),
    "a clump that slips past the lens centre": lensed(
        SersicProfile(30.0, 0.3, 1.0, 1.0, 0.0, (-1.34, -5.86)),
        SersicProfile(30.0, 0.3, 1.0, 1.0, 0.0, (-1.01, -6.28)),
        lens=IsothermalLens(6.643, 0.891, -1.09, 0.0174, 0.572),
    ),
    "narrow seeing": replaced(lensed(SOURCE), psf_fwhm_pixels=2.6),
    "wide seeing": replaced(lensed(SOURCE), psf_fwhm_pixels=5.0),
}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_case_is_what_lenstronomy_renders(name):
    # 10 x 10 points miss 6 % of the tiny galaxy.
    points_per_side = 20 if name.startswith("tiny") else 10
    assert_renders_as(HARD[name], lenstronomy_counts(HARD[name], points_per_side))


# Without an oracle


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.5, -0.5), (0.25, 0.25), (3.13, -2.71)])
@pytest.mark.parametrize("index", [0.5, 1.0, 1.6, 4.0])
def test_a_small_galaxy_keeps_its_flux_wherever_it_sits(index, centre):
    counts = rendered(unlensed(SersicProfile(6000.0, 0.3, index, 0.5, 0.8, centre)))
    assert counts.sum() == pytest.approx(6000.0, rel=0.01)


def test_a_faint_galaxy_keeps_its_flux():
    counts = rendered(unlensed(SersicProfile(1.0, 0.3, 1.0, 0.5, 0.8, (3.13, -2.71))))
    assert counts.sum() == pytest.approx(1.0, rel=0.01)


def test_a_lens_without_mass_changes_nothing():
    no_mass = IsothermalLens(0.0, 0.7, 0.4, 0.0, 0.0)
    # Cells near the middle are divided where there is a lens.
    np.testing.assert_allclose(rendered(lensed(GALAXY, lens=no_mass)), rendered(unlensed(GALAXY)), atol=0.01)


def test_a_sheet_of_light_keeps_its_brightness_behind_a_lens():
    # A Gaussian so wide that its brightness changes by less than 1 % within 30 pixels.
    sheet = SersicProfile(1e6, 400.0, 0.5, 1.0, 0.0, (0.0, 0.0))
    counts, alike = rendered(lensed(sheet))[0], rendered(unlensed(sheet))[0]
    np.testing.assert_allclose(counts, alike, rtol=0.01)


def transposed(part):
    """Swap x and y."""
    angles = {
        field.name: 0.5 * math.pi - getattr(part, field.name)
        for field in dataclasses.fields(part)
        if field.name.endswith("angle_radians")
    }
    return replaced(part, **angles, **({"centre_pixels": part.centre_pixels[::-1]} if hasattr(part, "index") else {}))


def test_x_and_y_are_treated_alike():
    counts = rendered(lensed(SOURCE, GALAXY))[0]
    mirrored = rendered(lensed(transposed(SOURCE), transposed(GALAXY), lens=transposed(LENS)))[0]
    np.testing.assert_allclose(mirrored, counts.T, atol=1e-3)


def quarter_turn(part):
    """Turn by 90 degrees from the x axis towards the y axis."""
    angles = {
        field.name: 0.5 * math.pi + getattr(part, field.name)
        for field in dataclasses.fields(part)
        if field.name.endswith("angle_radians")
    }
    if not hasattr(part, "index"):
        return replaced(part, **angles)
    x, y = part.centre_pixels
    return replaced(part, **angles, centre_pixels=(-y, x))


def test_a_turned_scene_is_the_turned_stamp():
    counts = rendered(lensed(SOURCE, GALAXY))[0]
    turned = rendered(lensed(quarter_turn(SOURCE), quarter_turn(GALAXY), lens=quarter_turn(LENS)))[0]
    # Rows grow downwards, so numpy's turn goes from x to y as k = -1.
    np.testing.assert_allclose(turned, np.rot90(counts, -1), atol=1e-3)


def test_twice_the_flux_is_twice_the_counts():
    once, twice = (rendered(unlensed(replaced(GALAXY, flux_counts=flux))) for flux in (3000.0, 6000.0))
    np.testing.assert_allclose(twice, 2.0 * once, atol=0.05)


def test_field_galaxies_are_not_lensed():
    source_counts, field_counts = rendered(Scene((SOURCE,), (GALAXY,), 3.4, LENS))
    np.testing.assert_array_equal(field_counts, rendered(unlensed(GALAXY))[0])
    np.testing.assert_array_equal(source_counts, rendered(lensed(SOURCE))[0])


def test_an_empty_scene_is_dark():
    np.testing.assert_array_equal(rendered(Scene((), (), 3.4, LENS)), np.zeros((2, 45, 45)))


def test_a_scene_gives_the_same_bytes_alone_and_among_others():
    scenes = [drawn(seed, seed % 2 == 0) for seed in range(8)]
    together = np.stack(render(scenes), axis=1)
    assert together.shape == (8, 2, 45, 45) and together.dtype == np.float64
    assert [counts.tobytes() for counts in together] == [rendered(scene).tobytes() for scene in scenes]


@pytest.mark.parametrize("fwhm", [1.9, 0.0, -3.0, math.nan])
def test_seeing_too_narrow_for_the_cells_is_refused(fwhm):
    with pytest.raises(ValueError, match="psf_fwhm_pixels of 2 or more"):
        render([replaced(unlensed(GALAXY), psf_fwhm_pixels=fwhm)])
