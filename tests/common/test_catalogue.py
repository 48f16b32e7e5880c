"""Which files count as stamps, and the table of what is known of them."""

import os
import subprocess

import numpy as np
import pytest
from astropy import units
from astropy.table import Table

from lens_common.data.catalogue import find_stamps, read_catalogue
from lens_common.errors import UserError


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def found(folder):
    return [file.path for file in find_stamps(folder)]


def test_a_folder_without_files_is_refused_with_what_is_expected(tmp_path):
    with pytest.raises(UserError, match=r"no \.fits, \.fit or \.fts \(also .*\) file below .*expected lensed_outputs/"):
        find_stamps(tmp_path)


def test_a_folder_of_foreign_files_alone_is_refused(tmp_path):
    touch(tmp_path / "lensed_outputs/0/readme.txt")
    with pytest.raises(UserError, match=r"no \.fits"):
        find_stamps(tmp_path)


@pytest.mark.parametrize("name", ["missing", "file.fits"])
def test_what_is_no_folder_is_refused_by_name(tmp_path, name):
    touch(tmp_path / "file.fits")
    with pytest.raises(UserError, match=f"{name} is not a folder; name the one that holds the stamps"):
        find_stamps(tmp_path / name)


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    for path in ("a.fits", ".b.fits", ".git/c.fits", "0/.d.fits.gz", "0/e.fits.gz"):
        touch(tmp_path / path)
    assert found(tmp_path) == ["0/e.fits.gz", "a.fits"]


def test_a_hidden_folder_that_the_user_names_is_read(tmp_path):
    touch(tmp_path / ".stamps/a.fits")
    assert found(tmp_path / ".stamps") == ["a.fits"]


def test_files_with_another_ending_are_passed_over(tmp_path):
    for name in ("a.fits", "a.fits.xz", "a.fitz", "a.fits.gz~", "a.gz", "fits", "a.FITS.txt", "catalogue.ecsv"):
        touch(tmp_path / name)
    assert found(tmp_path) == ["a.fits"]


def test_every_ending_of_fits_is_found_in_any_case_and_is_no_part_of_the_id(tmp_path):
    names = ["a.fits", "b.FIT", "c.fts", "d.Fits.GZ", "e.fits.fz", "f.fits.bz2", "g.fit.gz"]
    for name in names:
        touch(tmp_path / name)
    assert found(tmp_path) == names
    assert [file.id for file in find_stamps(tmp_path)] == list("abcdefg")


def test_folders_may_be_nested_deeper_than_python_calls(tmp_path):
    here = os.getcwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    with open("a.fits", "wb"):
        pass
    os.chdir(here)
    try:
        assert found(tmp_path) == ["d/" * 1200 + "a.fits"]
    finally:  # Python's own rmtree calls itself for each folder
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_ten_thousand_foreign_files_do_not_hide_four_stamps(tmp_path, write_dataset):
    written = write_dataset(tmp_path)
    foreign = tmp_path / "lensed_outputs/0"
    for number in range(10_000):
        os.close(os.open(str(foreign / f"{number}.txt"), os.O_CREAT | os.O_WRONLY))
    assert found(tmp_path) == sorted(written)


def test_every_numbered_folder_is_read_whatever_its_number(tmp_path):
    paths = [f"lensed_outputs/{number}/lensed_{number}.fits" for number in (0, 1, 2, 10, 19, 207)]
    for path in paths:
        touch(tmp_path / path)
    assert sorted(found(tmp_path)) == sorted(paths)


def test_stamps_are_sorted_by_path(tmp_path):
    for path in ("b/a.fits", "a/b.fits", "a.fits", "B.fits", "a/a.fits.fz"):
        touch(tmp_path / path)
    assert found(tmp_path) == ["B.fits", "a.fits", "a/a.fits.fz", "a/b.fits", "b/a.fits"]


def test_a_folder_whose_name_ends_like_a_stamp_is_a_folder(tmp_path):
    touch(tmp_path / "night.fits/a.fits")
    assert found(tmp_path) == ["night.fits/a.fits"]


def test_the_time_is_that_of_the_last_change_whatever_the_file_says(tmp_path):
    touch(tmp_path / "a.fits", b"12345")
    os.utime(str(tmp_path / "a.fits"), ns=(0, 1_234_567_890_000_000_123))
    (file,) = find_stamps(tmp_path)
    assert (file.size, file.changed_ns) == (5, (tmp_path / "a.fits").stat().st_ctime_ns)
    os.utime(str(tmp_path / "a.fits"), ns=(0, 2**62))
    assert find_stamps(tmp_path)[0].changed_ns == 2**62


def test_a_linked_stamp_has_the_size_of_what_it_leads_to(tmp_path):
    touch(tmp_path / "elsewhere/a", b"12345")
    (tmp_path / "b.fits").symlink_to(tmp_path / "elsewhere/a")
    assert [(file.path, file.size) for file in find_stamps(tmp_path)] == [("b.fits", 5)]


def test_a_linked_folder_is_read(tmp_path):
    touch(tmp_path / "disk/0/a.fits")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/lensed_outputs").symlink_to(tmp_path / "disk")
    assert found(tmp_path / "data") == ["lensed_outputs/0/a.fits"]


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    touch(tmp_path / "0/a.fits")
    (tmp_path / "0/up").symlink_to(tmp_path)
    assert found(tmp_path) == ["0/a.fits"]


def test_folders_that_lead_to_each_other_are_read_once(tmp_path, caplog):
    for name in "abcdef":
        touch(tmp_path / f"data/{name}/{name}.fits")
        (tmp_path / f"data/{name}/all").symlink_to(tmp_path / "data")
        (tmp_path / f"data/{name}/next").symlink_to(tmp_path / "data/a")
    touch(tmp_path / "outside/g.fits")
    for name in ("first", "second"):
        (tmp_path / f"data/{name}").symlink_to(tmp_path / "outside")
    caplog.set_level("INFO")
    assert found(tmp_path / "data") == [*(f"{name}/{name}.fits" for name in "abcdef"), "first/g.fits"]
    assert "13 linked folders passed over" in caplog.text


