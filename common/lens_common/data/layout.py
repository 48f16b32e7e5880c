"""The 2018 layout: where a data set keeps its stamps, and what their names say.

``lsst_mocks_single/{lensed,unlensed}_outputs/<n>/*.fits.gz``, each file named
``{class}_{number}_{velocity dispersion}_{axis ratio}_{position angle}_{z_lens}_{magnification}_imgs.fits.gz``,
and ``catalogue.ecsv`` beside the two class folders.  The writer of mocks and the
reader of stamps both stand on this module; it knows neither of them.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Optional

DATASET_FOLDER = "lsst_mocks_single"
CLASS_FOLDERS = {"lensed_outputs": True, "unlensed_outputs": False}
CATALOGUE_NAME = "catalogue.ecsv"
STAMP_NAME = re.compile(r"\.(fits|fit|fts)(\.(gz|fz|bz2))?$", re.IGNORECASE)
FILES_PER_FOLDER = 1000

# LSST as LensPop simulates it: 0.18 arcsec a pixel, counts at zero-point 30
# (README of the PICS mocks).
PIXEL_SCALE_ARCSEC = 0.18
ZERO_POINT_MAG = 30.0
STAMP_SIDE_PIXELS = 45

# name -> (unit, description); the first eight are in every catalogue, the others where known.
COLUMNS = {
    "id": (None, "name of the stamp within its data set"),
    "path": (None, "file, relative to the data set's folder"),
    "is_lens": (None, "1 lens, 0 non-lens, -1 unknown"),
    "velocity_dispersion": ("km / s", "of the lens galaxy"),
    "axis_ratio": (None, "minor over major axis of the lens, 0 to 1"),
    "position_angle": ("deg", "of the lens, as in the file name"),
    "z_lens": (None, "redshift of the lens"),
    "magnification": (None, "flux with lensing over flux without"),
    "einstein_radius": ("arcsec", "of the lens; 0 for a non-lens"),
    "snr": (None, "total signal-to-noise ratio of the source, without noise or field galaxies"),
    "z_source": (None, "redshift of the source"),
    "source_flux": ("ct", "of the source or the non-lens, in all, without lensing"),
    "source_radius": ("arcsec", "half-light radius of its galaxy, without lensing"),
    "source_offset": ("arcsec", "of that galaxy from the middle of the stamp, without lensing"),
    "seed": (None, "seed that makes this stamp again"),
}
NAMED_PARAMETERS = ("velocity_dispersion", "axis_ratio", "position_angle", "z_lens", "magnification")

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NAME = re.compile(
    r"^(?P<stem>(?:lensed|unlensed)_(?P<number>\d+))"
    + "".join(rf"_(?P<{name}>{_NUMBER})" for name in NAMED_PARAMETERS)
    + r"_imgs\.fits(?:\.[gf]z)?$"
)


@dataclass(frozen=True)
class LensParameters:
    """What a file name of the 2018 layout says of its lens.

    Attributes
    ----------
    velocity_dispersion : float
        km/s.
    axis_ratio : float
        Minor over major axis, in (0, 1].
    position_angle : float
        Degrees, in the convention of the file names.
    z_lens : float
        Redshift of the lens.
    magnification : float
        Flux with lensing over flux without; about 1 for a non-lens.
    """

    velocity_dispersion: float
    axis_ratio: float
    position_angle: float
    z_lens: float
    magnification: float


def format_path(is_lens: bool, number: int, parameters: LensParameters) -> str:
    """Path of a stamp below the data set's folder.

    Parameters
    ----------
    is_lens : bool
        Chooses the class folder and the name's first word.
    number : int
        Number of the stamp within its class, 0 or more.
    parameters : LensParameters
        Written into the name.

    Returns
    -------
    str
        Relative path with forward slashes, beginning with the class folder.
    """
    folder, word = ("lensed_outputs", "lensed") if is_lens else ("unlensed_outputs", "unlensed")
    values = "_".join(f"{getattr(parameters, name):.12g}" for name in NAMED_PARAMETERS)
    return f"{folder}/{number // FILES_PER_FOLDER}/{word}_{number}_{values}_imgs.fits.gz"


def parse_name(name: str) -> Optional[LensParameters]:
    """Read the lens parameters off a file name; ``None`` where it carries none."""
    match = _NAME.match(name)
    if match is None:
        return None
    return LensParameters(**{key: float(match.group(key)) for key in NAMED_PARAMETERS})


def stamp_id(relative_path: str) -> str:
    """Identity of a stamp: its path from the class folder on, less parameters and suffix.

    A path without a class folder is taken whole, so that the identity of a stamp
    in the 2018 layout does not depend on which parent folder the user named.

    >>> stamp_id("lsst_mocks_single/lensed_outputs/0/lensed_7_289.6_0.68_62.7_0.35_9.4_imgs.fits.gz")
    'lensed_outputs/0/lensed_7'
    >>> stamp_id("night1/cutout.fits")
    'night1/cutout'
    """
    parts = PurePosixPath(relative_path).parts
    start = next((i for i, part in enumerate(parts[:-1]) if part in CLASS_FOLDERS), 0)
    match = _NAME.match(parts[-1])
    stem = match.group("stem") if match else STAMP_NAME.sub("", parts[-1])
    return "/".join((*parts[start:-1], stem))


def path_label(relative_path: str) -> Optional[bool]:
    """Label by class folder: lens, non-lens, or ``None`` outside of both."""
    for part in reversed(PurePosixPath(relative_path).parts[:-1]):
        if part in CLASS_FOLDERS:
            return CLASS_FOLDERS[part]
    return None
