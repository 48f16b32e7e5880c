"""Stamps from files: what is read, what is set aside and why, what the cache keeps."""

import gzip
import hashlib
import io
import multiprocessing
import os
import resource
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lens_common.data import cache as decoded
from lens_common.data.decoding import (
    Rejection,
    _any_image,
    _plain_image,
    decode_stamp,
    read_stamp,
    read_stamp_and_header,
    repair_stamp,
)
from lens_common.data.headers import StampError
from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError

# 0 to 99 row by row; without its last pixel the median is 49, the middle one of 0 to 98.
COUNTING = np.arange(100, dtype=np.float32).reshape(10, 10)


def load(folder, workers=1):
    return load_stamps(folder, workers=workers)


def with_pixels(value, n_pixels):
    """COUNTING with its last pixels replaced."""
    pixels = COUNTING.copy().ravel()
    pixels[len(pixels) - n_pixels :] = value
    return pixels.reshape(10, 10)


@pytest.fixture
def folder(tmp_path, cache):
    """Folder of a data set with a cache of its own."""
    return tmp_path / "data"


def reason_of(folder, path):
    """Return why a file was set aside, and that the rest of the data set was kept."""
    data = load(folder)
    assert path not in data.paths
    assert len(data.ids) == 4
    (row,) = data.rejected
    assert (row.path, row.action) == (path, "set aside")
    return row.reason


# Good files.


def test_a_data_set_is_loaded_with_its_pixels_ids_and_labels(folder, write_dataset):
    written = write_dataset(folder)
    data = load(folder)
    assert list(data.paths) == sorted(written)
    assert list(data.ids) == [
        "lensed_outputs/0/lensed_0",
        "lensed_outputs/1/lensed_2",
        "unlensed_outputs/0/unlensed_1",
        "unlensed_outputs/1/unlensed_3",
    ]
    assert list(data.labels) == [1, 1, 0, 0]
    assert np.array_equal(data.pixels[:, 0], [written[path] for path in sorted(written)])
    assert data.rejected == []


def test_stamps_are_float32_of_this_machine_though_fits_is_big_endian(folder, write_stamp):
    write_stamp(folder / "a.fits", COUNTING)
    found = load(folder).pixels
    assert found.dtype == np.dtype("=f4")
    assert found.shape == (1, 1, 10, 10)
    assert np.array_equal(found[0, 0], COUNTING)


def test_pixels_are_counts_in_rows_as_fits_orders_them(folder):
    # By hand: NAXIS1 = 3 runs fastest, so 0 1 2 is the first row of two.
    cards = ["SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    2"]
    cards += ["NAXIS1  =                    3", "NAXIS2  =                    2", "END"]
    content = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    pixels = b"".join(bytes.fromhex(number) for number in ("00000000", "3f800000", "40000000", "40400000"))
    folder.mkdir()
    (folder / "a.fits").write_bytes(content + (pixels + bytes.fromhex("4080000040a00000")).ljust(2880, b"\0"))
    assert read_stamp(folder / "a.fits").tolist() == [[[0, 1, 2], [3, 4, 5]]]


def test_gzip_is_told_by_content_not_by_name(folder, fits_bytes):
    folder.mkdir()
    (folder / "a.fits").write_bytes(gzip.compress(fits_bytes(COUNTING)))
    (folder / "b.fits.gz").write_bytes(fits_bytes(COUNTING))
    assert np.array_equal(load(folder).pixels[:, 0], [COUNTING, COUNTING])


def test_a_gzip_of_two_members_is_read_whole(folder, fits_bytes):
    folder.mkdir()
    content = fits_bytes(COUNTING)
    (folder / "a.fits.gz").write_bytes(gzip.compress(content[:3000]) + gzip.compress(content[3000:]))
    assert np.array_equal(read_stamp(folder / "a.fits.gz")[0], COUNTING)


def test_a_cube_is_a_stamp_of_several_bands(folder, write_stamp):
    cube = np.stack([COUNTING, COUNTING + 100, COUNTING + 200])
    write_stamp(folder / "a.fits.gz", cube)
    assert np.array_equal(load(folder).pixels, cube[None])


def test_integers_are_scaled_by_bscale_and_bzero(folder, write_stamp):
    write_stamp(folder / "a.fits", np.array([[0, 1], [2, -3]], "i2"), ["BSCALE  = 0.5", "BZERO   = 10.0"])
    assert read_stamp(folder / "a.fits").tolist() == [[[10, 10.5], [11, 8.5]]]


def test_the_blank_of_integers_is_not_a_number(folder, write_stamp):
    pixels = np.arange(100, dtype="i2").reshape(10, 10)
    write_stamp(folder / "a.fits", pixels, ["BLANK   =                   99"])
    data = load(folder)
    assert data.pixels[0, 0, 9, 9] == 49
    assert data.rejected[0].n_nonfinite == 1


def test_an_image_in_an_extension_is_found(folder):
    folder.mkdir()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(COUNTING)]).writeto(str(folder / "a.fits"))
    assert np.array_equal(read_stamp(folder / "a.fits")[0], COUNTING)


