"""Occlusion maps of scorers simple enough to know the answer by hand, and of others by a slow loop."""

import numpy as np
import pytest

from lens_common.errors import UserError
from lens_common.scores import occlusion
from lens_common.scores.occlusion import occlusion_maps


def make_stamps(n_stamps=2, n_bands=1, height=9, width=9, seed=0):
    return np.random.RandomState(seed).normal(10, 3, (n_stamps, n_bands, height, width)).astype(np.float32)


def map_by_brute_force(score, stamp, patch, tops, lefts):
    """Ask for each pixel which of the patches cover it, and score the stamp anew for each of them."""
    n_bands, height, width = stamp.shape
    expected = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            losses = []
            for top in tops:
                for left in lefts:
                    if top <= y < top + patch and left <= x < left + patch:
                        hidden = stamp.copy()
                        for band in range(n_bands):
                            ordered = sorted(stamp[band].ravel().tolist())
                            middle = len(ordered) // 2
                            median = ordered[middle]
                            if len(ordered) % 2 == 0:
                                median = (ordered[middle - 1] + ordered[middle]) / 2
                            hidden[band, top : top + patch, left : left + patch] = median
                        losses.append(float(score(stamp[None])[0]) - float(score(hidden[None])[0]))
            expected[y, x] = sum(losses) / len(losses)
    return expected


def test_a_scorer_of_one_pixel_is_mapped_around_that_pixel():
    stamps = np.full((1, 1, 5, 5), 10, np.float32)
    stamps[0, 0, 2, 2] = 14  # the median stays 10: a patch over the centre costs 4
    # Patches of 3 begin at 0, 1, 2 and all cover the centre.
    assert np.array_equal(occlusion_maps(lambda x: x[:, 0, 2, 2], stamps, 3, 1)[0], np.full((5, 5), 4))


