"""Malformed FITS files, drawn by hypothesis: a stamp or a reason, soon, and in bounded memory."""

import gzip
import io
import os
import resource
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lens_common.data.decoding import decode_stamp, examine_stamp
from lens_common.data.headers import StampError
from lens_common.errors import UserError
from lens_modern.survey.readers import READERS, find_reader

N_CASES = 10_000 if os.environ.get("LENS_THOROUGH") else 500
MOST_BYTES = 300e6  # for files of 20 kB
FUZZ = settings(
    max_examples=N_CASES,
    deadline=10_000,  # ms
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


def content_of(*units):
    file = io.BytesIO()
    fits.HDUList(list(units)).writeto(file)
    return file.getvalue()


def good_files():
    """Small ones of every kind that is read."""
    pixels = np.random.RandomState(0).normal(0, 4, (12, 12)).astype(np.float32)
    integers = fits.PrimaryHDU(np.rint(pixels * 10).astype(np.int16))
    integers.header.update(BSCALE=0.1, BZERO=3.0, BLANK=-32768)
    scaled = fits.PrimaryHDU(pixels)
    scaled.header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CD1_1=-7e-5, CD2_2=7e-5, MAGZERO=27.0)
    plain = content_of(fits.PrimaryHDU(pixels))
    return {
        "plain": plain,
        "gzip": gzip.compress(plain),
        "integers": content_of(integers),
        "coordinates": content_of(scaled),
        "cube": content_of(fits.PrimaryHDU(np.stack([pixels] * 3))),
        "extensions": content_of(fits.PrimaryHDU(), fits.ImageHDU(pixels), fits.ImageHDU(pixels, name="SCI")),
        "tiles": content_of(fits.PrimaryHDU(), fits.CompImageHDU(pixels, compression_type="RICE_1")),
        "table": content_of(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0])])),
    }


FILES = good_files()


@st.composite
def malformed(draw):
    """A file with bytes changed, cards replaced by others, or parts cut out, doubled or filled in."""
    content = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["byte", "card", "number", "cut", "end", "double"]))
        if kind == "byte":
            content[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "card":
            key = draw(
                st.sampled_from(
                    [
                        "NAXIS",
                        "NAXIS1",
                        "NAXIS2",
                        "BITPIX",
                        "BSCALE",
                        "ZNAXIS1",
                        "ZTILE1",
                        "PCOUNT",
                        "TFORM1",
                        "XTENSION",
                        "EXTEND",
                        "END",
                        "GCOUNT",
                        "ZCMPTYPE",
                        "TFIELDS",
                        "SIMPLE",
                    ]
                )
            )
            value = draw(
                st.sampled_from(["0", "-1", "1", "7", "T", "99999", "2147483647", "9" * 19, "1E400", "'x'", ""])
            )
            place = place // 80 * 80
            content[place : place + 80] = f"{key:8}= {value:>20}".ljust(80).encode()
        elif kind == "number":
            value = draw(st.sampled_from(["4096", "-32768", "999999999"])).encode()
            content[place : place + len(value)] = value
        elif kind == "cut":
            del content[place : place + draw(st.integers(1, 3000))]
        elif kind == "end":
            del content[place:]
        else:
            content[place:place] = content[place : place + draw(st.integers(1, 3000))]
    return bytes(content)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """What astropy takes outside of Python's own count is seen in the process's peak."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2 * MOST_BYTES


@FUZZ
@given(malformed())
def test_a_malformed_file_gives_a_stamp_or_a_reason(content):
    tracemalloc.start()
    try:
        outcome = examine_stamp("a", "a.fits", lambda: decode_stamp(content))
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    if outcome.stamp is None:
        assert outcome.rejection.reason
    else:
        assert outcome.stamp.ndim == 3 and outcome.stamp.dtype == np.float32 and np.isfinite(outcome.stamp).all()


@FUZZ
@given(malformed())
def test_a_malformed_container_gives_cutouts_or_a_reason(tmp_path, content):
    path = tmp_path / ("c.fits.gz" if content[:2] == b"\x1f\x8b" else "c.fits")
    path.write_bytes(content)
    tracemalloc.start()
    try:
        reader = READERS[find_reader(path)]
        for _, rows in reader.plan(path, 2):
            for cutout in reader.read(path, rows):
                examine_stamp(cutout.id, cutout.path, cutout.read)
    except (StampError, UserError) as error:
        assert str(path) in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_BYTES


def test_the_good_files_are_read():
    for name, content in FILES.items():
        if name != "table":
            assert decode_stamp(content)[0].shape[1:] == (12, 12)
    with pytest.raises(StampError, match="no image"):
        decode_stamp(FILES["table"])
