"""Bands by name: what a file calls them, which ones are asked for and in what order, and what is wrong with them."""

import re
from collections import Counter
from functools import lru_cache
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..errors import UserError
from .headers import ZERO_POINT_KEYS, StampError, card_text, differs, read_cards, zero_point_mag

Names = Tuple[str, ...]
Choice = Union[None, str, Sequence[Union[str, int]]]

LETTERS = "ugrizyY"  # bands of surveys, from blue to red, which may be written without commas
NAME = re.compile(r"[A-Za-z][\w.+-]{0,19}")
NUMBER = re.compile("[0-9]{1,3}")
# Of an extension only these names are taken for a band, alone or beside words that name a survey or a camera; astropy
# writes them in capitals.
BAND_OF_EXTENSION = re.compile(rf"[{LETTERS}]|VIS|F[0-9]{{3,4}}[A-Z]{{1,2}}", re.IGNORECASE)
OTHER_WORDS = frozenset(
    "SCI IMAGE IMG DATA BAND FILTER COADD CUTOUT LSST HSC SDSS DES DECAM PS1 KIDS CFHTLS EUCLID ACS WFC3 NIRCAM".split()
)
NO_NAME = frozenset(("", "none", "null", "n/a", "na", "unknown", "undefined", "clear", "open"))


def parse_bands(choice: Choice) -> Names:
    """Read which bands are asked for, and in what order.

    Parameters
    ----------
    choice : str or sequence of str or int, optional
        Names or numbers from 0, by comma in a text: ``g,r,i``, ``F606W`` or ``0,2``.  Letters of `LETTERS` need no
        comma: ``gri``.

    Returns
    -------
    tuple of str
        Names or numbers; empty for no choice, which means all bands of a file.

    Raises
    ------
    UserError
        For a text that is neither, for names beside numbers, and for a band that comes twice.

    Examples
    --------
    >>> parse_bands("gri"), parse_bands("VIS"), parse_bands([0, 2])
    (('g', 'r', 'i'), ('VIS',), ('0', '2'))
    """
    if choice is None or (not isinstance(choice, str) and len(choice) == 0):
        return ()
    text = choice if isinstance(choice, str) else ",".join(map(str, choice))
    parts = tuple(text) if text and set(text) <= set(LETTERS) else tuple(part.strip() for part in text.split(","))
    if not any(all(pattern.fullmatch(part) for part in parts) for pattern in (NAME, NUMBER)):
        raise UserError(f"bands are names such as gri or g,r,i, or numbers from 0 such as 0,2; got {text!r}")
    if len({part.lstrip("0") or "0" for part in parts}) < len(parts):
        raise UserError(f"a band comes twice in {text!r}; name each once")
    return parts


def is_numbers(choice: Sequence[str]) -> bool:
    """Whether bands are chosen by number."""
    return bool(choice) and choice[0].isdecimal()


def spell_bands(n_bands: int, names: Sequence[str]) -> str:
    """Number of bands and, where known, their names: ``3 band(s) (g, r, i)``."""
    return f"{n_bands} band(s)" + (f" ({', '.join(names)})" if names else "")


@lru_cache(maxsize=16)
def read_band_names(header: bytes, n_bands: int) -> Names:
    """Names of the bands of an image as its header states them.

    Parameters
    ----------
    header : bytes
        See `lens_common.data.headers.read_cards`.
    n_bands : int
        Of the image.

    Returns
    -------
    tuple of str
        From cards BANDn or FILTERn, n from 0 or 1 on, or from BANDS; of a single band from FILTER, BAND or EXTNAME.
        Empty where the header does not name them.

    Raises
    ------
    StampError
        If cards BANDn name another number of bands, one name comes twice, or zero-points of bands differ.
    """
    cards = read_cards(header)
    if n_bands == 1:
        name = band_name(card_text(cards, "FILTER")) or band_name(card_text(cards, "BAND"))
        name = name or band_of_extension(card_text(cards, "EXTNAME"))
        if name:
            return (name,)
    texts = _numbered(cards, "BAND")
    if texts and len(texts) != n_bands:
        raise StampError(f"the header names {len(texts)} bands, {', '.join(texts)}, and the image holds {n_bands}")
    if not texts:
        wheels, together = _numbered(cards, "FILTER"), card_text(cards, "BANDS")
        texts = wheels if len(wheels) == n_bands else list(together.replace(",", "").replace(" ", ""))
    names = tuple(map(band_name, texts))
    if len(names) != n_bands or not all(names):
        return ()
    if len(set(names)) < n_bands:
        raise StampError(f"the header names one band twice: {', '.join(names)}")
    _check_zero_points(cards, names)
    return names


def band_name(text: str) -> str:
    """Name of a band in a header's words: ``g`` for ``g DECam SDSS c0001``, ``SDSS_g`` or ``HSC-G``; empty for none."""
    if text.lower() in NO_NAME:
        return ""
    hsc = re.fullmatch("HSC-([GRIZY])2?", text)
    if hsc:
        return hsc[1].lower()
    words = re.findall("[A-Za-z0-9]+", text)
    letters = [word for word in words if len(word) == 1 and word in LETTERS]
    name = letters[0] if letters else "_".join(word for word in words if word.upper() not in OTHER_WORDS)[:20]
    return name if NAME.fullmatch(name) else ""


