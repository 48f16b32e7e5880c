"""Stamps as arrays: every stamp of a folder, with its identity, its label and what was set aside."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np

from ..errors import UserError
from .bands import Choice, parse_bands
from .cache import decoded_stamps
from .catalogue import find_stamps
from .decoding import SET_ASIDE, Rejection
from .folds import hash_fraction

LOG = logging.getLogger(__name__)
PER_STAMP = ("ids", "paths", "labels", "pixels", "digests")


@dataclass(frozen=True)
class Stamps:
    """The stamps of a folder.

    Pixel scale and zero-point are those that most of the headers state, those of the 2018
    layout where no header does and all files are named so, and else NaN, unknown.

    Attributes
    ----------
    folder : str
        Where they came from.
    ids, paths : str arrays (N,)
        Identity, and file relative to `folder`.
    labels : int8 array (N,)
        1 lens, 0 non-lens, -1 unknown.
    pixels : float32 array (N, bands, H, W)
        Counts, finite; mapped from disk, read-only.
    digests : str array (N,)
        First 16 hexadecimal digits of the SHA-256 of each stamp's float32 pixels.
    rejected : list of Rejection
        Every file that was set aside or repaired.
    pixel_scale_arcsec : float
        Side of a pixel on the sky.
    zero_point_mag : float
        Magnitude of a source of one count.
    resampled : str
        What was done to their size and scale since they were read, in words; empty if nothing.
    sky_subtracted : bool
        Whether the sky of each was subtracted since.
    bands : tuple of str
        Names of the bands, as the headers state them; empty where they do not.
    choice : tuple of str
        Names or numbers of the bands that were asked for; empty: all.
    """

    folder: str
    ids: np.ndarray
    paths: np.ndarray
    labels: np.ndarray
    pixels: np.ndarray
    digests: np.ndarray
    rejected: List[Rejection]
    pixel_scale_arcsec: float = np.nan
    zero_point_mag: float = np.nan
    resampled: str = ""
    sky_subtracted: bool = False
    bands: Tuple[str, ...] = ()
    choice: Tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> "Stamps":
        """Some of the stamps: rows by number, as a slice or as a mask (N,); one number gives one stamp."""
        rows = slice(rows, rows + 1 or None) if isinstance(rows, (int, np.integer)) else rows
        return replace(self, **{key: getattr(self, key)[rows] for key in PER_STAMP})

    @property
    def changes(self) -> Dict[str, Any]:
        """What was done to the stamps since they were read, for JSON; empty if nothing."""
        changes = {"resampled": self.resampled, "sky_subtracted": self.sky_subtracted}
        return {key: value for key, value in changes.items() if value}

    def split(self, test: float = 0.2, seed: int = 1) -> Tuple["Stamps", "Stamps"]:
        """Split off a test set by the hash that assigns the folds of `train`.

        Parameters
        ----------
        test : float
            Share of the stamps to be tested on, about, in (0, 1); 0.1 gives the test fold of `train`.
        seed : int
            Of the hash; a stamp's side depends on its id and this seed alone.

        Returns
        -------
        train, test : Stamps

        Raises
        ------
        UserError
            For a share out of range, or one that leaves a side empty.
        """
        if not 0 < test < 1:
            raise UserError(f"test must lie between 0 and 1, got {test}; try 0.2")
        is_test = np.array([hash_fraction(seed, stamp_id) >= 1 - test for stamp_id in self.ids], bool)
        if is_test.all() or not is_test.any():
            raise UserError(f"test={test} leaves a side of {len(self)} stamps empty; add stamps or try another seed")
        return self[~is_test], self[is_test]

    @property
    def data_hash(self) -> str:
        """SHA-256 over ids and decoded float32 pixels, whatever the order of the stamps."""
        lines = sorted(f"{stamp_id}:{digest}\n" for stamp_id, digest in zip(self.ids, self.digests))
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def load_stamps(
    folder: Union[str, Path], workers: Optional[int] = None, verbose: bool = False, bands: Choice = None
) -> Stamps:
    """Load every stamp below a folder.

    The first time, files are read and decoded on all cores; the decoded stamps are
    kept in the cache under the paths, sizes and times of the files, so that a second
    load maps them from disk.  The shape that most files have is the data set's, and so is
    the pixel scale that most headers state; a file of another shape or scale is set aside.
    Files that name their bands give those that most files name, in the same order; one that lacks
    a band is set aside.
    What was set aside or repaired stands in `Stamps.rejected`, and a warning is logged.

    Parameters
    ----------
    folder : str or Path
        Any folder above the stamps.
    workers : int, optional
        Processes; by default one a core, one alone for a small data set.
    verbose : bool
        Show a bar on stderr.
    bands : str or sequence of str or int, optional
        Which bands to take, in which order: names, ``"gri"`` or ``"g,r,i"``, or numbers from 0, ``[0, 2]``; by
        default all.

    Returns
    -------
    Stamps
        Sorted by path.

    Raises
    ------
    UserError
        If the folder holds no stamps, none of them can be read, or none has the bands that were asked for.
    """
    files = find_stamps(folder)
    choice = parse_bands(bands)
    index, pixels = decoded_stamps(Path(folder), files, workers, verbose, choice)
    read = [files[row] for row in index["rows"]]
    rejected = [Rejection(**row) for row in index["rejected"]]
    if rejected:
        n_aside = sum(row.action == SET_ASIDE for row in rejected)
        LOG.warning(
            f"{n_aside} files set aside, {len(rejected) - n_aside} stamps repaired; "
            f"the first, {rejected[0].path}: {rejected[0].reason}"
        )
    if index["bands"] and index["n_unnamed"]:
        LOG.warning(
            f"{index['n_unnamed']} of {len(read)} files do not name their bands; they are taken to be "
            f"{', '.join(index['bands'])}, as in the others"
        )
    return Stamps(
        folder=str(folder),
        ids=np.array([file.id for file in read]),
        paths=np.array([file.path for file in read]),
        labels=np.array([-1 if file.label is None else int(file.label) for file in read], np.int8),
        pixels=pixels,
        digests=np.array(index["digests"]),
        rejected=rejected,
        pixel_scale_arcsec=index["pixel_scale_arcsec"],
        zero_point_mag=index["zero_point_mag"],
        bands=tuple(index["bands"]),
        choice=choice,
    )