def test_a_table_before_the_image_is_passed_over(folder):
    folder.mkdir()
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=[1.0, 2.0])])
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(COUNTING)]).writeto(str(folder / "a.fits"))
    assert np.array_equal(read_stamp(folder / "a.fits")[0], COUNTING)


def test_a_compressed_image_is_read(folder):
    folder.mkdir()
    whole_numbers = COUNTING.astype("i2")  # compressed without loss
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(whole_numbers)]).writeto(str(folder / "a.fits"))
    assert np.array_equal(read_stamp(folder / "a.fits")[0], COUNTING)


# As telescopes and surveys write them: what astropy itself reads is expected.


def written(folder, name, *units):
    """Write units into a file; its path, and the first image with pixels, as astropy reads it."""
    folder.mkdir(exist_ok=True)
    fits.HDUList(list(units)).writeto(str(folder / name))
    with fits.open(str(folder / name)) as found:
        return folder / name, next(np.array(unit.data) for unit in found if unit.is_image and unit.data is not None)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", "<i2", "<f8"])
def test_every_type_of_pixel_is_read_as_astropy_reads_it(dtype, folder):
    pixels = (COUNTING * 2.5).astype(dtype)  # u2 and u4 are stored with a BZERO; whatever is written is big-endian
    path, expected = written(folder, "a.fits", fits.PrimaryHDU(pixels))
    assert np.array_equal(expected, pixels)
    assert np.array_equal(read_stamp(path)[0], expected)


@pytest.mark.parametrize(("bscale", "bzero"), [(0.25, -7.0), (1.0, 32768.0)])
def test_scaled_integers_with_a_blank_are_read_and_the_blank_is_not_a_number(bscale, bzero, folder, write_stamp):
    stored = np.arange(100, dtype="i2").reshape(10, 10)
    cards = [f"BSCALE  = {bscale}", f"BZERO   = {bzero}", "BLANK   = 7"]
    write_stamp(folder / "a.fits", stored, cards)
    with fits.open(str(folder / "a.fits"), uint=False) as found:
        expected = np.array(found[0].data)
    assert np.isnan(expected[0, 7]) and expected[0, 8] == 8 * bscale + bzero
    np.testing.assert_array_equal(read_stamp(folder / "a.fits")[0], expected)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"])
def test_tile_compressed_integers_are_read_as_astropy_reads_them(kind, folder):
    unit = fits.CompImageHDU(COUNTING.astype("i2"), compression_type=kind)
    path, expected = written(folder, "a.fits.fz", fits.PrimaryHDU(), unit)
    assert np.array_equal(expected, COUNTING)
    data = load(folder)
    assert list(data.ids) == ["a"]
    assert np.array_equal(data.pixels[0, 0], expected)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("dithering", [-1, 1, 2])