def band_of_extension(name: str) -> str:
    """Name of the band that an extension is named for, such as ``SCI_g``, ``LSST_r`` or ``g-band``; empty for none."""
    words = [word for word in re.findall("[A-Za-z0-9]+", name) if word.upper() not in OTHER_WORDS]
    if len(words) != 1 or not BAND_OF_EXTENSION.fullmatch(words[0]):
        return ""
    return words[0].lower() if len(words[0]) == 1 else words[0].upper()


def band_cards(names: Sequence[str]) -> bytes:
    """Cards of 80 bytes that name the bands of an image, as `read_band_names` reads them."""
    return b"".join(f"BAND{number:<4}= '{name:8}'".encode().ljust(80) for number, name in enumerate(names, 1))


def take_bands(stamp: np.ndarray, names: Names, choice: Names = (), expected: Names = ()) -> Tuple[np.ndarray, Names]:
    """Take the bands of a stamp that are asked for, in that order.

    Parameters
    ----------
    stamp : array (bands, H, W)
    names : tuple of str
        Of its bands; empty where unknown.
    choice : tuple of str
        Names or numbers, see `parse_bands`; empty for all.
    expected : tuple of str
        Names and order that the bands of all stamps of the data set have; a stamp without names passes.

    Returns
    -------
    stamp : array (bands, H, W)
    names : tuple of str

    Raises
    ------
    StampError
        If a band is not there, or bands without names are chosen by name.
    """
    if is_numbers(choice):
        rows = [int(number) for number in choice]
        if max(rows) >= len(stamp):
            raise StampError(f"{len(stamp)} band(s), and number {max(rows)}, counted from 0, was asked for")
        stamp, names = stamp[rows], tuple(names[row] for row in rows) if names else ()
    elif choice:
        if not names:
            raise StampError("the file does not name its bands; choose them by number, such as `bands` 0")
        expected = choice
    if not expected or not names or names == expected:
        return stamp, names
    missing = [name for name in expected if name not in names]
    if missing:
        others = "" if choice == expected else f"; the other stamps have {', '.join(expected)}"
        raise StampError(f"no band {missing[0]} among {', '.join(names)}{others}")
    return stamp[[names.index(name) for name in expected]], expected


def names_of_most(found: Sequence[Names]) -> Names:
    """Names, in their order, that most stamps have; those without names do not count."""
    most = Counter(names for names in found if names).most_common(1)
    return most[0][0] if most else ()


def choose_for_network(names: Names, n_bands: int, wanted: Names, n_wanted: int, folder: str) -> Optional[Names]:
    """Say which bands of some stamps a network takes.

    Parameters
    ----------
    names, n_bands
        Of the stamps; no names where unknown.
    wanted, n_wanted
        Of the network.
    folder : str
        For the sentence.

    Returns
    -------
    tuple of str or None
        Names to be taken out of more bands; None where the network takes the stamps as they are.

    Raises
    ------
    UserError
        For other bands, or in another order, naming both.
    """
    remedy = "give it these bands alone, or choose them with `bands`"
    if names and wanted:
        if names == wanted:
            return None
        if not set(wanted) <= set(names):
            remedy = "give it the bands that it knows, or choose by number with `bands`, whatever their names"
        elif len(names) > len(wanted):
            return wanted
        else:
            remedy = f"bring them into its order with `bands` {','.join(wanted)}"
    elif n_bands == n_wanted:
        return None
    raise UserError(
        f"the stamps of {folder} have {spell_bands(n_bands, names)}, those that the network was trained on "
        f"{spell_bands(n_wanted, wanted).replace(' band(s)', '')}; {remedy}"
    )


def _numbered(cards: Dict[str, str], key: str) -> List[str]:
    """Values of the cards key1, key2 and so on, or from key0 on; none where a number is left out."""
    first = 0 if f"{key}0" in cards else 1
    texts: Dict[int, str] = {
        int(name[len(key) :]): card_text(cards, name) for name in cards if re.fullmatch(f"{key}[0-9]", name)
    }
    numbers = range(first, first + len(texts))
    return [texts[number] for number in numbers] if set(numbers) == set(texts) else []


def _check_zero_points(cards: Dict[str, str], names: Names) -> None:
    """Refuse bands of several zero-points, stated by cards such as MAGZERO1 and MAGZERO2."""
    said = [
        zero_point_mag({key: cards.get(f"{key}{number}", "") for key in ZERO_POINT_KEYS})
        for number in range(1, len(names) + 1)
    ]
    check_alike(names, said, "zero-points")


def check_alike(names: Sequence[str], values: Sequence[float], what: str) -> None:
    """Refuse bands of one stamp whose pixel scales, or zero-points, differ by more than 1 %, the latter in flux.

    Raises
    ------
    StampError
        Naming all bands and values.
    """
    if what == "zero-points":
        unlike = any(differs(10 ** (0.4 * (value - other)), 1) for value in values for other in values)
    else:
        unlike = any(differs(value, other) for value in values for other in values)
    if unlike:
        told = ", ".join(f"{name} {value:g}" for name, value in zip(names, values))
        raise StampError(f"its bands have several {what}: {told}; bring them to one")
