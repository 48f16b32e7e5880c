"""One stamp from the bytes of a FITS file: gzipped, compressed by tiles, scaled or plain; checked and repaired."""

import bz2
import hashlib
import io
import math
import os
import re
import stat
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from isal import igzip
from isal.igzip_lib import IsalError

from .bands import Names, band_cards, band_of_extension, check_alike, read_band_names, take_bands
from .headers import NOT_SKY, StampError, card_text, check_counts, differs, read_cards, read_pixels
from .layout import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG, parse_name

MOST_BYTES = 2**28  # of a file with a stamp; more is something else, and could fill the memory
MOST_BANDS, MOST_AXES = 10, 8
MAX_NONFINITE_FRACTION = 0.01
SET_ASIDE, REPAIRED = "set aside", "repaired"
GZIP_ERRORS: Any = (EOFError, OSError, zlib.error, IsalError)
# Where a header holds one of these words, somewhere, astropy has to read the file.
NOT_PLAIN = (b"BSCALE", b"BZERO", b"BLANK", b"GROUPS", b"INHERIT")
SIMPLE_CARD = re.compile(rb"SIMPLE  = +T *(?: /[ -~]*)?")
WHOLE_NUMBER = re.compile(rb"([A-Z0-9 ]{8})= +(-?[0-9]+) *(?: /[ -~]*)?")
END_CARD = b"END" + 77 * b" "
HEADER = re.compile(b"(?:.{80})*?END(?![A-Z0-9_-])", re.DOTALL)  # astropy takes a damaged END for the end
PIXEL_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True)
class Rejection:
    """A file that was set aside or repaired: a row of ``rejected.csv``.

    Attributes
    ----------
    id, path : str
        Of the stamp.
    action : {"set aside", "repaired"}
        Whether the stamp is missing from the data set, or in it with pixels replaced.
    n_nonfinite : int
        Pixels that were NaN or infinite.
    reason : str
        In words.
    """

    id: str
    path: str
    action: str
    n_nonfinite: int
    reason: str


class Outcome(NamedTuple):
    """What became of a file, or of a row of one.

    Attributes
    ----------
    stamp : float32 array (bands, H, W) or None
        Counts, finite; ``None`` where there is no good one.
    digest : str
        First 16 hexadecimal digits of the SHA-256 of its pixels; empty without a stamp.
    rejection : Rejection or None
        Why there is none, or that it was repaired.
    pixel_scale_arcsec, zero_point_mag : float
        NaN where the header does not say.
    bands : tuple of str
        Names of its bands; empty where the header does not say.
    """

    stamp: Optional[np.ndarray]
    digest: str
    rejection: Optional[Rejection]
    pixel_scale_arcsec: float = np.nan
    zero_point_mag: float = np.nan
    bands: Names = ()


def read_stamp(path: Union[str, Path]) -> np.ndarray:
    """Read the first image of a FITS file; see `read_stamp_and_header`."""
    return read_stamp_and_header(path)[0]


