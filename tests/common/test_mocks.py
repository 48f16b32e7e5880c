"""Sets of mocks on disk: layout, catalogue, workers, and what an interrupt leaves."""

import dataclasses
import gzip
import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from lens_common.data.layout import CATALOGUE_NAME, DATASET_FOLDER, parse_name, path_label, stamp_id
from lens_common.errors import UserError
from lens_common.mocks import writer as mocks
from lens_common.mocks.prior import LEAK_CONTROLLED, PRIOR, prior_hash
from lens_common.mocks.simulator import draw_scene
from lens_common.mocks.writer import make_mocks, simulate_stamp


def files_below(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    """Three lenses and four non-lenses, made in this process."""
    return make_mocks(tmp_path_factory.mktemp("mocks") / "small", 7, seed=5, workers=1)


@pytest.fixture(scope="module")
def small_catalogue(small_set):
    return Table.read(small_set / DATASET_FOLDER / "catalogue.ecsv")


def test_a_set_holds_half_lenses_and_the_rest_non_lenses(small_catalogue):
    assert sorted(small_catalogue["is_lens"]) == [0, 0, 0, 0, 1, 1, 1]


def test_every_file_of_the_catalogue_holds_a_stamp(small_set, small_catalogue):
    stamps = [fits.getdata(small_set / DATASET_FOLDER / path) for path in small_catalogue["path"]]
    assert {(stamp.shape, stamp.dtype.kind, stamp.dtype.itemsize) for stamp in stamps} == {((45, 45), "f", 4)}


def test_names_say_what_the_catalogue_says(small_catalogue):
    for row in small_catalogue:
        for name, value in dataclasses.asdict(parse_name(row["path"].split("/")[-1])).items():
            assert value == pytest.approx(row[name], rel=1e-11)


def test_folders_say_the_class_of_the_catalogue(small_catalogue):
    assert [path_label(path) for path in small_catalogue["path"]] == [
        bool(is_lens) for is_lens in small_catalogue["is_lens"]
    ]


def test_ids_are_those_of_the_layout(small_catalogue):
    assert list(small_catalogue["id"]) == [stamp_id(path) for path in small_catalogue["path"]]


def test_the_catalogue_carries_units(small_catalogue):
    assert str(small_catalogue["velocity_dispersion"].unit) == "km / s"


def test_the_catalogue_knows_the_source_of_each_lens(small_catalogue):
    for row in small_catalogue[small_catalogue["is_lens"] == 1]:
        scene, _ = draw_scene(np.random.RandomState([int(row["seed"]), 1]), True)
        galaxy = scene.source[0]
        assert row["source_flux"] == pytest.approx(sum(profile.flux_counts for profile in scene.source))
        assert row["source_radius"] == pytest.approx(0.18 * galaxy.radius_pixels)
        assert row["source_offset"] == pytest.approx(0.18 * np.linalg.norm(galaxy.centre_pixels))
    assert [str(small_catalogue[f"source_{name}"].unit) for name in ("flux", "radius", "offset")] == [
        "ct",
        "arcsec",
        "arcsec",
    ]


def test_the_seed_of_the_catalogue_makes_the_stamp_again(small_set, small_catalogue):
    row = small_catalogue[-1]
    again = simulate_stamp(int(row["seed"]), bool(row["is_lens"])).stamp
    np.testing.assert_array_equal(fits.getdata(small_set / DATASET_FOLDER / row["path"]), again)


def test_the_record_says_how_the_set_was_made(small_set):
    record = json.loads((small_set / DATASET_FOLDER / "mocks.json").read_text())
    assert (record["n_stamps"], record["seed"], record["prior"]["name"]) == (7, 5, "lsst-2017")


def test_no_scaffold_is_left_beside_a_finished_set(small_set):
    assert [path.name for path in small_set.parent.iterdir()] == ["small"]
    assert [path.name for path in small_set.iterdir()] == [DATASET_FOLDER]


def test_gzip_carries_no_time(small_set, small_catalogue):
    content = (small_set / DATASET_FOLDER / small_catalogue["path"][0]).read_bytes()
    # RFC 1952: bytes 4 to 7 are the modification time.
    assert content[4:8] == b"\0\0\0\0" and len(gzip.decompress(content)) % 2880 == 0


def test_mixed_populations_take_turns_in_each_class(tmp_path):
    priors = (PRIOR, LEAK_CONTROLLED)
    folder = make_mocks(tmp_path / "mixed", 8, seed=5, prior=priors, workers=2) / DATASET_FOLDER
    record = json.loads((folder / "mocks.json").read_text())
    assert [prior["name"] for prior in record["prior"]] == ["lsst-2017", "leak-controlled"]
    assert record["prior_hash"] == prior_hash(*priors)
    table = Table.read(folder / CATALOGUE_NAME)
    for is_lens in (1, 0):
        for number, row in enumerate(table[table["is_lens"] == is_lens]):
            expected = simulate_stamp(int(row["seed"]), bool(is_lens), priors[number % 2]).stamp
            np.testing.assert_array_equal(fits.getdata(folder / row["path"]), expected)
    with pytest.raises(UserError, match="other|prior_hash"):
        make_mocks(tmp_path / "mixed", 8, seed=5)


def test_mocks_of_no_population_are_refused(tmp_path):
    with pytest.raises(UserError, match="at least one prior"):
        make_mocks(tmp_path / "none", 8, prior=())


def test_two_workers_write_what_one_writes(small_set, tmp_path):
    assert files_below(make_mocks(tmp_path / "two", 7, seed=5, workers=2)) == files_below(small_set)


def test_a_larger_set_holds_the_stamps_of_a_smaller_one(small_set, tmp_path):
    larger = files_below(make_mocks(tmp_path / "larger", 9, seed=5, workers=1))
    stamps = {path: content for path, content in files_below(small_set).items() if path.suffix == ".gz"}
    assert all(larger[path] == content for path, content in stamps.items())


def test_sets_of_two_seeds_share_no_stamp_seed():
    first, second = ({mocks.stamp_seed(seed, True, number) for number in range(1000)} for seed in (1, 2))
    assert len(first) == 1000 and not first & second


def interrupt_after(monkeypatch, n_stamps):
    """Let the simulator stop as by Ctrl-C after so many stamps; returns the list of the seeds it made."""
    made, simulate = [], simulate_stamp

    def counted(seed, is_lens, prior):
        if len(made) == n_stamps:
            raise KeyboardInterrupt
        made.append(seed)
        return simulate(seed, is_lens, prior)

    monkeypatch.setattr(mocks, "simulate_stamp", counted)
    return made


@pytest.fixture
def interrupted(monkeypatch, tmp_path):
    """A set of seven stamps stopped after five, in pieces of two: three pieces are whole."""
    monkeypatch.setattr(mocks, "STAMPS_PER_PIECE", 2)
    interrupt_after(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        make_mocks(tmp_path / "set", 7, seed=5, workers=1)
    return tmp_path / "set"


def test_an_interrupted_run_leaves_no_folder_of_the_final_name(interrupted):
    assert not interrupted.exists()


def test_an_interrupted_run_ends_as_if_it_had_not_been(interrupted, monkeypatch, small_set):
    interrupt_after(monkeypatch, None)
    assert files_below(make_mocks(interrupted, 7, seed=5, workers=1)) == files_below(small_set)


def test_a_run_started_again_makes_only_what_is_missing(interrupted, monkeypatch):
    made = interrupt_after(monkeypatch, None)
    make_mocks(interrupted, 7, seed=5, workers=1)
    # Pieces of 2, 1 (lenses), 2, 2 (non-lenses): five stamps end the first three.
    assert len(made) == 2


def test_an_unfinished_set_of_another_seed_is_refused(interrupted):
    with pytest.raises(UserError, match="unfinished"):
        make_mocks(interrupted, 7, seed=6, workers=1)


def test_a_finished_set_of_the_same_settings_is_returned_as_it_is(small_set, monkeypatch):
    made = interrupt_after(monkeypatch, 0)
    assert make_mocks(small_set, 7, seed=5, workers=1) == small_set
    assert made == []


def test_a_finished_set_of_another_seed_is_refused(small_set):
    with pytest.raises(UserError, match="seed 5"):
        make_mocks(small_set, 7, seed=6, workers=1)


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(UserError, match="not a set of mocks"):
        make_mocks(tmp_path, 7, workers=1)


@pytest.mark.parametrize("n_stamps", [1, 0, -4])
def test_fewer_than_two_stamps_are_refused(n_stamps, tmp_path):
    with pytest.raises(UserError, match="at least 2"):
        make_mocks(tmp_path / "set", n_stamps)


def test_no_workers_are_refused(tmp_path):
    with pytest.raises(UserError, match="worker"):
        make_mocks(tmp_path / "set", 4, workers=0)


def test_nothing_is_printed_to_stdout(tmp_path, capsys):
    make_mocks(tmp_path / "set", 2, workers=1)
    assert capsys.readouterr().out == ""
