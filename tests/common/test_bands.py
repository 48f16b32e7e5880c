"""Bands by name: how they are written, read from headers, chosen, put in order, and what is refused."""

import gzip
import io
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from lens_common.data.bands import band_name, band_of_extension, parse_bands, read_band_names, take_bands
from lens_common.data.decoding import decode_stamp, repair_stamp
from lens_common.data.headers import StampError
from lens_common.data.quality import apply_filter, parse_filter
from lens_common.data.stamps import load_stamps
from lens_common.data.summary import summarise
from lens_common.errors import UserError

GRI = ("g", "r", "i")
# A level for each band, by which it is known again.
LEVELS = {"u": 100, "g": 200, "r": 300, "i": 400}


def header(*cards):
    return fits.Header(list(cards)).tostring(endcard=False, padding=False).encode()


def cube(names, named=True, seed=0, side=9):
    """A gzipped FITS file, its bands noise about LEVELS, as the mocks in three bands are written."""
    noise = np.random.RandomState(seed).normal(0, 1, (len(names), side, side))
    pixels = (noise + np.reshape([LEVELS[name] for name in names], (-1, 1, 1))).astype(np.float32)
    cards = [("PIXSCALE", 0.2), ("MAGZERO", 31.4), ("BUNIT", "nJy")]
    cards += [(f"BAND{number}", name) for number, name in enumerate(names, 1)] if named else []
    content = io.BytesIO()
    fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(content)
    return gzip.compress(content.getvalue(), 1)


@pytest.fixture
def folder(tmp_path, cache):
    """Write one stamp for each text of bands; the folder."""

    def write(*bands, named=True):
        (tmp_path / "data").mkdir(exist_ok=True)
        for seed, names in enumerate(bands):
            (tmp_path / "data" / f"{seed}.fits.gz").write_bytes(cube(names, named, seed))
        return tmp_path / "data"

    return write


def levels(stamps):
    """Level of each band of each stamp, to the hundred."""
    return np.round(np.median(stamps.pixels, axis=(2, 3)), -2).astype(int).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g", ("g",)),
        ("gri", GRI),
        ("g,r,i", GRI),
        ("g, r, i", GRI),
        ("F606W,F814W", ("F606W", "F814W")),
        ("VIS", ("VIS",)),
        ("0", ("0",)),
        ("0,2", ("0", "2")),
        ("10", ("10",)),
        (None, ()),
        ([], ()),
        (["g", "r"], ("g", "r")),
        ([2, 0], ("2", "0")),
    ],
)
def test_a_choice_is_names_or_numbers_in_their_order(text, expected):
    assert parse_bands(text) == expected


@pytest.mark.parametrize("text", ["", ",", "g,", "g,0", "-1", "1.5", "g r", "a/b", [-1]])
def test_a_choice_that_is_neither_is_refused(text):
    with pytest.raises(UserError, match="bands are names such as gri or g,r,i, or numbers from 0 such as 0,2; got"):
        parse_bands(text)


@pytest.mark.parametrize("text", ["gg", "g,r,g", "0,00"])
def test_a_band_that_is_named_twice_is_refused(text):
    with pytest.raises(UserError, match="twice"):
        parse_bands(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g", "g"),
        ("SDSS_g", "g"),
        ("LSST r", "r"),
        ("g-band", "g"),
        ("g DECam SDSS c0001 4720.0 1520.0", "g"),
        ("i.MP9702", "i"),
        ("HSC-G", "g"),
        ("HSC-R2", "r"),
        ("R", "R"),
        ("F814W", "F814W"),
        ("", ""),
        ("CLEAR", ""),
        ("unknown", ""),
        ("4720", ""),
    ],
)
def test_the_words_of_a_survey_name_the_band(text, expected):
    assert band_name(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(
            ("g", "g"),
            ("SCI_g", "g"),
            ("SCI_G", "g"),
            ("LSST_r", "r"),
            ("g-band", "g"),
            ("SCI_F814W", "F814W"),
            ("VIS", "VIS"),
        ),
        *(("", ""), ("SCI", ""), ("IMAGE", ""), ("lens_g_17", ""), ("B", ""), ("COMPRESSED_IMAGE", ""), ("17", "")),
    ],
)
def test_only_the_name_of_a_band_makes_an_extension_one(name, expected):
    assert band_of_extension(name) == expected