def test_quantised_floats_are_read_as_astropy_reads_them(kind, dithering, folder):
    pixels = np.random.RandomState(0).normal(5, 3, (45, 45)).astype("f4")
    options = {"compression_type": kind, "quantize_method": dithering, "dither_seed": 1}
    path, expected = written(folder, "a.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(pixels, **options))
    assert 0 < np.abs(expected - pixels).max() < 0.5  # quantised, in steps of a quarter of the noise
    assert np.array_equal(read_stamp(path)[0], expected)


@pytest.mark.parametrize("name", ["quantised-rice.fits.fz", "quantised-gzip.fits.fz"])
def test_the_blank_of_quantised_floats_is_not_a_number(name):
    # Made by astropy 8.0 of this array: tiles of 10 x 10, quantize_level 16, dithering 1 and 2.
    # Astropy 5.2 reads numbers where there are none.
    expected = np.random.RandomState(0).normal(5, 3, (20, 20)).astype("f4")
    expected[3::10, 4::10] = np.nan
    found = read_stamp(Path(__file__).parents[1] / "fixtures" / name)
    np.testing.assert_allclose(found[0], expected, atol=0.12)  # half a step of 0.22


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1"])
def test_the_blank_of_compressed_integers_is_not_a_number(kind, folder):
    unit = fits.CompImageHDU(COUNTING.astype("i2"), compression_type=kind)
    unit.header["BLANK"] = 99
    path, _ = written(folder, "a.fits.fz", fits.PrimaryHDU(), unit)
    expected = with_pixels(np.nan, 1)
    np.testing.assert_array_equal(read_stamp(path)[0], expected)


def test_of_several_images_the_first_with_pixels_is_taken_whatever_their_shapes(folder):
    others = [fits.ImageHDU(), fits.ImageHDU(COUNTING), fits.ImageHDU(np.ones((3, 4))), fits.ImageHDU(COUNTING + 1)]
    path, expected = written(folder, "a.fits", fits.PrimaryHDU(), *others)
    assert np.array_equal(expected, COUNTING)
    assert np.array_equal(read_stamp(path)[0], expected)


@pytest.mark.parametrize("shape", [(1, 1, 10, 10), (1, 3, 10, 10), (1, 1, 1, 10, 10)])
def test_axes_of_length_one_before_the_bands_are_taken_off(shape, folder, write_stamp):
    pixels = np.random.RandomState(0).normal(size=shape).astype("f4")
    write_stamp(folder / "a.fits", pixels)
    assert np.array_equal(read_stamp(folder / "a.fits"), pixels.reshape(shape[-3:]))


@pytest.mark.parametrize("length", [2880, 4000, 2880 * 2 + 100])
def test_a_truncated_compressed_file_is_set_aside(folder, write_dataset, length):
    write_dataset(folder)
    path, _ = written(folder, "z.fits.fz", fits.PrimaryHDU(), fits.CompImageHDU(COUNTING.astype("i2")))
    path.write_bytes(path.read_bytes()[:length])
    assert reason_of(folder, "z.fits.fz").split(":")[0] in ("damaged FITS", "no image in the FITS file")


def test_an_image_without_pixels_is_set_aside(folder, write_dataset, write_stamp):
    write_dataset(folder)
    write_stamp(folder / "z.fits", np.zeros((0, 10), "f4"))
    assert reason_of(folder, "z.fits") == "no image in the FITS file"


# Pixel scale and zero-point.

NAMED_AS_IN_2018 = "{0}_outputs/0/{0}_{1}_200_0.8_30_0.4_2_imgs.fits"


def numbers_of(folder):
    data = load(folder)
    return data.pixel_scale_arcsec, data.zero_point_mag


def test_a_data_set_has_the_scale_and_zero_point_of_its_headers_from_the_cache_too(folder, write_stamp):
    write_stamp(folder / "a.fits", COUNTING, ["PIXSCALE= 0.263", "MAGZERO = 22.5"])
    assert numbers_of(folder) == numbers_of(folder) == (0.263, 22.5)
    assert load(folder)[np.array([0])].pixel_scale_arcsec == 0.263


def test_the_header_of_an_extension_counts_before_that_of_the_primary_unit(folder):
    primary = fits.PrimaryHDU(header=fits.Header({"PIXSCALE": 0.5, "MAGZERO": 25.0}))
    written(folder, "a.fits", primary, fits.ImageHDU(COUNTING, fits.Header({"PIXSCALE": 0.263})))
    assert numbers_of(folder) == (0.263, 25.0)


def test_a_compressed_image_has_the_scale_of_its_header(folder):
    unit = fits.CompImageHDU(COUNTING.astype("i2"), fits.Header({"PIXSCALE": 0.263}))
    written(folder, "a.fits.fz", fits.PrimaryHDU(), unit)
    assert load(folder).pixel_scale_arcsec == 0.263


def test_bare_headers_under_names_of_2018_have_its_scale_and_zero_point(folder, write_stamp):
    # 0.18 arcsec and zero-point 30: the README of the PICS mocks.
    write_stamp(folder / NAMED_AS_IN_2018.format("lensed", 0), COUNTING)
    assert numbers_of(folder) == (0.18, 30)


def test_a_header_counts_before_a_name_of_2018(folder, write_stamp):
    write_stamp(folder / NAMED_AS_IN_2018.format("lensed", 0), COUNTING, ["PIXSCALE= 0.263", "MAGZERO = 22.5"])
    assert numbers_of(folder) == (0.263, 22.5)


def test_bare_headers_under_other_names_say_nothing(folder, write_stamp):
    write_stamp(folder / NAMED_AS_IN_2018.format("lensed", 0), COUNTING)
    write_stamp(folder / "lensed_outputs/0/cutout.fits", COUNTING)
    assert np.isnan(numbers_of(folder)).all()


def test_a_stamp_of_another_known_scale_than_most_is_set_aside_and_one_of_unknown_scale_is_not(folder, write_stamp):
    for name, scale in (("a", 0.4), ("b", 0.263), ("c", 0.2625), ("d", 0.263)):
        write_stamp(folder / f"{name}.fits", COUNTING, [f"PIXSCALE= {scale}"])
    write_stamp(folder / "e.fits", COUNTING + 1)
    data = load(folder)
    assert list(data.ids) == ["b", "c", "d", "e"]
    assert data.pixels[3, 0, 0, 0] == 1
    assert data.pixel_scale_arcsec == 0.263
    assert data.rejected == [
        Rejection("a", "a.fits", "set aside", 0, "pixels of 0.4 arcsec; the other stamps have 0.263")
    ]


def test_a_stamp_of_oblong_pixels_is_set_aside(folder, write_dataset, write_stamp):
    write_dataset(folder)
    cards = ["CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'", "CDELT1  = -1E-4", "CDELT2  = 2E-4"]
    write_stamp(folder / "z.fits", COUNTING, cards)
    assert reason_of(folder, "z.fits") == "pixels of 0.36 by 0.72 arcsec; resample them to square ones"


def test_a_last_block_without_its_padding_is_read(folder, fits_bytes):
    folder.mkdir()
    (folder / "a.fits").write_bytes(fits_bytes(COUNTING)[: 2880 + 400])
    assert np.array_equal(read_stamp(folder / "a.fits")[0], COUNTING)


def test_a_header_with_letters_beyond_ascii_is_read(folder, fits_bytes):
    folder.mkdir()
    content = fits_bytes(COUNTING, ["OBSERVER= 'Zo@'"]).replace(b"@", b"\xeb", 1)
    (folder / "a.fits").write_bytes(content)
    assert np.array_equal(read_stamp(folder / "a.fits")[0], COUNTING)


@pytest.mark.filterwarnings("error")
def test_a_bad_file_gives_a_reason_and_no_warning_beside_it(folder, fits_bytes):
    folder.mkdir()
    (folder / "a.fits").write_bytes(fits_bytes(COUNTING)[:3000])
    with pytest.raises(StampError, match="damaged FITS"):
        read_stamp(folder / "a.fits")


# Bad files.


def test_an_empty_folder_is_the_users_mistake(folder):
    folder.mkdir()
    with pytest.raises(UserError, match=r"no \.fits, \.fit or \.fts .*file below"):
        load(folder)


@pytest.mark.parametrize("length", [3, 10, 11, 40, 300, -9, -8, -4, -1])
def test_a_truncated_gzip_is_set_aside(folder, write_dataset, fits_bytes, length):
    write_dataset(folder)
    whole = gzip.compress(fits_bytes(np.random.RandomState(0).normal(size=(10, 10)).astype("f4")))
    (folder / "z.fits.gz").write_bytes(whole[:length])
    assert reason_of(folder, "z.fits.gz").startswith("damaged gzip: ")


def test_a_gzip_with_a_wrong_checksum_is_set_aside(folder, write_dataset, fits_bytes):
    write_dataset(folder)
    whole = bytearray(gzip.compress(fits_bytes(COUNTING)))
    whole[-8] ^= 1
    (folder / "z.fits.gz").write_bytes(whole)
    assert reason_of(folder, "z.fits.gz").startswith("damaged gzip: ")


@pytest.mark.parametrize("length", [2880, 2881, 2880 + 399])
def test_a_truncated_fits_is_set_aside(folder, write_dataset, fits_bytes, length):
    write_dataset(folder)
    (folder / "z.fits").write_bytes(fits_bytes(COUNTING)[:length])
    assert reason_of(folder, "z.fits").startswith("damaged FITS: ")


def test_a_truncated_header_is_set_aside(folder, write_dataset, fits_bytes):
    write_dataset(folder)
    (folder / "z.fits").write_bytes(fits_bytes(COUNTING)[:400])
    assert reason_of(folder, "z.fits").startswith("damaged FITS: ")


def test_a_fits_without_an_image_is_set_aside(folder, write_dataset):
    write_dataset(folder)
    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    0",
        "END",
    ]
    (folder / "z.fits").write_bytes("".join(card.ljust(80) for card in cards).ljust(2880).encode())
    assert reason_of(folder, "z.fits") == "no image in the FITS file"