def read_stamp_and_header(path: Union[str, Path]) -> Tuple[np.ndarray, bytes]:
    """Read the first image of a FITS file, gzipped, tile-compressed or neither.

    Of several images, in the primary unit or in extensions, the first that has pixels is
    taken, whatever the shapes of the others; tables are passed over.  Where that is an extension
    named for a band, such as SCI_g, those named for other bands are taken with it, in the order of the file.

    Parameters
    ----------
    path : str or Path
        The file; whether it is gzipped is read off its first bytes.

    Returns
    -------
    stamp : float32 array (bands, H, W)
        In the unit of the file, BSCALE and BZERO applied, NaN where an integer is BLANK; may
        hold NaN.  Further axes of length 1 are taken off.
    header : bytes
        Cards of the image, then those of the primary unit where it is another.

    Raises
    ------
    StampError
        With the reason, if the file cannot be read or holds no image of two or three axes.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # a pipe, on which one would wait for ever, or a device
            raise StampError("not a file of bytes")
        if about.st_size > MOST_BYTES:
            raise StampError(f"{about.st_size} bytes; a stamp has at most {MOST_BYTES}")
        content = Path(path).read_bytes()
    except OSError as error:
        raise StampError(f"cannot be read: {error.strerror}") from error
    return decode_stamp(content)


def decode_stamp(content: bytes) -> Tuple[np.ndarray, bytes]:
    """Decode the bytes of a FITS file; see `read_stamp_and_header`."""
    if not content:
        raise StampError("empty file")
    for magic, kind, open_it in ((b"\x1f\x8b", "gzip", igzip.open), (b"BZh", "bzip2", bz2.open)):
        if content.startswith(magic):
            try:
                content = _unpacked(content, open_it)
            except GZIP_ERRORS as error:
                raise StampError(f"damaged {kind}: {error}") from error
    if not content.startswith(b"SIMPLE  ="):
        raise StampError("not a FITS file")
    plain = _plain_image(content)
    image, header = _any_image(content) if plain is None else (plain, content[: content.find(END_CARD)])
    while image.ndim > 3 and len(image) == 1:
        image = image[0]
    if image.ndim not in (2, 3):
        raise StampError(f"image has shape {image.shape}; expected (H, W) or (bands, H, W)")
    return as_stamp(image), header


def _unpacked(content: bytes, open_it: Callable[..., Any]) -> bytes:
    """Unpack a file, and no more of it than a stamp has."""
    if open_it is igzip.open and 1032 * len(content) <= MOST_BYTES:  # deflate gains no more
        return bytes(igzip.decompress(content))
    with open_it(io.BytesIO(content)) as file:  # what it says of its own length may be wrong
        unpacked = file.read(MOST_BYTES + 1)
    if len(unpacked) > MOST_BYTES:
        raise StampError(f"more than {MOST_BYTES} bytes when unpacked; a stamp has at most as many")
    return bytes(unpacked)


def as_stamp(pixels: np.ndarray) -> np.ndarray:
    """Pixels (H, W), (bands, H, W) or (H, W, bands) as a stamp, float32 (bands, H, W).

    Raises
    ------
    StampError
        If the bands could come first or last.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and counted as such
        stamp = np.asarray(pixels, np.float32)
    if stamp.ndim == 2:
        return stamp[None]
    if stamp.shape[-1] > MOST_BANDS or stamp.shape[1] <= MOST_BANDS:
        return stamp
    if stamp.shape[0] <= MOST_BANDS:
        raise StampError(
            f"the axes of {stamp.shape} may be bands first or channels-last; write them as (bands, H, W) with H = W"
        )
    return np.ascontiguousarray(np.moveaxis(stamp, -1, 0))