def test_a_pixel_gets_the_mean_over_the_patches_that_cover_it():
    stamps = np.zeros((1, 1, 4, 4), np.float32)
    stamps[0, 0, 0, 0] = 12  # the median stays 0
    # Patches of 2 begin at 0, 1, 2; the first alone hides the corner and costs 12.
    # Pixel 0 of an axis lies in one position of it, pixel 1 in two: means over 1, 2 and 4 patches.
    expected = [[12, 6, 0, 0], [6, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert occlusion_maps(lambda x: x[:, 0, 0, 0], stamps, 2, 1)[0].tolist() == expected


def test_a_patch_of_one_pixel_maps_a_linear_scorer_to_weight_times_pixel_above_the_median():
    stamps = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)  # the median is 5
    weights = np.array([[1, -1, 0], [2, 3, -2], [0, 0.5, 1]])
    expected = [[-4, 3, 0], [-2, 0, -2], [0, 1.5, 4]]
    assert occlusion_maps(lambda x: (x[:, 0] * weights).sum(axis=(1, 2)), stamps, 1, 1)[0].tolist() == expected


def test_the_map_is_positive_where_a_lens_loses_evidence_and_negative_where_it_gains():
    stamps = np.zeros((1, 1, 6, 6), np.float32)
    stamps[0, 0, 0, 0], stamps[0, 0, 5, 5] = 1, 1
    losses = occlusion_maps(lambda x: 0.5 + 0.25 * x[:, 0, 0, 0] - 0.125 * x[:, 0, 5, 5], stamps, 2, 2)[0]
    assert (losses[0, 0], losses[5, 5], losses[3, 3]) == (0.25, -0.125, 0)


def test_a_constant_scorer_gives_zeros():
    losses = occlusion_maps(lambda x: np.full(len(x), 0.3), make_stamps())
    assert losses.shape == (2, 9, 9)
    assert not losses.any()


@pytest.mark.parametrize(
    "height, width, patch, stride, tops, lefts",
    [
        (9, 9, 5, 2, [0, 2, 4], [0, 2, 4]),
        (8, 10, 5, 2, [0, 2, 3], [0, 2, 4, 5]),  # the last step is shortened to the edge
        (7, 5, 3, 3, [0, 3, 4], [0, 2]),
        (6, 6, 6, 4, [0], [0]),
    ],
)
def test_any_scorer_is_mapped_as_by_brute_force(height, width, patch, stride, tops, lefts):
    stamps = make_stamps(2, 2, height, width)
    weights = np.random.RandomState(1).normal(0, 0.05, (2, height, width))

    def score(x):
        return 0.5 + 0.5 * np.tanh((weights * (x - 10)).sum(axis=(1, 2, 3)))

    losses = occlusion_maps(score, stamps, patch, stride)
    for stamp, found in zip(stamps, losses):
        expected = map_by_brute_force(score, stamp, patch, tops, lefts)
        assert np.abs(expected).max() > 0.01
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("side, patch, stride", [(9, 4, 3), (10, 4, 4), (45, 5, 2), (7, 1, 1)])
def test_every_pixel_is_hidden_at_least_once(side, patch, stride):
    stamps = 100 + np.arange(side * side, dtype=np.float32).reshape(1, 1, side, side)
    hidden = np.zeros((side, side), bool)

    def score(x):
        hidden[(x[:, 0] != stamps[0, 0]).any(axis=0)] = True
        return np.zeros(len(x))

    occlusion_maps(score, stamps, patch, stride)
    where_median = stamps[0, 0] == np.median(stamps)  # hiding that pixel changes nothing
    assert (hidden | where_median).all()


def test_all_bands_are_hidden_together_each_by_its_own_median():
    stamps = np.stack([np.full((1, 3, 3), value, np.float32) for value in (10, 70)], axis=1)
    stamps[0, :, 1, 1] = 11, 90
    seen = []
    occlusion_maps(lambda x: (seen.append(x.copy()), np.zeros(len(x)))[1], stamps, 1, 1)
    centre_hidden = np.concatenate(seen)[1 + 4]  # after the whole stamp and four patches
    assert np.array_equal(centre_hidden, np.stack([np.full((3, 3), 10), np.full((3, 3), 70)]))


def test_the_scorer_sees_float32_counts_in_batches_of_a_bounded_size(monkeypatch):
    monkeypatch.setattr(occlusion, "CHUNK", 7)
    stamps = make_stamps(3, 1, 9, 9)
    batches = []

    def score(x):
        batches.append((len(x), x.dtype))
        return x[:, 0, 4, 4]

    in_parts = occlusion_maps(score, stamps.astype(np.float64), 3, 1)
    assert max(batches)[0] == 7
    assert sum(size for size, _ in batches) == 3 * (1 + 7 * 7)
    assert {dtype for _, dtype in batches} == {np.dtype(np.float32)}
    monkeypatch.undo()
    assert np.array_equal(in_parts, occlusion_maps(score, stamps, 3, 1))


def test_a_large_stamp_is_scored_a_few_thousand_patches_at_a_time():
    sizes = []

    def score(x):
        sizes.append(len(x))
        return np.zeros(len(x))

    occlusion_maps(score, make_stamps(1, 1, 80, 80), 5, 1)
    assert sum(sizes) == 1 + 76 * 76
    assert max(sizes) <= 4000


def test_the_stamps_stay_as_they_are():
    stamps = make_stamps()
    before = stamps.copy()
    occlusion_maps(lambda x: x[:, 0, 0, 0], stamps)
    assert np.array_equal(stamps, before)


def test_no_stamps_give_no_maps():
    losses = occlusion_maps(lambda x: x[:, 0, 0, 0], make_stamps(0))
    assert (losses.shape, losses.dtype) == ((0, 9, 9), np.float32)


def test_stamps_without_a_band_axis_are_refused_with_their_shape():
    with pytest.raises(UserError, match=r"\(N, bands, H, W\), got \(2, 9, 9\); add"):
        occlusion_maps(len, make_stamps()[:, 0])


@pytest.mark.parametrize("patch", [0, -1, 8])
def test_a_patch_that_does_not_fit_is_refused_with_the_range(patch):
    with pytest.raises(UserError, match=f"patch_pixels must be from 1 to 7.*got {patch}$"):
        occlusion_maps(len, make_stamps(height=7), patch, 1)


@pytest.mark.parametrize("stride", [0, -2, 4])
def test_a_stride_that_stands_still_or_leaves_pixels_out_is_refused(stride):
    with pytest.raises(UserError, match=f"stride_pixels must be from 1 to patch_pixels, here 3; got {stride}$"):
        occlusion_maps(len, make_stamps(), 3, stride)


def test_a_scorer_of_both_classes_is_refused_with_the_remedy():
    with pytest.raises(UserError, match=r"shape \(1,\), got \(1, 2\); .* \[:, 1\]"):
        occlusion_maps(lambda x: np.zeros((len(x), 2)), make_stamps())