@pytest.mark.parametrize("shape", [(100,), (2, 1, 10, 10)])
def test_an_image_of_one_or_four_axes_is_set_aside(folder, write_dataset, write_stamp, shape):
    write_dataset(folder)
    write_stamp(folder / "z.fits", np.zeros(shape, "f4"))
    assert reason_of(folder, "z.fits") == f"image has shape {shape}; expected (H, W) or (bands, H, W)"


@pytest.mark.parametrize("name", ["a.fits.gz", "z.fits.gz"])
def test_a_44x45_stamp_among_45x45_is_set_aside_wherever_it_comes(folder, write_dataset, write_stamp, name):
    write_dataset(folder, side=45)
    write_stamp(folder / name, np.zeros((44, 45), "f4"))
    assert reason_of(folder, name) == "shape (1, 44, 45); the other stamps have (1, 45, 45)"


def test_a_stamp_of_another_number_of_bands_is_set_aside(folder, write_dataset, write_stamp):
    write_dataset(folder)
    write_stamp(folder / "z.fits", np.zeros((3, 10, 10), "f4"))
    assert reason_of(folder, "z.fits") == "shape (3, 10, 10); the other stamps have (1, 10, 10)"


def test_all_nan_is_set_aside(folder, write_dataset, write_stamp):
    write_dataset(folder)
    write_stamp(folder / "z.fits.gz", np.full((10, 10), np.nan, "f4"))
    assert reason_of(folder, "z.fits.gz").startswith("100 of 100 pixels are not finite")


def test_text_named_fits_gz_is_set_aside(folder, write_dataset):
    write_dataset(folder)
    (folder / "z.fits.gz").write_text("see the readme\n")
    assert reason_of(folder, "z.fits.gz") == "not a FITS file"


def test_a_file_of_zero_bytes_is_set_aside(folder, write_dataset):
    write_dataset(folder)
    (folder / "z.fits.gz").write_bytes(b"")
    assert reason_of(folder, "z.fits.gz") == "empty file"


def test_a_gzip_of_nothing_is_set_aside(folder, write_dataset):
    write_dataset(folder)
    (folder / "z.fits.gz").write_bytes(gzip.compress(b""))
    assert reason_of(folder, "z.fits.gz") == "not a FITS file"


@pytest.mark.parametrize("card", ["COMMENT", "ZTILE2  =                    0", "ZTILE2  = 'x'", "END     = 0"])
def test_a_compressed_image_without_tiles_ends_no_process(card):
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((9, 9), np.float32))]).writeto(file)
    content = file.getvalue()
    place = content.find(b"ZTILE2  =")
    with pytest.raises(StampError, match="ZTILE2 is"):
        decode_stamp(content[:place] + card.encode().ljust(80) + content[place + 80 :])


