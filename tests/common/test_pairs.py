"""Lenses and the same stamps without lensing: how they are made, found and judged."""

import dataclasses

import numpy as np
import pytest
from astropy.table import Table
from sklearn.metrics import roc_auc_score

from lens_common.data.catalogue import read_catalogue
from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError
from lens_common.mocks.prior import LEAK_CONTROLLED, PRIOR, FieldPopulation
from lens_common.mocks.simulator import draw_scene, simulate_stamp
from lens_common.mocks.writer import make_mocks
from lens_common.scores.pairs import find_pairs, judge_pairs

NO_FIELD = FieldPopulation(number_at_100_counts=0.0, slope=1.0, flux_min_counts=50.0)
N_QUANTILES = len(PRIOR.sky_sigma_quantiles_counts)
# The source alone: a sky and photons that make no noise.
QUIET = dataclasses.replace(
    PRIOR, lens_field=NO_FIELD, sky_sigma_quantiles_counts=(1e-6,) * N_QUANTILES, gain=1e12, companion_fraction=0.0
)


@pytest.mark.parametrize("seed", range(6))
def test_without_lensing_the_source_is_as_bright_and_lies_where_it_was_drawn(seed):
    lens, again = (simulate_stamp(seed, True, QUIET, lensing=lensing) for lensing in (True, False))
    assert again.stamp.sum() == pytest.approx(lens.stamp.sum(), rel=0.02)
    scene, _ = draw_scene(np.random.RandomState([seed, 1]), True, QUIET)
    axis = np.arange(45) - 22.0
    middle = [(again.stamp.sum(axis=direction) * axis).sum() / again.stamp.sum() for direction in (0, 1)]
    drawn = np.average([p.centre_pixels for p in scene.source], axis=0, weights=[p.flux_counts for p in scene.source])
    np.testing.assert_allclose(middle, drawn, atol=0.3)
    assert (again.is_lens, again.einstein_radius_arcsec, again.truth.magnification) == (False, 0, 1)
    assert again.source_flux_counts == pytest.approx(lens.truth.magnification * lens.source_flux_counts, rel=1e-6)


def test_all_but_the_source_stays_to_the_last_bit():
    faint = dataclasses.replace(PRIOR, source_flux_range_counts=(1e-12, 1e-12))
    lens, again = (simulate_stamp(5, True, faint, lensing=lensing) for lensing in (True, False))
    np.testing.assert_array_equal(lens.stamp, again.stamp)


def test_a_non_lens_has_no_lensing_to_lose():
    stamps = [simulate_stamp(5, False, PRIOR, lensing=lensing).stamp for lensing in (True, False)]
    np.testing.assert_array_equal(*stamps)


def test_a_set_in_pairs_holds_each_lens_once_more(tmp_path):
    folder = make_mocks(tmp_path / "pairs", 10, seed=3, prior=[PRIOR, LEAK_CONTROLLED], workers=1, pairs=True)
    stamps = load_stamps(folder)
    lenses, unlensed, known = find_pairs(stamps.ids, read_catalogue(folder))
    assert len(lenses) == len(set(lenses)) == len(set(unlensed)) == 5
    np.testing.assert_array_equal(stamps.labels[lenses], 1)
    np.testing.assert_array_equal(stamps.labels[unlensed], 0)
    assert (known["einstein_radius"] > 0).all() and (known["snr"] > 0).all()
    alone = make_mocks(tmp_path / "alone", 10, seed=3, prior=[PRIOR, LEAK_CONTROLLED], workers=1)
    assert sorted(stamps.digests[lenses]) == sorted(load_stamps(alone).digests[load_stamps(alone).labels == 1])
    with pytest.raises(UserError, match="pairs True, asked are mocks of pairs None"):
        make_mocks(folder, 10, seed=3, prior=[PRIOR, LEAK_CONTROLLED], workers=1)
    with pytest.raises(UserError, match="no lens has its like"):
        find_pairs(load_stamps(alone).ids, read_catalogue(alone))


def test_an_odd_number_makes_no_pairs(tmp_path):
    with pytest.raises(UserError, match="even number"):
        make_mocks(tmp_path / "odd", 7, pairs=True)


def test_a_stamp_whose_other_side_was_set_aside_is_left_out():
    catalogue = Table({"id": ["l0", "l1", "u0", "u1"], "is_lens": [1, 1, 0, 0], "seed": [7, 8, 7, 8]})
    catalogue["einstein_radius"], catalogue["snr"] = [1.0, 2.0, 0.0, 0.0], [5.0, 6.0, 7.0, 8.0]
    lenses, unlensed, known = find_pairs(["u0", "l1", "l0"], catalogue)
    assert (lenses.tolist(), unlensed.tolist(), known["snr"].tolist()) == ([2], [0], [5.0])


@pytest.fixture
def scores():
    """Of 300 pairs; both sides share much of what makes them score."""
    random = np.random.RandomState(2)
    shared = random.normal(size=300)
    lensed, unlensed = (1 / (1 + np.exp(-(shared + random.normal(size=300) + shift))) for shift in (0.5, 0))
    return lensed, unlensed, {"einstein_radius": random.uniform(0.2, 3, 300), "snr": random.uniform(1, 100, 300)}


def test_shares_and_areas_are_those_of_counting(scores):
    lensed, unlensed, known = scores
    rows = {row["pairs"]: row for row in judge_pairs(lensed, unlensed, known)}
    assert rows["all"]["outranks"] == np.mean(lensed > unlensed) and rows["all"]["ties"] == 0
    expected = roc_auc_score(np.repeat([1, 0], 300), np.concatenate([lensed, unlensed]))
    assert rows["all"]["auroc"] == pytest.approx(expected, abs=1e-12)
    plain = (known["einstein_radius"] > 1) & (known["snr"] > 20)
    assert rows["radius > 1 arcsec and S/N > 20"]["n"] == plain.sum()
    assert rows["S/N from 40"]["outranks"] == np.mean((lensed > unlensed)[known["snr"] >= 40])
    assert sum(row["n"] for words, row in rows.items() if words.startswith("radius ") and " to " in words) == 300


def test_the_interval_of_the_area_is_that_of_resampled_pairs(scores):
    lensed, unlensed, known = scores
    row = judge_pairs(lensed, unlensed, known)[0]
    random, areas = np.random.RandomState(3), []
    for _ in range(2000):
        chosen = random.randint(0, 300, 300)
        areas.append((lensed[chosen][:, None] > unlensed[chosen]).mean())
    low, high = np.quantile(areas, (0.025, 0.975))
    assert row["auroc_high"] - row["auroc_low"] == pytest.approx(high - low, rel=0.1)


def test_equal_scores_are_ties_and_no_wins():
    known = {"einstein_radius": np.ones(4), "snr": np.ones(4)}
    row = judge_pairs(np.full(4, 0.5), np.full(4, 0.5), known)[0]
    assert (row["ties"], row["outranks"], row["auroc"]) == (4, 0, 0.5)
    assert row["auroc_low"] < 0.5 < row["auroc_high"]