def test_a_link_before_its_folder_takes_nothing_from_it_and_one_to_a_hidden_folder_is_read(tmp_path):
    touch(tmp_path / "lensed_outputs/0/a.fits")
    (tmp_path / "all").symlink_to(tmp_path / "lensed_outputs")
    touch(tmp_path / ".store/b.fits")
    (tmp_path / "night").symlink_to(tmp_path / ".store")
    assert found(tmp_path) == ["lensed_outputs/0/a.fits", "night/b.fits"]


@pytest.mark.parametrize("target", ["nowhere", "b.fits"])
def test_a_link_that_leads_nowhere_is_listed_to_be_set_aside_when_read(tmp_path, target):
    touch(tmp_path / "a.fits")
    (tmp_path / "b.fits").symlink_to(tmp_path / target)
    assert found(tmp_path) == ["a.fits", "b.fits"]


def test_a_folder_that_may_not_be_listed_is_named(open_folder, run_in_child):
    touch(open_folder / "a.fits")
    (open_folder / "locked").mkdir(mode=0o000)

    def attempt():
        try:
            return find_stamps(open_folder)
        except UserError as error:
            return str(error)

    sentence, _ = run_in_child(attempt, unprivileged=True)
    (open_folder / "locked").chmod(0o700)
    assert sentence == f"cannot list {open_folder}/locked: Permission denied; mend its permissions"


def test_a_catalogue_has_one_row_a_file_with_id_and_label(tmp_path):
    for path in ("lensed_outputs/0/lensed_7_1_1_1_1_1_imgs.fits", "unlensed_outputs/2/b.fits.gz", "night/c.fits"):
        touch(tmp_path / path)
    table = read_catalogue(tmp_path)
    assert list(table["id"]) == ["lensed_outputs/0/lensed_7", "night/c", "unlensed_outputs/2/b"]
    assert list(table["is_lens"]) == [1, -1, 0]


def test_the_parameters_in_a_name_reach_the_catalogue(tmp_path):
    touch(tmp_path / "lensed_outputs/0/lensed_7_289.5_0.68_62.75_0.35_9.4_imgs.fits.gz")
    row = read_catalogue(tmp_path)[0]
    keys = ("velocity_dispersion", "axis_ratio", "position_angle", "z_lens", "magnification")
    assert [row[key] for key in keys] == [289.5, 0.68, 62.75, 0.35, 9.4]


def test_a_name_without_parameters_gives_nan(tmp_path):
    touch(tmp_path / "lensed_outputs/0/cutout.fits")
    assert np.isnan(read_catalogue(tmp_path)["velocity_dispersion"][0])


def test_columns_carry_their_units(tmp_path):
    touch(tmp_path / "a.fits")
    table = read_catalogue(tmp_path)
    assert table["velocity_dispersion"].unit == units.km / units.s
    assert table["position_angle"].unit == units.deg
    assert table["z_lens"].unit is None


def write_stored(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    Table(columns).write(str(path), format="ascii.ecsv")


@pytest.mark.parametrize("parent", ["", "lsst_mocks_single/"])
def test_columns_of_the_stored_catalogue_are_joined_by_id(tmp_path, parent):
    for name in "abc":
        touch(tmp_path / f"{parent}lensed_outputs/0/{name}.fits")
    write_stored(
        tmp_path / parent / "catalogue.ecsv",
        id=["lensed_outputs/0/c", "lensed_outputs/0/a", "lensed_outputs/9/z"],
        einstein_radius=[1.5, 0.75, 9.0],
        seed=[30, 10, 90],
    )
    table = read_catalogue(tmp_path)
    assert [path[-6:] for path in table["path"]] == ["a.fits", "b.fits", "c.fits"]
    assert list(np.ma.filled(table["einstein_radius"], -1)) == [0.75, -1, 1.5]
    assert list(np.ma.filled(table["seed"], -1)) == [10, -1, 30]
    assert table["einstein_radius"].unit == units.arcsec


def test_a_column_that_the_layout_does_not_know_stays_behind(tmp_path):
    touch(tmp_path / "a.fits")
    write_stored(tmp_path / "catalogue.ecsv", id=["a"], snr=[12.5], notes=["nice"])
    table = read_catalogue(tmp_path)
    assert "notes" not in table.colnames
    assert table["snr"][0] == 12.5


def test_what_the_file_names_say_wins_over_the_stored_catalogue(tmp_path):
    touch(tmp_path / "lensed_outputs/0/lensed_7_289.5_0.68_62.75_0.35_9.4_imgs.fits.gz")
    write_stored(tmp_path / "catalogue.ecsv", id=["lensed_outputs/0/lensed_7"], z_lens=[0.9], is_lens=[0])
    row = read_catalogue(tmp_path)[0]
    assert (row["z_lens"], row["is_lens"]) == (0.35, 1)


def test_rows_stay_sorted_by_path_where_ids_sort_otherwise(tmp_path):
    # "x/lensed_outputs/b" has an id before "unlensed_outputs/a" but a path behind it.
    for path in ("unlensed_outputs/a.fits", "x/lensed_outputs/b.fits"):
        touch(tmp_path / path)
    write_stored(tmp_path / "catalogue.ecsv", id=["lensed_outputs/b"], snr=[1.0])
    assert list(read_catalogue(tmp_path)["path"]) == ["unlensed_outputs/a.fits", "x/lensed_outputs/b.fits"]
