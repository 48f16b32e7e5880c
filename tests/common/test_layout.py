"""Paths and names of the 2018 layout, read by hand."""

import pytest

from lens_common.data.layout import LensParameters, format_path, parse_name, path_label, stamp_id

# The form of the PICS names: the numbers are Python 2's str() of a float, the fourth has four decimals.
PICS_LIKE = "lensed_12_245.367308481_0.733239871824_247.177635431_0.502_2.23117960877_imgs.fits.gz"


def test_a_name_like_those_of_the_pics_mocks_gives_its_five_numbers():
    assert parse_name(PICS_LIKE) == LensParameters(
        velocity_dispersion=245.367308481,
        axis_ratio=0.733239871824,
        position_angle=247.177635431,
        z_lens=0.502,
        magnification=2.23117960877,
    )


def test_a_name_without_gz_is_read_too():
    assert parse_name("unlensed_3_200_1.0_0_0.5_1_imgs.fits") == LensParameters(200.0, 1.0, 0.0, 0.5, 1.0)


def test_signs_and_exponents_in_a_name_are_read():
    assert parse_name("lensed_1_2.5e+02_.5_-30._+0.4_1e-3_imgs.fits.gz") == LensParameters(
        250.0, 0.5, -30.0, 0.4, 0.001
    )


@pytest.mark.parametrize(
    "name",
    [
        "cutout.fits",
        "lensed_12.fits.gz",
        "lensed_12_245.3_0.7_247.1_0.5_imgs.fits.gz",  # four numbers
        "lensed_12_245.3_0.7_247.1_0.5_2.2_9.9_imgs.fits.gz",  # six
        "lensed_12_245.3_0.7_247.1_nan_2.2_imgs.fits.gz",
        "lensed_x_245.3_0.7_247.1_0.5_2.2_imgs.fits.gz",
        "Lensed_12_245.3_0.7_247.1_0.5_2.2_imgs.fits.gz",
        "relensed_12_245.3_0.7_247.1_0.5_2.2_imgs.fits.gz",
        "lensed_12_245.3_0.7_247.1_0.5_2.2_imgs.fits.gz.part",
        "lensed_12_245.3_0.7_247.1_0.5_2.2.fits.gz",
        "",
    ],
)
def test_a_foreign_name_carries_no_parameters(name):
    assert parse_name(name) is None


def test_the_path_of_a_lens_is_written_as_in_2018():
    parameters = LensParameters(245.5, 0.75, 247.25, 0.502, 2.125)
    assert format_path(True, 12, parameters) == "lensed_outputs/0/lensed_12_245.5_0.75_247.25_0.502_2.125_imgs.fits.gz"


def test_stamp_1000_of_a_class_opens_the_second_numbered_folder():
    parameters = LensParameters(200.0, 1.0, 0.0, 0.5, 1.0)
    assert format_path(False, 999, parameters).startswith("unlensed_outputs/0/unlensed_999_")
    assert format_path(False, 1000, parameters).startswith("unlensed_outputs/1/unlensed_1000_")


@pytest.mark.parametrize(
    "parameters",
    [
        LensParameters(245.367308481, 0.733239871824, 247.177635431, 0.502, 2.23117960877),
        LensParameters(1e-7, 1e-5, 0.0, 12345.6789, 1e6),  # written with exponents
        LensParameters(150.0, 1.0, -89.5, 0.1, 1.0),
    ],
)
def test_parameters_survive_the_way_into_a_name_and_back(parameters):
    name = format_path(True, 4321, parameters).rsplit("/", 1)[1]
    assert parse_name(name) == parameters


@pytest.mark.parametrize("parent", ["", "lsst_mocks_single/", "data/2018/lsst_mocks_single/"])
def test_an_id_does_not_depend_on_the_folder_that_the_user_named(parent):
    assert stamp_id(f"{parent}lensed_outputs/3/{PICS_LIKE}") == "lensed_outputs/3/lensed_12"


def test_an_id_does_not_depend_on_the_parameters_in_the_name():
    assert stamp_id("unlensed_outputs/0/unlensed_5_1_1_1_1_1_imgs.fits.gz") == "unlensed_outputs/0/unlensed_5"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("night1/cutout.fits", "night1/cutout"),
        ("night1/cutout.fits.gz", "night1/cutout"),
        ("night1/cutout.fits.fz", "night1/cutout"),
        ("night1/cutout.fits.xz", "night1/cutout.fits.xz"),
        ("lensed_outputs/0/lensed_7_1_1_1_1_1_imgs.fits.fz", "lensed_outputs/0/lensed_7"),
        ("cutout.v2.fits", "cutout.v2"),
        ("a.fits/b.fits", "a.fits/b"),
        ("lensed_outputs.fits", "lensed_outputs"),
        ("survey/lensed_outputs/cutout.fits", "lensed_outputs/cutout"),
    ],
)
def test_an_id_outside_of_the_layout_is_the_path_less_its_suffix(path, expected):
    assert stamp_id(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("lensed_outputs/0/a.fits", True),
        ("x/unlensed_outputs/0/a.fits", False),
        ("lensed_outputs/unlensed_outputs/a.fits", False),
        ("unlensed_outputs/0/lensed_outputs/1/a.fits", True),
        ("night1/a.fits", None),
        ("night1/lensed_outputs", None),  # a file of that name is not a folder
        ("my_lensed_outputs/a.fits", None),
        ("lensed_1_1_1_1_1_1_imgs.fits", None),
    ],
)
def test_the_nearest_class_folder_gives_the_label(path, expected):
    assert path_label(path) is expected