def _plain_image(content: bytes) -> Optional[np.ndarray]:
    """Decode a primary image that needs no scaling, eight times faster than astropy; ``None`` for any other file.

    References
    ----------
    FITS standard 4.0, sections 3.3, 4.2 and 4.4.1: cards of 80 bytes, SIMPLE, BITPIX,
    NAXIS and NAXISn first, END last, blocks of 2880 bytes, big-endian pixels.
    """
    end = content.find(END_CARD)
    header = content[:end]
    if end < 0 or end % 80 or not SIMPLE_CARD.fullmatch(header, 0, 80) or any(word in header for word in NOT_PLAIN):
        return None
    try:
        bits, n_axes = _card_value(header, 1, b"BITPIX"), _card_value(header, 2, b"NAXIS")
        shape = [_card_value(header, 2 + axis, b"NAXIS%d" % axis) for axis in range(n_axes, 0, -1)]
    except (ValueError, OverflowError):  # of another header, or of an absurd number
        return None
    start = (end // 2880 + 1) * 2880
    n_pixels = math.prod(shape) if min(shape, default=0) > 0 and len(shape) <= MOST_AXES else 0
    if bits not in PIXEL_TYPES or n_pixels < 1 or len(content) - start < n_pixels * abs(bits) // 8:
        return None
    return np.frombuffer(content, PIXEL_TYPES[bits], n_pixels, start).reshape(shape)


def _card_value(header: bytes, number: int, key: bytes) -> int:
    """Whole number on a card whose place the standard fixes; a ValueError where it is another card."""
    match = WHOLE_NUMBER.fullmatch(header, 80 * number, 80 * number + 80)
    if not match or match[1].rstrip() != key:
        raise ValueError(f"no {key!r} at card {number}")
    return int(match[2])


def _any_image(content: bytes) -> Tuple[np.ndarray, bytes]:
    """First image of a FITS file, as astropy sees it, and its header."""
    check_counts(content)
    _check_tiles(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # of what it mends; too few pixels raise
        try:
            found = _first_image(content)
        except StampError:
            raise
        except Exception as error:  # astropy raises many kinds for damaged files
            raise StampError(f"damaged FITS: {error}") from error
    if found is None:
        raise StampError("no image in the FITS file")
    return found


def _check_tiles(content: bytes) -> None:
    """Refuse a compressed image without tiles: astropy before 5.3 divides by their size, and the process ends.

    References
    ----------
    FITS standard 4.0, section 10.1.1.
    """
    for card in re.finditer(rb"ZIMAGE  = +T", content):
        start = max(content.rfind(b"XTENSION", 0, card.start()), 0)
        header = HEADER.match(content, start)
        cards = read_cards(header.group() if header else content[start:])
        n_axes = card_text(cards, "ZNAXIS")
        for axis in range(1, 1 + int(n_axes) if n_axes.isdecimal() else 1):
            tile = card_text(cards, f"ZTILE{axis}")
            if not tile.isdecimal() or not int(tile):
                raise StampError(
                    f"damaged FITS: ZTILE{axis} is {tile or 'missing'}, and should be the length of a tile"
                )


def _first_image(content: bytes) -> Optional[Tuple[np.ndarray, bytes]]:
    # With uint, astropy passes over the BLANK of unsigned integers.
    with fits.open(io.BytesIO(content), memmap=False, uint=False) as units:
        named: Dict[str, Tuple[np.ndarray, bytes]] = {}
        for number, unit in enumerate(units):
            band = band_of_extension(unit.name)
            if (named and (not band or band in named)) or not unit.is_image or NOT_SKY.search(unit.name):
                continue
            if unit.data is not None and unit.data.size:
                places = [unit.fileinfo(), units[0].fileinfo()][: number + 1]
                header = b"".join(content[place["hdrLoc"] : place["datLoc"]] for place in places)
                is_compressed = isinstance(unit, fits.CompImageHDU)
                image = _without_blanks(content, number, unit.data, header) if is_compressed else unit.data
                if not band:
                    return image, header
                named[band] = image, header
    return _stack_bands(named) if named else None


def _stack_bands(named: Dict[str, Tuple[np.ndarray, bytes]]) -> Tuple[np.ndarray, bytes]:
    """One image (bands, H, W) of extensions that hold a band each; a single one stays as it is."""
    images, headers = zip(*named.values())
    if len(named) == 1:
        return images[0], headers[0]
    images = [np.squeeze(image) for image in images]
    if len({image.shape for image in images}) > 1 or images[0].ndim != 2:
        told = ", ".join(f"{name} {image.shape}" for name, image in zip(named, images))
        raise StampError(f"its bands are of unlike size: {told}; cut them alike, (H, W) each")
    scales, zero_points = zip(*map(read_pixels, headers))
    check_alike([*named], scales, "pixel scales")
    check_alike([*named], zero_points, "zero-points")
    return np.stack(images), band_cards([*named]) + headers[0]


def _without_blanks(content: bytes, number: int, image: np.ndarray, header: bytes) -> np.ndarray:
    """Set the blank pixels of a compressed image to NaN; astropy before 5.3 takes them for numbers.

    References
    ----------
    FITS standard 4.0, section 10.2: a pixel that is stored as ZBLANK is undefined; of quantised ones that is
    -2**31, of which ZSCALE and ZZERO of the tile make the number.
    """
    cards = read_cards(header)
    blank = cards.get("ZBLANK", cards.get("BLANK"))
    if blank is None:
        return image
    if image.dtype.kind in "iu":
        return np.where(image == int(blank.split("/")[0]), np.nan, image)
    with fits.open(io.BytesIO(content), memmap=False, disable_image_compression=True) as units:
        table = units[number].data
        if "ZSCALE" not in table.columns.names:  # not quantised
            return image
        tile = [int(cards[f"ZTILE{axis}"].split("/")[0]) for axis in range(image.ndim, 0, -1)]
        scale, zero = (_spread_tiles(table[name], tile, image.shape) for name in ("ZSCALE", "ZZERO"))
    # What float32 can tell apart; the ten values above the blank are reserved.
    rounding = np.abs(image) * np.finfo(np.float32).eps
    return np.where((scale > 0) & (image - zero < (-(2.0**31) + 5) * scale + rounding), np.nan, image)


def _spread_tiles(values: np.ndarray, tile: Sequence[int], shape: Tuple[int, ...]) -> np.ndarray:
    """Give each pixel of an image the value of its tile."""
    grid = values.reshape([-(-length // part) for length, part in zip(shape, tile)])
    return np.kron(grid, np.ones(tile))[tuple(slice(length) for length in shape)]


def repair_stamp(stamp: np.ndarray, names: Names = ()) -> Tuple[np.ndarray, int]:
    """Replace the non-finite pixels of a stamp by the median of its finite ones, band by band.

    Parameters
    ----------
    stamp : float32 array (bands, H, W)
        May hold NaN and infinities.
    names : tuple of str
        Of its bands, for the reason.

    Returns
    -------
    stamp : float32 array (bands, H, W)
        Finite.
    n_nonfinite : int
        How many pixels were replaced.

    Raises
    ------
    StampError
        If more than 1 % of the pixels of a band are not finite.
    """
    bad = ~np.isfinite(stamp)
    n_nonfinite = int(bad.sum())
    if n_nonfinite == 0:
        return stamp, 0
    n_bad = bad.sum(axis=(1, 2))
    worst = int(n_bad.argmax())
    if n_bad[worst] > MAX_NONFINITE_FRACTION * stamp[0].size:
        name = names[worst] if names else f"number {worst}, counted from 0,"
        of_band = f" of band {name}" if len(stamp) > 1 else ""
        raise StampError(f"{n_bad[worst]} of {stamp[0].size} pixels{of_band} are not finite; at most 1 % may be")
    median = np.nanmedian(np.where(bad, np.nan, stamp), axis=(1, 2), keepdims=True)
    return np.where(bad, median, stamp).astype(np.float32), n_nonfinite


def pixel_digest(stamp: np.ndarray) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a stamp's float32 pixels."""
    return hashlib.sha256(np.asarray(stamp, "<f4").tobytes()).hexdigest()[:16]


def examine_stamp(
    stamp_id: str,
    path: str,
    read: Callable[[], Tuple[np.ndarray, bytes]],
    shape: Optional[Tuple[int, ...]] = None,
    choice: Names = (),
    expected: Names = (),
) -> Outcome:
    """Read a stamp, see that it is a good one, and repair what can be.

    Parameters
    ----------
    stamp_id, path : str
        Of the stamp, for the rejection.
    read : callable
        Gives stamp and header, as `read_stamp_and_header` does, or raises a StampError.
    shape : tuple of int, optional
        (bands, H, W) that it must have.
    choice, expected : tuple of str
        Which bands are taken, and what those of the data set are called; see `lens_common.data.bands.take_bands`.
    """
    n_nonfinite = 0
    try:
        stamp, header = read()
        stamp, bands = take_bands(stamp, read_band_names(header, len(stamp)), choice, expected)
        n_nonfinite = int((~np.isfinite(stamp)).sum())
        if shape and stamp.shape != shape:
            raise StampError(f"shape {stamp.shape}; the other stamps have {shape}")
        stamp, _ = repair_stamp(stamp, bands)
        scale, zero_point = read_pixels(header)
    except Exception as error:  # of a StampError we know; one bad file must not stop the others
        reason = str(error) if isinstance(error, StampError) else f"cannot be decoded: {type(error).__name__}: {error}"
        return Outcome(None, "", Rejection(stamp_id, path, SET_ASIDE, n_nonfinite, " ".join(reason.split())))
    digest = pixel_digest(stamp)
    reason = f"{n_nonfinite} of {stamp.size} pixels were not finite and became the median"
    repaired = Rejection(stamp_id, path, REPAIRED, n_nonfinite, reason) if n_nonfinite else None
    return Outcome(stamp, digest, repaired, scale, zero_point, bands)


def pixels_of_most(found: Sequence[Tuple[str, Outcome]]) -> Tuple[float, float]:
    """Pixel scale [arcsec] and zero-point [mag] that most stamps state; where none does, those that the names tell.

    Parameters
    ----------
    found : sequence of (str, Outcome)
        Paths, and stamps that were read.

    Returns
    -------
    tuple of float
        NaN for what is not known.
    """
    scale, zero_point = (
        _most_common([getattr(outcome, name) for _, outcome in found])
        for name in ("pixel_scale_arcsec", "zero_point_mag")
    )
    if all(parse_name(path.rsplit("/", 1)[-1]) for path, _ in found):  # the 2018 mocks
        scale, zero_point = (
            known if np.isnan(said) else said
            for said, known in ((scale, PIXEL_SCALE_ARCSEC), (zero_point, ZERO_POINT_MAG))
        )
    return scale, zero_point


def unlike_others(outcome: Outcome, scale_arcsec: Optional[float], bands: Names = ()) -> str:
    """Say why a stamp does not go with others of that pixel scale and those bands; empty where it does."""
    if bands and outcome.bands not in ((), bands):
        return f"bands {', '.join(outcome.bands)}; the other stamps have {', '.join(bands)}"
    found = outcome.pixel_scale_arcsec
    if scale_arcsec is None or not differs(found, scale_arcsec):
        return ""
    return f"pixels of {found:.3g} arcsec; the other stamps have {scale_arcsec:.3g}"


def _most_common(values: List[float]) -> float:
    """Median of those that agree, to three digits, with most others; NaN where none is known."""
    known = [(f"{value:.3g}", value) for value in values if np.isfinite(value)]
    most = Counter(rounded for rounded, _ in known).most_common(1)
    return float(np.median([value for rounded, value in known if rounded == most[0][0]])) if most else np.nan
