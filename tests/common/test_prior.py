"""The prior: what it promises of its own numbers."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.mocks.prior import LEAK_CONTROLLED, PRIOR, find_priors, prior_hash

QUANTILE_PAIRS = [
    (PRIOR.sky_sigma_quantiles_counts, PRIOR.sky_sigma_probabilities),
    (PRIOR.z_lens_quantiles, PRIOR.z_lens_probabilities),
    (PRIOR.cutout_total_quantiles_counts, PRIOR.cutout_total_probabilities),
]


def test_the_prior_is_named_after_its_survey():
    assert PRIOR.name == "lsst-2017"


def test_the_prior_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRIOR.gain = 1.0


@pytest.mark.parametrize("quantiles, probabilities", QUANTILE_PAIRS)
def test_quantiles_and_their_probabilities_rise_together(quantiles, probabilities):
    assert len(quantiles) == len(probabilities)
    assert np.all(np.diff(quantiles) > 0) and np.all(np.diff(probabilities) > 0)


@pytest.mark.parametrize("quantiles, probabilities", QUANTILE_PAIRS)
def test_quantiles_reach_from_probability_0_to_1(quantiles, probabilities):
    assert (probabilities[0], probabilities[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("sky_sigma, fraction_above", [(5.0, 0.035), (9.0, 0.025)])
def test_the_sky_noise_has_the_measured_tail(sky_sigma, fraction_above):
    below = np.interp(sky_sigma, PRIOR.sky_sigma_quantiles_counts, PRIOR.sky_sigma_probabilities)
    assert 1.0 - below == pytest.approx(fraction_above)


def test_the_hash_is_the_head_of_the_sha256_of_sorted_json():
    text = json.dumps(dataclasses.asdict(PRIOR), sort_keys=True)
    assert prior_hash(PRIOR) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_changed_number_inside_a_population_changes_the_hash():
    changed = dataclasses.replace(PRIOR, lens_field=dataclasses.replace(PRIOR.lens_field, slope=1.0))
    assert prior_hash(changed) != prior_hash(PRIOR)


def test_a_mixture_has_a_hash_of_its_own_and_order_counts():
    both, turned = (PRIOR, LEAK_CONTROLLED), (LEAK_CONTROLLED, PRIOR)
    assert len({prior_hash(PRIOR), prior_hash(LEAK_CONTROLLED), prior_hash(*both), prior_hash(*turned)}) == 4


def test_populations_are_found_by_name_and_others_refused():
    assert find_priors(["leak-controlled", "lsst-2017"]) == (LEAK_CONTROLLED, PRIOR)
    for names in (["nonsense"], [""], []):
        with pytest.raises(UserError, match="no population named .*lsst-2017, leak-controlled"):
            find_priors(names)
