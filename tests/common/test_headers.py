"""Pixel scale and zero-point of a header, against astropy."""

import math

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from lens_common.data.decoding import decode_stamp
from lens_common.data.headers import StampError, differs, pixel_scale_arcsec, read_cards, read_pixels

TAN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 23.0, "CRPIX2": 23.0}
DEGREE = 1 / 3600
COS, SIN = math.cos(0.4), math.sin(0.4)
COORDINATES = {
    "CDELT": {"CDELT1": -0.263 * DEGREE, "CDELT2": 0.263 * DEGREE},
    "CDELT and CROTA2": {"CDELT1": -0.4 * DEGREE, "CDELT2": 0.4 * DEGREE, "CROTA2": 30.0},
    "CDELT and PC": {
        **{"CDELT1": -0.2 * DEGREE, "CDELT2": 0.2 * DEGREE},
        **{"PC1_1": COS, "PC1_2": -SIN, "PC2_1": SIN, "PC2_2": COS},
    },
    "CD, rotated": {
        **{"CD1_1": -0.263 * DEGREE * COS, "CD1_2": 0.263 * DEGREE * SIN},
        **{"CD2_1": 0.263 * DEGREE * SIN, "CD2_2": 0.263 * DEGREE * COS},
    },
    "CD, skewed": {"CD1_1": -0.26 * DEGREE, "CD1_2": 0.1 * DEGREE, "CD2_1": 0.0, "CD2_2": 0.24 * DEGREE},
    "CD, its zeros left out": {"CD1_1": -0.168 * DEGREE, "CD2_2": 0.168 * DEGREE},
    "CD over CDELT": {"CD1_1": -0.168 * DEGREE, "CD2_2": 0.168 * DEGREE, "CDELT1": 1.0, "CDELT2": 1.0},
    "galactic": {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CDELT1": -0.5 * DEGREE, "CDELT2": 0.5 * DEGREE},
    "CUNIT": {"CDELT1": -0.263, "CDELT2": 0.263, "CUNIT1": "arcsec", "CUNIT2": "arcsec"},
    "nearly square": {"CD1_1": -0.2629 * DEGREE, "CD2_2": 0.2631 * DEGREE},
}


def pixels_of(values, cards=()):
    header = fits.Header(values)
    for card in cards:
        header.append(fits.Card.fromstring(card))
    return read_pixels(header.tostring().encode("latin-1"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(COORDINATES))
def test_celestial_coordinates_give_the_pixel_scale_that_astropy_gives(name):
    header = fits.Header({**TAN, **COORDINATES[name]})
    expected = 3600 * proj_plane_pixel_scales(WCS(header)).mean()
    assert pixels_of(header)[0] == pytest.approx(expected, rel=1e-6)


def test_the_bare_headers_of_mocks_and_pics_mocks_say_nothing():
    assert np.isnan(read_pixels(fits.PrimaryHDU(np.zeros((45, 45))).header.tostring().encode())).all()


@pytest.mark.parametrize(
    "values",
    [
        {"CTYPE1": "PIXEL", "CTYPE2": "PIXEL", "CD1_1": 1.0, "CD2_2": 1.0},  # as IRAF copies leave it
        {"CDELT1": 1.0, "CDELT2": 1.0},
        {**TAN},
        {**TAN, "CDELT1": 0.0, "CDELT2": 0.0},
        {**TAN, "CDELT1": -0.2, "CDELT2": 0.2, "CUNIT1": "furlong", "CUNIT2": "furlong"},
        {"PIXSCALE": "unknown"},
        {"PIXSCALE": -1.0},
        {"MAGZERO": 0.0},
        {"MAGZERO": 99.0},
    ],
)
def test_a_header_that_gives_no_scale_on_the_sky_or_no_zero_point_says_nothing(values):
    assert np.isnan(pixels_of(values)).all()


@pytest.mark.parametrize("key", ["PIXSCALE", "SECPIX", "PIXSCAL1"])
def test_a_keyword_in_arcsec_gives_the_scale_where_there_are_no_coordinates(key):
    assert pixels_of({key: 0.263})[0] == 0.263


def test_the_coordinates_count_before_the_keyword():
    assert pixels_of({**TAN, **COORDINATES["CDELT"], "PIXSCALE": 0.9})[0] == pytest.approx(0.263)


@pytest.mark.parametrize("key", ["MAGZERO", "MAGZPT", "ZEROPT", "PHOTZP"])
def test_a_keyword_gives_the_zero_point(key):
    assert pixels_of({key: 22.5})[1] == 22.5


@pytest.mark.parametrize(
    "card", ["PIXSCALE= '0.263   '           / text", "PIXSCALE=           2.630D-01", "PIXSCALE= 0.263/arcsec"]
)
def test_text_a_fortran_exponent_and_a_comment_are_read(card):
    assert pixels_of({}, [card])[0] == pytest.approx(0.263)


def test_pixels_that_are_not_square_are_told_with_both_sides():
    with pytest.raises(StampError, match="pixels of 0.1 by 0.4 arcsec; resample them to square ones"):
        pixels_of({**TAN, "CDELT1": -0.1 * DEGREE, "CDELT2": 0.4 * DEGREE})


def test_of_a_keyword_that_comes_twice_the_first_counts():
    assert read_cards(b"A       = 1".ljust(80) + b"A       = 2".ljust(80))["A"].strip() == "1"


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [(0.18, 0.1817, False), (0.18, 0.183, True), (0.183, 0.18, True), (math.nan, 0.18, False), (0.18, math.nan, False)],
)
def test_scales_differ_from_one_percent_on_and_the_unknown_differs_from_nothing(first, second, answer):
    assert differs(first, second) is answer


@pytest.mark.parametrize("number", ["1000", "2147483647", "9" * 19])
def test_a_header_that_claims_absurdly_many_axes_is_no_stamp(number):
    cards = [f"{key:8}= {value:>20}".ljust(80) for key, value in (("SIMPLE", "T"), ("BITPIX", -32), ("NAXIS", number))]
    cards += [f"NAXIS1  = {12:>20}".ljust(80), "END".ljust(80)]
    with pytest.raises(StampError, match=f"NAXIS is {number}, at most 999"):
        decode_stamp("".join(cards).encode().ljust(2880 * 2))


@pytest.mark.parametrize(
    ("lines", "arcsec"),
    [
        (["PIXELSCL=                 0.17"], 0.17),
        (["PSCALE  = '0.186 arcsec'"], 0.186),
        (["PIXSCALE= '0.18 arcsec/pixel'"], 0.18),
        (["PIXSCALE= '180 mas'"], 0.18),
        (["PIXSCALE= '5E-5 deg'"], 0.18),
        (["SECPIX1 =                 0.25", "SECPIX2 =                 0.25"], 0.25),
        (["PIXSCALE= '0.18 Jy'"], float("nan")),
        (["PIXSCALE= 'unknown'"], float("nan")),
    ],
)
def test_a_scale_may_stand_under_other_words_and_have_a_unit(lines, arcsec):
    cards = read_cards("".join(line.ljust(80) for line in lines).encode())
    assert pixel_scale_arcsec(cards) == pytest.approx(arcsec, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("unit", "factor"), [("deg", 1), ("degree", 1), ("DEG", 1), ("arcmin", 60), ("rad", 3.141592653589793 / 180)]
)
def test_the_unit_of_coordinates_is_taken_in_every_spelling(unit, factor):
    degrees = 0.18 / 3600
    lines = ["CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'"]
    lines += [f"CUNIT{axis}  = '{unit}'" for axis in (1, 2)]
    lines += [f"CDELT{axis}  = {degrees * factor * sign:.15E}" for axis, sign in ((1, -1), (2, 1))]
    cards = read_cards("".join(line.ljust(80) for line in lines).encode())
    assert pixel_scale_arcsec(cards) == pytest.approx(0.18, rel=1e-9)
