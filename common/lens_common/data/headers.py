"""What the header of a stamp says of its pixels: their scale, and the magnitude of one count."""

import contextlib
import math
import re
from functools import lru_cache
from typing import Dict, Tuple

from astropy import units

# Words that surveys use; of several that stand in a header the first here counts.
SCALE_KEYS = ("PIXSCALE", "SECPIX", "PIXSCAL1", "PIXELSCL", "PSCALE", "PLTSCALE", "SECPIX1", "SECPIX2")  # arcsec
ZERO_POINT_KEYS = ("MAGZERO", "MAGZPT", "ZEROPT", "PHOTZP")  # mag
ARCSEC_PER_UNIT = {"": 3600.0, "deg": 3600.0, "arcmin": 60.0, "arcsec": 1.0}
COUNTS = re.compile(rb"(Z?NAXIS|TFIELDS) *= *\+?([0-9]+)")
NEGATIVE = re.compile(rb"(Z?NAXIS[0-9]*|[PG]COUNT|TFIELDS) *= *-[1-9]")
# Words in the name of an extension that holds no image of the sky, alone or beside others: SCI_ERR, WHT2.
NOT_SKY = re.compile(
    r"(?:^|[^A-Z])(WHT|WEIGHTS?|WGT|ERR|ERRORS?|RMS|VAR|VARIANCE|IVAR|INVVAR|UNC|UNCERT|UNCERTAINTY|STD|MASK|MSK|DQ|FLG|FLAGS?|"
    r"QUALITY|PSF|EXP|EXPMAP|EXPOSURE|NEXP|CTX|BKG|BACKGROUND|SEG|SEGMAP)(?:$|[^A-Z])",
    re.IGNORECASE,
)
NUMBER = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[ED][-+]?[0-9]+)?) *([^ ].*)?$")
MOST_COUNTED = 999  # axes, or columns
CELESTIAL = re.compile("RA--|DEC-|.LON|.LAT")
# Relative; below it two pixel scales, or two units of flux, are called the same.
TOLERANCE = 0.01


class StampError(Exception):
    """Why a file gives no stamp."""


def check_counts(header: bytes) -> None:
    """Refuse a header, or a whole file, with more axes or columns than there can be, or fewer than none.

    astropy would count the first, and go back in the file by the second for ever.

    Raises
    ------
    StampError
        Beyond 999, or below 0.

    References
    ----------
    FITS standard 4.0, sections 4.4.1.1 and 7.3.1.
    """
    for key, number in COUNTS.findall(header):
        if int(number[:9]) > MOST_COUNTED:
            raise StampError(f"damaged FITS: {key.decode()} is {number.decode()}, at most {MOST_COUNTED} is possible")
    below = NEGATIVE.search(header)
    if below:
        raise StampError(f"damaged FITS: {below[1].decode()} is negative")


def differs(first: float, second: float) -> bool:
    """Whether two scales are more than 1 % apart; what is not known (NaN) differs from nothing."""
    return abs(first / second - 1) > TOLERANCE


@lru_cache(maxsize=16)  # the stamps of one simulation share a bare header
def read_pixels(header: bytes) -> Tuple[float, float]:
    """Pixel scale [arcsec] and zero-point [mag] of a header, as `pixel_scale_arcsec` and `zero_point_mag` read them."""
    cards = read_cards(header)
    return pixel_scale_arcsec(cards), zero_point_mag(cards)


@lru_cache(maxsize=4)  # asked for its pixels and for its bands
def read_cards(header: bytes) -> Dict[str, str]:
    """Split a header into its cards.

    Parameters
    ----------
    header : bytes
        Cards of 80 bytes, with or without END and what fills the block; several headers may follow each other.

    Returns
    -------
    dict of str to str
        What stands behind the ``= `` by keyword; of a keyword that comes twice the first.
    """
    text = header.decode("latin-1")
    return {text[start : start + 8].rstrip(): text[start + 10 : start + 80] for start in range(0, len(text), 80)[::-1]}


def pixel_scale_arcsec(cards: Dict[str, str]) -> float:
    """Side of a pixel on the sky.

    The celestial coordinates are asked first (the CD matrix, or else CDELT with PC), then the
    keywords of `SCALE_KEYS`, which are in arcsec unless a unit stands behind the number.

    Parameters
    ----------
    cards : dict
        As `read_cards` gives them.

    Returns
    -------
    float
        Arcsec; NaN where the header does not say.

    Raises
    ------
    StampError
        If the two sides of a pixel differ by more than 1 %.

    References
    ----------
    FITS standard 4.0, section 8.2; Greisen & Calabretta 2002, A&A 395, 1061, section 2.1.
    """
    celestial = all(CELESTIAL.match(card_text(cards, f"CTYPE{axis}")) for axis in (1, 2))
    width, height = (_column_arcsec(cards, axis) if celestial else math.nan for axis in (1, 2))
    if not 0 < width * height < math.inf:
        width = height = next((value for value in (_number(cards, key) for key in SCALE_KEYS) if value > 0), math.nan)
    if differs(width, height):
        raise StampError(f"pixels of {width:.3g} by {height:.3g} arcsec; resample them to square ones")
    return math.sqrt(width * height)


def zero_point_mag(cards: Dict[str, str]) -> float:
    """Magnitude of a source of one count; NaN where the header does not say, or says 0 or 99 for want of a better."""
    return next((value for value in (_number(cards, key) for key in ZERO_POINT_KEYS) if 0 < value < 60), math.nan)


def _column_arcsec(cards: Dict[str, str], axis: int) -> float:
    """How far on the sky, in arcsec, one pixel along `axis` leads."""
    has_matrix = any(f"CD{row}_{column}" in cards for row in (1, 2) for column in (1, 2))
    column = []
    for row in (1, 2):
        if has_matrix:
            degrees = _number(cards, f"CD{row}_{axis}", 0.0)
        else:
            degrees = _number(cards, f"CDELT{row}") * _number(cards, f"PC{row}_{axis}", float(row == axis))
        column.append(degrees * _arcsec(card_text(cards, f"CUNIT{row}")))
    return math.hypot(*column)


def _arcsec(unit: str) -> float:
    """Arcsec of a unit in any spelling that astropy reads; NaN where it is not an angle."""
    for text in (unit, unit.lower()):
        with contextlib.suppress(ValueError, TypeError):
            return ARCSEC_PER_UNIT.get(text) or float(units.Unit(text).to(units.arcsec))
    return math.nan


def card_text(cards: Dict[str, str], key: str) -> str:
    """Value of a card as text, less quotes and comment; empty where there is no such card."""
    return cards.get(key, "").split("/")[0].strip(" '")


def _number(cards: Dict[str, str], key: str, default: float = math.nan) -> float:
    """Value of a card, finite, or NaN; `default` where there is no such card."""
    if key not in cards:
        return default
    text = card_text(cards, key)
    match = NUMBER.match(text)
    value = float(match[1].replace("D", "E")) if match else math.nan  # FITS allows both letters
    if match and match[2]:  # 0.18 arcsec, in a card of text
        value *= _arcsec(match[2])
    return value if math.isfinite(value) else math.nan
