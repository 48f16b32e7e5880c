"""Cutouts in the layouts of seven surveys, rebuilt from their documented headers: the image, its bands and its scale.

References
----------
CFHTLS: T0007 release notes, MegaCam, 0.186 arcsec.  KiDS: arXiv:1703.02991, OmegaCAM, 0.20.  DES: arXiv:1801.03181,
coadds SCI, MSK, WGT, 0.263, zero-point 30.  HSC: arXiv:1905.12221, IMAGE, MASK, VARIANCE, 0.168.  Euclid:
arXiv:2405.13491, VIS, SCI, RMS, FLG, 0.1.  HST: drizzled images SCI, WHT, CTX, ACS, 0.05 (DrizzlePac handbook).  Legacy
Surveys: cutouts of the viewer, (bands, H, W) with BANDS and BAND0 to BAND2, 0.262.
"""

import numpy as np
import pytest
from astropy.io import fits

from lens_modern.survey.loading import load_cutouts

SCIENCE = np.random.default_rng(1).normal(0, 3.6, (45, 45)).astype(np.float32)
COLOUR = np.random.default_rng(2).normal(0, 0.01, (3, 45, 45)).astype(np.float32)


def sky(scale_arcsec, matrix=True, **more):
    """Celestial coordinates of a tangential projection, north up, and whatever else."""
    degrees = scale_arcsec / 3600
    header = fits.Header([("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 34.5), ("CRVAL2", -4.5)])
    pairs = {"CD1_1": -degrees, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": degrees}
    header.update(pairs if matrix else {"CDELT1": -degrees, "CDELT2": degrees, "CUNIT1": "deg", "CUNIT2": "deg"})
    header.update(more)
    return header


def other(name, kind=np.float32, make=fits.ImageHDU):
    return make(np.ones((45, 45), kind), name=name)


LAYOUTS = {
    "CFHTLS": ([fits.PrimaryHDU(SCIENCE, sky(0.186, FILTER="g.MP9401", GAIN=1.7))], 0.186),
    "KiDS": ([fits.PrimaryHDU(SCIENCE, sky(0.2, INSTRUME="OMEGACAM"))], 0.2),
    "DES": (
        [
            fits.PrimaryHDU(),
            fits.CompImageHDU(
                SCIENCE, sky(0.263, MAGZERO=30.0, BAND="g"), name="SCI", compression_type="GZIP_2", quantize_level=0
            ),
            other("MSK", np.int32, fits.CompImageHDU),
            other("WGT", np.float32, fits.CompImageHDU),
        ],
        0.263,
    ),
    "HSC": (
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(SCIENCE, sky(0.168), name="IMAGE"),
            other("MASK", np.int32),
            other("VARIANCE"),
        ],
        0.168,
    ),
    "Euclid": (
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(SCIENCE, sky(0.1), name="CCDID 1-1.SCI"),
            other("CCDID 1-1.RMS"),
            other("CCDID 1-1.FLG", np.int32),
        ],
        0.1,
    ),
    "HST": (
        [fits.PrimaryHDU(), fits.ImageHDU(SCIENCE, sky(0.05), name="SCI"), other("WHT"), other("CTX", np.int32)],
        0.05,
    ),
    "Legacy Surveys": (
        [fits.PrimaryHDU(COLOUR, sky(0.262, BANDS="grz", BAND0="g", BAND1="r", BAND2="z"))],
        0.262,
    ),
}


@pytest.mark.parametrize("place", ["file", "folder"])
@pytest.mark.parametrize("survey", LAYOUTS)
def test_the_image_is_read_with_its_scale_and_nothing_else_is(survey, place, tmp_path):
    units, scale_arcsec = LAYOUTS[survey]
    path = tmp_path / f"cutout.fits{'.fz' if survey == 'DES' else ''}"
    fits.HDUList(units).writeto(path)
    stamps = load_cutouts(str(path if place == "file" else tmp_path))
    assert stamps.pixel_scale_arcsec == pytest.approx(scale_arcsec, rel=1e-6) and not stamps.rejected
    expected = COLOUR if survey == "Legacy Surveys" else SCIENCE[None]
    np.testing.assert_allclose(stamps.pixels, expected[None], atol=1e-6)
    assert survey != "DES" or stamps.zero_point_mag == 30