def test_a_dangling_link_is_set_aside(folder, write_dataset):
    write_dataset(folder)
    (folder / "z.fits").symlink_to("nowhere")
    assert reason_of(folder, "z.fits") == "cannot be read: No such file or directory"


def test_a_file_that_may_not_be_read_is_set_aside(open_folder, monkeypatch, run_in_child, write_dataset, write_stamp):
    monkeypatch.setenv("LENS_CACHE", str(open_folder / "cache"))
    write_dataset(open_folder / "data")
    write_stamp(open_folder / "data/z.fits", COUNTING)
    read_stamp(open_folder / "data/z.fits")  # what astropy imports late is imported before the child loses its rights
    (open_folder / "data/z.fits").chmod(0o000)
    reason, status = run_in_child(lambda: reason_of(open_folder / "data", "z.fits"), unprivileged=True)
    assert (reason, status) == ("cannot be read: Permission denied", 0)


def test_the_reason_of_the_first_file_is_told_where_none_gives_a_stamp(folder):
    folder.mkdir()
    (folder / "a.fits").write_bytes(b"")
    (folder / "b.fits").write_bytes(b"text")
    with pytest.raises(
        UserError, match=r"none of the 2 files below .*data gives a stamp; the first, a\.fits: empty file"
    ):
        load(folder)