@pytest.mark.parametrize(
    ("cards", "n_bands", "expected"),
    [
        ([("BAND1", "g"), ("BAND2", "r"), ("BAND3", "i")], 3, GRI),
        ([("BANDS", "grz"), ("BAND0", "g"), ("BAND1", "r"), ("BAND2", "z")], 3, ("g", "r", "z")),
        ([("BANDS", "gri")], 3, GRI),
        ([("FILTER1", "g"), ("FILTER2", "r")], 2, ("g", "r")),
        ([("FILTER1", "CLEAR1L"), ("FILTER2", "F814W")], 1, ()),
        ([("FILTER", "r")], 1, ("r",)),
        ([("BAND", "g")], 1, ("g",)),
        ([("EXTNAME", "LSST_r")], 1, ("r",)),
        ([("BAND1", "g")], 1, ("g",)),
        ([("FILTER", "r")], 3, ()),
        ([("BAND1", "g"), ("BAND2", "unknown")], 2, ()),
        ([], 1, ()),
    ],
)
def test_a_header_names_bands_in_the_ways_of_surveys(cards, n_bands, expected):
    assert read_band_names(header(*cards), n_bands) == expected


@pytest.mark.parametrize(
    ("cards", "sentence"),
    [
        ([("BAND1", "g"), ("BAND2", "r"), ("BAND3", "i")], "names 3 bands, g, r, i, and the image holds 2"),
        ([("BAND1", "g"), ("BAND2", "g")], "names one band twice: g, g"),
        (
            [("BAND1", "g"), ("BAND2", "r"), ("MAGZERO1", 30.0), ("MAGZERO2", 31.4)],
            "its bands have several zero-points: g 30, r 31.4; bring them to one",
        ),
    ],
)
def test_a_header_that_contradicts_its_image_is_refused(cards, sentence):
    with pytest.raises(StampError, match=sentence):
        read_band_names(header(*cards), 2)


def test_names_bring_the_bands_of_a_stamp_into_order():
    stamp = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    taken, names = take_bands(stamp, ("r", "g", "i"), expected=GRI)
    assert names == GRI and taken[:, 0, 0].tolist() == [1, 0, 2]


def test_one_band_with_more_than_a_percent_of_bad_pixels_is_refused_by_name():
    stamp = np.zeros((3, 10, 10), np.float32)
    stamp[1, 0, :2] = np.nan  # 2 % of one band, less than 1 % of all
    with pytest.raises(StampError, match="2 of 100 pixels of band r are not finite; at most 1 % may be"):
        repair_stamp(stamp, GRI)


# Extensions that hold a band each.


def extensions(*units):
    content = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(content)
    return content.getvalue()


def extension(name, level, side=9, **cards):
    return fits.ImageHDU(np.full((side, side), level, np.float32), fits.Header([*cards.items()]), name)


def test_extensions_named_for_bands_make_one_stamp():
    weights = extension("WHT_g", 7)
    stamp, cards = decode_stamp(extensions(extension("SCI_g", 1), weights, extension("SCI_r", 2)))
    assert stamp[:, 0, 0].tolist() == [1, 2] and stamp.shape == (2, 9, 9)
    assert read_band_names(cards, 2) == ("g", "r")


def test_the_first_of_extensions_that_name_no_band_is_taken_alone():
    stamp, _ = decode_stamp(extensions(extension("SCI", 1), extension("g", 2), extension("r", 3)))
    assert stamp.shape == (1, 9, 9) and stamp[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("cards", "sentence"),
    [
        ({"side": 8}, r"its bands are of unlike size: g \(9, 9\), r \(8, 8\)"),
        ({"PIXSCALE": 0.3}, "its bands have several pixel scales: g 0.2, r 0.3"),
        ({"MAGZERO": 30.0}, "its bands have several zero-points: g 31.4, r 30"),
    ],
)
def test_bands_of_unlike_size_scale_or_zero_point_make_no_stamp(cards, sentence):
    usual = {"PIXSCALE": 0.2, "MAGZERO": 31.4}
    with pytest.raises(StampError, match=sentence):
        decode_stamp(extensions(extension("g", 1, **usual), extension("r", 1, **{**usual, **cards})))


# Folders.


def test_a_summary_says_noise_and_brightness_of_each_band(folder):
    stamps = load_stamps(folder("gri", "gri"))
    values = summarise(stamps, Table({"path": stamps.paths}), parse_filter("default")).values
    for name in GRI:
        np.testing.assert_allclose(values[f"median [counts], {name}"], LEVELS[name], atol=1)
        np.testing.assert_allclose(values[f"noise [counts], {name}"], 1, atol=0.5)


