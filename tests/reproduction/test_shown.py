"""Stamps that the pages show, and the count of files whose pixels are not finite."""

import json

import numpy as np

from experiments.reproduction import shown


def test_files_with_a_pixel_that_is_not_finite_are_counted_before_anything_repairs_them(write_stamps, tmp_path):
    stamps = np.ones((4, 45, 45))
    stamps[1, 3, 4], stamps[2, 0, 0] = np.nan, np.inf
    folder = write_stamps("data", stamps, [True, True, False, False])
    (tmp_path / "data" / "notes.txt").write_text("no stamp")
    assert shown.count_pixels(tmp_path / "data") == {"n_stamps": 4, "n_not_finite": 2}
    assert folder


def test_the_stored_count_is_that_of_the_pics_mocks(pics_mocks, stored_results):
    assert json.loads((stored_results / "pixels.json").read_text()) == shown.count_pixels(pics_mocks)


def test_the_stored_stamps_are_three_of_each_class(stored_results):
    with np.load(stored_results / "shown.npz") as stored:
        assert {kind: stored[kind].shape for kind in stored} == {"lenses": (3, 45, 45), "others": (3, 45, 45)}