def test_a_failed_load_leaves_nothing_in_the_cache(folder, cache):
    folder.mkdir()
    (folder / "a.fits").write_bytes(b"")
    with pytest.raises(UserError):
        load(folder)
    assert [path for path in (cache / "stamps").rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_the_second_file_of_one_id_is_set_aside(folder, write_stamp):
    name = "lensed_outputs/0/lensed_7_1_1_1_1_{}_imgs.fits"
    write_stamp(folder / name.format(1), COUNTING)
    write_stamp(folder / name.format(2), COUNTING + 1)
    data = load(folder)
    assert list(data.paths) == [name.format(1)]
    assert np.array_equal(data.pixels[0, 0], COUNTING)
    assert data.rejected == [
        Rejection("lensed_outputs/0/lensed_7", name.format(2), "set aside", 0, f"same id as {name.format(1)}")
    ]


def test_a_bad_file_does_not_take_the_place_of_a_good_one_of_its_id(folder, write_stamp):
    folder.mkdir()
    (folder / "a.fits").write_bytes(b"")
    write_stamp(folder / "a.fits.gz", COUNTING)
    assert list(load(folder).paths) == ["a.fits.gz"]


def test_a_second_file_of_one_id_is_not_called_repaired(folder, write_stamp):
    write_stamp(folder / "a.fits", COUNTING)
    write_stamp(folder / "a.fits.gz", with_pixels(np.nan, 1))
    assert [(row.path, row.action) for row in load(folder).rejected] == [("a.fits.gz", "set aside")]


# Pixels that are not finite.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_not_finite_becomes_the_median_of_the_others(folder, write_stamp, value):
    pixels = with_pixels(value, 1)
    pixels[0, 0] = -1000  # moves the mean, not the median
    write_stamp(folder / "lensed_outputs/0/lensed_7_1_1_1_1_1_imgs.fits", pixels)
    data = load(folder)
    expected = pixels.copy()
    expected[9, 9] = 49
    assert np.array_equal(data.pixels[0, 0], expected)
    assert data.rejected == [
        Rejection(
            id="lensed_outputs/0/lensed_7",
            path="lensed_outputs/0/lensed_7_1_1_1_1_1_imgs.fits",
            action="repaired",
            n_nonfinite=1,
            reason="1 of 100 pixels were not finite and became the median",
        )
    ]


def test_a_double_beyond_float32_counts_as_not_finite(folder, write_stamp):
    pixels = COUNTING.astype("f8")
    pixels[9, 9] = 1e300
    write_stamp(folder / "a.fits", pixels)
    data = load(folder)
    assert data.pixels[0, 0, 9, 9] == 49
    assert data.rejected[0].n_nonfinite == 1


def test_one_percent_is_repaired(folder, write_stamp):
    write_stamp(folder / "a.fits", with_pixels(np.nan, 1))
    assert [row.action for row in load(folder).rejected] == ["repaired"]


def test_two_percent_are_set_aside(folder, write_stamp):
    write_stamp(folder / "a.fits", COUNTING)
    write_stamp(folder / "b.fits", with_pixels(np.nan, 2))
    data = load(folder)
    assert list(data.ids) == ["a"]
    assert data.rejected == [
        Rejection("b", "b.fits", "set aside", 2, "2 of 100 pixels are not finite; at most 1 % may be")
    ]


@pytest.mark.parametrize(("n_pixels", "kept"), [(20, True), (21, False)])
def test_of_45x45_pixels_20_may_be_missing_and_21_may_not(folder, write_stamp, n_pixels, kept):
    pixels = np.zeros(2025, "f4")
    pixels[:n_pixels] = np.nan
    write_stamp(folder / "a.fits", np.zeros((45, 45), "f4"))
    write_stamp(folder / "b.fits", pixels.reshape(45, 45))
    assert ("b" in load(folder).ids) is kept


def test_the_median_of_an_even_number_of_pixels_is_between_the_middle_two():
    # 98 finite pixels of 200: 0 to 197, the middle ones 98 and 99.
    stamp = np.arange(200, dtype="f4").reshape(1, 10, 20)
    stamp[0, 9, 18:] = np.nan
    repaired, n_nonfinite = repair_stamp(stamp)
    assert repaired[0, 9, 18:].tolist() == [98.5, 98.5]
    assert n_nonfinite == 2


def test_each_band_is_repaired_with_its_own_median():
    stamp = np.stack([with_pixels(np.nan, 1), COUNTING + 1000])
    stamp[1, 9, 9] = np.nan
    repaired, n_nonfinite = repair_stamp(stamp)
    assert repaired[:, 9, 9].tolist() == [49, 1049]
    assert n_nonfinite == 2


def test_a_band_without_a_finite_pixel_is_refused_though_it_is_less_than_a_percent():
    stamp = np.zeros((101, 10, 10), "f4")
    stamp[50] = np.nan
    with pytest.raises(StampError, match="100 of 100 pixels of band number 50, counted from 0, are not finite"):
        repair_stamp(stamp)


def test_repairing_does_not_touch_what_it_was_given():
    stamp = with_pixels(np.nan, 1)[None]
    repair_stamp(stamp)
    assert np.isnan(stamp[0, 9, 9])


# One process or two.


def test_two_workers_give_what_one_gives(tmp_path, monkeypatch, write_stamp):
    folder = tmp_path / "data"
    pixels = np.random.RandomState(0).normal(size=(260, 6, 6)).astype("f4")  # more than one chunk of 250
    pixels[255, 0, 0] = np.nan  # more than 1 % of 36: set aside
    for number, stamp in enumerate(pixels):
        write_stamp(folder / f"{number:03}.fits", stamp)
    (folder / "003.fits").write_bytes(b"")
    loaded = []
    for workers in (1, 2):
        monkeypatch.setenv("LENS_CACHE", str(tmp_path / f"cache{workers}"))
        loaded.append(load(folder, workers))
    one, two = loaded
    good = np.delete(pixels, [3, 255], axis=0)
    assert np.array_equal(one.pixels[:, 0], good)
    assert np.array_equal(two.pixels[:, 0], good)
    assert list(one.ids) == list(two.ids)
    assert [row.path for row in two.rejected] == ["003.fits", "255.fits"]
    assert one.rejected == two.rejected
    assert one.data_hash == two.data_hash


# The cache.


@pytest.fixture
def no_reading(monkeypatch):
    """Return a function after whose call no stamp file can be read."""

    def forbid():
        def refuse(path):
            raise AssertionError(f"{path} was read again")

        monkeypatch.setattr(decoded, "read_stamp_and_header", refuse)

    return forbid


def test_a_second_load_reads_no_file(folder, write_dataset, no_reading):
    write_dataset(folder)
    (folder / "z.fits").write_bytes(b"")
    first = load(folder)
    no_reading()
    second = load(folder)
    assert np.array_equal(first.pixels, second.pixels)
    assert list(first.ids) == list(second.ids)
    assert list(first.labels) == list(second.labels)
    assert first.rejected == second.rejected
    assert first.data_hash == second.data_hash


def test_stamps_are_mapped_from_disk_and_cannot_be_written(folder, write_dataset):
    write_dataset(folder)
    found = load(folder).pixels
    assert isinstance(found, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def rewrite(path, fits_bytes, pixels, mtime_ns):
    path.write_bytes(fits_bytes(pixels))
    os.utime(str(path), ns=(mtime_ns, mtime_ns))


def test_a_file_of_another_time_is_read_again(folder, fits_bytes):
    folder.mkdir()
    rewrite(folder / "a.fits", fits_bytes, COUNTING, 10**18)
    load(folder)
    rewrite(folder / "a.fits", fits_bytes, COUNTING + 1, 10**18 + 1)
    assert load(folder).pixels[0, 0, 0, 0] == 1


def test_a_file_of_another_size_is_read_again(folder, fits_bytes):
    folder.mkdir()
    rewrite(folder / "a.fits", fits_bytes, COUNTING, 10**18)
    load(folder)
    rewrite(folder / "a.fits", fits_bytes, np.full((30, 30), 7, "f4"), 10**18)
    assert load(folder).pixels.shape == (1, 1, 30, 30)


def test_a_new_file_and_a_removed_one_are_seen(folder, write_stamp):
    for name in "ab":
        write_stamp(folder / f"{name}.fits", COUNTING)
    load(folder)
    (folder / "a.fits").unlink()
    write_stamp(folder / "c.fits", COUNTING)
    assert list(load(folder).ids) == ["b", "c"]


def test_two_folders_with_equal_files_do_not_share_a_cache(tmp_path, cache, fits_bytes):
    for name, value in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        rewrite(tmp_path / name / "a.fits", fits_bytes, np.full((10, 10), value, "f4"), 10**18)
    assert load(tmp_path / "one").pixels[0, 0, 0, 0] == 1
    assert load(tmp_path / "two").pixels[0, 0, 0, 0] == 2


def test_a_folder_under_another_spelling_is_the_same(folder, write_dataset, no_reading, monkeypatch):
    write_dataset(folder)
    load(folder)
    no_reading()
    monkeypatch.chdir(folder.parent)
    assert len(load("data").ids) == 4


def test_a_cache_that_cannot_be_made_gives_way_to_a_temporary_folder(
    folder, tmp_path, monkeypatch, write_dataset, no_reading
):
    (tmp_path / "file").write_text("no folder can be made below a file, not even by root")
    monkeypatch.setenv("LENS_CACHE", str(tmp_path / "file/cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_dataset(folder)
    assert len(load(folder).ids) == 4
    no_reading()
    assert len(load(folder).ids) == 4


def test_a_cache_that_may_not_be_written_gives_way_to_a_temporary_folder(
    open_folder, monkeypatch, run_in_child, write_dataset
):
    monkeypatch.setenv("LENS_CACHE", str(open_folder / "locked"))
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    write_dataset(open_folder / "data")
    (open_folder / "locked").mkdir(mode=0o555)
    n_stamps, _ = run_in_child(lambda: len(load(open_folder / "data").ids), unprivileged=True)
    assert n_stamps == 4
    assert list((open_folder / "locked").iterdir()) == []


def test_a_full_disk_under_the_cache_is_told_with_the_remedy(folder, cache, run_in_child, write_dataset):
    write_dataset(folder)

    def attempt():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # four stamps take 1600 bytes
        try:
            return load(folder)
        except UserError as error:
            return str(error)

    sentence, _ = run_in_child(attempt)
    assert sentence.startswith(f"cannot keep the decoded stamps in {cache}/stamps/")
    assert sentence.endswith(": File too large; free some space or point LENS_CACHE at another folder")
    assert [path for path in (cache / "stamps").rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_the_cache_claims_its_space_before_it_is_written(tmp_path, run_in_child, write_stamp):
    # Pages of a file with holes cannot be written on a full disk: the process dies of SIGBUS.
    target = tmp_path / "pixels"
    write_stamp(tmp_path / "a.fits", np.zeros((200, 200), "f4"))
    monkey = decoded.StampFile("a", "a.fits", None, 0, 0)
    seen = []
    chunk = decoded._decode_chunk

    def watch(job):
        seen.append(target.stat().st_blocks * 512)
        return chunk(job)

    def decode():
        decoded._decode_chunk = watch
        decoded._decode(decoded._Task(tmp_path, [monkey], target, (), (1, 200, 200), ()), 1, False)
        return seen

    (blocks,), _ = run_in_child(decode)
    assert blocks >= 160_000


CACHE_DAMAGE = {
    "index emptied": lambda cached: (cached / "index.json").write_text(""),
    "index of something else": lambda cached: (cached / "index.json").write_text("[1]"),
    "index gone": lambda cached: (cached / "index.json").unlink(),
    "pixels gone": lambda cached: (cached / "pixels.f32").unlink(),
    "pixels cut": lambda cached: os.truncate(str(cached / "pixels.f32"), 1000),
}


@pytest.mark.parametrize("damage", list(CACHE_DAMAGE))
def test_a_damaged_cache_is_made_again(folder, cache, write_dataset, damage):
    written = write_dataset(folder)
    load(folder)
    (cached,) = (path.parent for path in (cache / "stamps").glob("*/*/index.json"))
    CACHE_DAMAGE[damage](cached)
    assert np.array_equal(load(folder).pixels[:, 0], [written[path] for path in sorted(written)])


def test_a_killed_first_load_leaves_no_half_cache(folder, cache, run_in_child, write_dataset, monkeypatch):
    written = write_dataset(folder, n_stamps=6)
    seen = []

    def die_half_way(path):
        seen.append(path)
        if len(seen) == 6 + 3:  # six to learn the shape, then three of six
            os.kill(os.getpid(), signal.SIGKILL)
        return read_stamp_and_header(path)

    with monkeypatch.context() as patch:
        patch.setattr(decoded, "read_stamp_and_header", die_half_way)
        _, status = run_in_child(lambda: load(folder))
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert list((cache / "stamps").glob("*/*.partial"))
    assert np.array_equal(load(folder).pixels[:, 0], [written[path] for path in sorted(written)])


def test_two_processes_that_load_at_once_decode_once(folder, cache, tmp_path, write_dataset, monkeypatch):
    write_dataset(folder)
    decode = decoded._decode

    def count_and_decode(*arguments):
        with open(tmp_path / "decoded", "a") as file:
            file.write("once\n")
        return decode(*arguments)

    monkeypatch.setattr(decoded, "_decode", count_and_decode)
    processes = [multiprocessing.get_context("fork").Process(target=load, args=(folder,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "decoded").read_text() == "once\n"


def test_a_changed_data_set_takes_the_place_of_its_outdated_cache(folder, cache, write_dataset, write_stamp):
    write_dataset(folder)
    load(folder)
    write_stamp(folder / "another.fits", COUNTING)
    load(folder)
    assert len(list((cache / "stamps").glob("*/*/index.json"))) == 1


# The data hash.


def test_the_digest_is_of_the_little_endian_float32_pixels(folder, write_stamp):
    write_stamp(folder / "a.fits", COUNTING)
    little_endian = COUNTING.astype("<f4").tobytes()
    assert list(load(folder).digests) == [hashlib.sha256(little_endian).hexdigest()[:16]]


def test_the_data_hash_is_over_sorted_ids_and_digests(folder, write_stamp):
    write_stamp(folder / "b.fits", COUNTING)
    write_stamp(folder / "a.fits", COUNTING + 1)
    digests = [hashlib.sha256((COUNTING + add).astype("<f4").tobytes()).hexdigest()[:16] for add in (1, 0)]
    expected = hashlib.sha256(f"a:{digests[0]}\nb:{digests[1]}\n".encode()).hexdigest()
    assert load(folder).data_hash == expected


def test_the_data_hash_changes_with_one_pixel(folder, write_stamp):
    write_stamp(folder / "a/x.fits", COUNTING)
    write_stamp(folder / "b/x.fits", with_pixels(np.nextafter(np.float32(99), np.float32(100)), 1))
    assert load(folder / "a").data_hash != load(folder / "b").data_hash


def test_the_data_hash_changes_with_one_id(folder, write_stamp):
    write_stamp(folder / "a/x.fits", COUNTING)
    write_stamp(folder / "b/y.fits", COUNTING)
    assert load(folder / "a").data_hash != load(folder / "b").data_hash


def test_the_data_hash_does_not_change_with_folder_gzip_or_precision(folder, write_stamp):
    write_stamp(folder / "a/x.fits", COUNTING)
    write_stamp(folder / "b/x.fits.gz", COUNTING.astype("f8"))
    assert load(folder / "a").data_hash == load(folder / "b").data_hash


def test_the_data_hash_does_not_change_with_the_named_parent(folder, write_dataset):
    write_dataset(folder / "parent/lsst_mocks_single")
    assert load(folder / "parent").data_hash == load(folder / "parent/lsst_mocks_single").data_hash


def test_the_data_hash_does_not_change_with_the_order(folder, write_dataset):
    write_dataset(folder)
    data = load(folder)
    assert data[np.array([2, 0, 3, 1])].data_hash == data.data_hash


def test_taking_stamps_keeps_all_that_belongs_together(folder, write_dataset):
    written = write_dataset(folder)
    taken = load(folder)[np.array([3, 0])]
    paths = [sorted(written)[row] for row in (3, 0)]
    assert list(taken.paths) == paths
    assert list(taken.ids) == ["unlensed_outputs/1/unlensed_3", "lensed_outputs/0/lensed_0"]
    assert list(taken.labels) == [0, 1]
    assert np.array_equal(taken.pixels[:, 0], [written[path] for path in paths])
    assert list(taken.digests) == [hashlib.sha256(written[path].tobytes()).hexdigest()[:16] for path in paths]


# Names.


def test_a_file_name_that_is_not_utf8_does_not_end_the_load(folder, write_stamp):
    write_stamp(folder / "a.fits", COUNTING)
    os.rename(str(folder / "a.fits"), os.fsencode(str(folder)) + b"/\xff.fits")
    assert len(load(Path(folder)).ids) == 1


def test_the_quick_way_to_read_an_image_gives_what_astropy_gives(fits_bytes):
    random_state = np.random.RandomState(0)
    n_quick = 0
    for dtype, shape in [("f4", (9, 7)), ("f8", (2, 9, 7)), ("i2", (9, 7)), ("f4", (1, 9, 7))]:
        pixels = (random_state.normal(0, 100, shape)).astype(dtype)
        content = fits_bytes(pixels, ["OBJECT  = 'lens'", "EXPTIME =                 25.0 / [s]"])
        np.testing.assert_array_equal(_plain_image(content), pixels)
        for _ in range(400):  # and with a byte of its header changed: the same image, or the quick way leaves it
            damaged = bytearray(content)
            damaged[random_state.randint(0, 80 * 9)] = random_state.choice(list(b" 0123456789T=-+.'/_AEF\0\xff"))
            quick = _plain_image(bytes(damaged))
            if quick is not None:
                n_quick += 1
                np.testing.assert_array_equal(quick, _any_image(bytes(damaged))[0])
    assert n_quick > 400


@pytest.mark.parametrize(
    "card", ["BSCALE  =                  2.0", "BZERO   =              32768.0", "BLANK   =                 -999"]
)
def test_an_image_that_astropy_must_scale_is_left_to_it(card, fits_bytes):
    assert _plain_image(fits_bytes(np.arange(20, dtype="i2").reshape(4, 5), [card])) is None


def test_too_few_pixels_and_no_pixels_are_left_to_astropy(fits_bytes):
    content = fits_bytes(np.ones((40, 40), "f4"))
    assert _plain_image(content[: 2880 + 4 * 1600]) is not None
    assert _plain_image(content[: 2880 + 4 * 1600 - 1]) is None
    assert _plain_image(fits_bytes(np.zeros((0, 4), "f4"))) is None