def test_the_filter_flags_what_is_bad_in_one_band_alone(folder):
    stamps = load_stamps(folder("gri", "gri", "gri"))
    pixels = np.array(stamps.pixels) - np.reshape([LEVELS[name] for name in GRI], (1, 3, 1, 1))
    pixels[:2, 2, 4, 4] += 50  # seen in i alone
    pixels[1, 1] *= 30  # noisy in r alone, 8 counts at zero-point 30, where nothing else is seen
    reasons = apply_filter(replace(stamps, pixels=pixels.astype(np.float32)), parse_filter("default"))
    assert [row.path for row in reasons] == ["1.fits.gz", "2.fits.gz"]
    assert "noise" in reasons[0].reason and "signal" in reasons[1].reason


def test_names_are_kept_and_lie_in_the_cache(folder):
    data = folder("gri", "gri")
    for stamps in (load_stamps(data), load_stamps(data)):  # decoded, then from the cache
        assert stamps.bands == GRI and stamps.choice == () and stamps.zero_point_mag == 31.4


def test_bands_without_names_stay_without(folder):
    assert load_stamps(folder("gri", named=False)).bands == ()


def test_a_name_changes_no_data_hash(folder, tmp_path):
    with_names = load_stamps(folder("gri"))
    without = load_stamps(folder("gri", named=False))
    assert with_names.data_hash == without.data_hash


@pytest.mark.parametrize(
    ("choice", "names", "expected"),
    [
        ("g", ("g",), [200]),
        ("ig", ("i", "g"), [400, 200]),
        ([2, 0], ("i", "g"), [400, 200]),
        ("1", ("r",), [300]),
    ],
)
def test_bands_are_chosen_and_ordered(choice, names, expected, folder):
    stamps = load_stamps(folder("gri", "gri"), bands=choice)
    assert stamps.bands == names and levels(stamps) == [expected, expected]


def test_the_hash_of_chosen_bands_is_that_of_files_that_hold_them_alone(folder):
    chosen = load_stamps(folder("gri"), bands="g").data_hash
    whole = load_stamps(folder("gri")).pixels[0]
    alone = folder("g")
    fits.writeto(alone / "0.fits", whole[:1])
    (alone / "0.fits.gz").unlink()
    assert load_stamps(alone).data_hash == chosen


def test_files_in_another_order_are_brought_into_that_of_most(folder):
    stamps = load_stamps(folder("gri", "rgi", "gri"))
    assert stamps.bands == GRI and levels(stamps) == [[200, 300, 400]] * 3 and not stamps.rejected


def test_a_file_of_another_band_is_set_aside(folder):
    stamps = load_stamps(folder("g", "r", "g"))
    (rejection,) = stamps.rejected
    assert (rejection.path, rejection.reason) == ("1.fits.gz", "no band g among r; the other stamps have g")


def test_a_file_with_a_band_more_gives_those_of_the_others_by_name(folder):
    assert levels(load_stamps(folder("gri", "ugri", "gri"))) == [[200, 300, 400]] * 3


def test_a_file_that_lacks_a_chosen_band_is_set_aside(folder):
    stamps = load_stamps(folder("gri", "gr"), bands="i")
    (rejection,) = stamps.rejected
    assert rejection.reason == "no band i among g, r" and len(stamps) == 1


def test_files_without_names_among_others_are_told_of(folder, caplog):
    data = folder("gri", "gri", "gri")
    (data / "1.fits.gz").write_bytes(cube("gri", named=False))
    assert len(load_stamps(data)) == 3
    assert "1 of 3 files do not name their bands; they are taken to be g, r, i, as in the others" in caplog.text


@pytest.mark.parametrize(
    ("choice", "named", "reason"),
    [
        ("z", True, "no band z among g, r, i"),
        ("g", False, "the file does not name its bands; choose them by number, such as `bands` 0"),
        ("3", False, "3 band[(]s[)], and number 3, counted from 0, was asked for"),
    ],
)
def test_bands_that_no_file_has_are_refused_in_one_sentence(choice, named, reason, folder):
    with pytest.raises(UserError, match=f"none of the 2 files below .* gives a stamp; the first, 0.fits.gz: {reason}"):
        load_stamps(folder("gri", "gri", named=named), bands=choice)
