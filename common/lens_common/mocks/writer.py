"""Sets of mocks on disk: simulated stamps in the 2018 layout, with their catalogue.

`make_mocks` spreads the stamps of `lens_common.mocks.simulator` over all cores, can be interrupted and goes on, and
writes beside them what made them.
"""

import functools
import gzip
import hashlib
import io
import json
import logging
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import scipy
from astropy.io import fits
from astropy.table import Column, Table

from ..data.layout import CATALOGUE_NAME, COLUMNS, DATASET_FOLDER, format_path, stamp_id
from ..errors import UserError
from ..memory import usable_cores
from ..processes import map_in_order
from ..progress import progress_bar
from .multiband_prior import NJY_ZERO_POINT_MAG, MultibandPrior
from .prior import PRIOR, AnyPrior, Prior, bands_of, prior_hash, priors_to_json
from .simulator import SIMULATOR_VERSION, Mock, simulate_stamp

__all__ = ["SIMULATOR_VERSION", "Mock", "make_mocks", "simulate_stamp", "stamp_seed"]

RECORD_NAME = "mocks.json"
# Stamps that a worker makes between two reports; what an interrupted run has to make again.
STAMPS_PER_PIECE = 100
# Starting a worker costs as much as some 200 stamps.
STAMPS_PER_WORKER_MIN = 200
# A set is the same when these agree; the versions of libraries may move the last bits only.
REQUEST_KEYS = ("prior_hash", "simulator_version", "seed", "n_stamps", "pairs")

Draw = Callable[[bool, int], Mock]
Card = Tuple[str, Union[str, float], str]

log = logging.getLogger("lens")


def stamp_seed(seed: int, is_lens: bool, number: int) -> int:
    """Seed of one stamp of a set, 0 to 2**32 - 1, unlike that of any other number of its class."""
    word = "lensed" if is_lens else "unlensed"
    start = int(hashlib.sha256(f"{word} {seed}".encode()).hexdigest()[:8], 16)
    return (start + number) % 2**32


def make_mocks(
    folder: Union[str, Path],
    n_stamps: int,
    seed: int = 1,
    prior: Union[AnyPrior, Sequence[AnyPrior]] = PRIOR,
    workers: Optional[int] = None,
    verbose: bool = False,
    pairs: bool = False,
) -> Path:
    """Write a set of mocks in the 2018 layout, half of them lenses.

    Stamps grow in ``<folder>.partial``; the folder itself appears only when the set is complete.  An
    interrupted run goes on where it stopped when it is called again.  A finished set of the same settings
    is returned as it is.  The pixels do not depend on the number of workers.

    Parameters
    ----------
    folder : str or Path
        To be made; it will hold ``lsst_mocks_single`` with stamps, ``catalogue.ecsv`` and ``mocks.json``.
    n_stamps : int
        2 or more; ``n_stamps // 2`` are lenses.  Both classes are numbered from 0.
    seed : int
        Seed of the set.
    prior : Prior, MultibandPrior or sequence of them
        Where there are several, the stamps of each class take turns: number k is drawn from the k-th, and round again.
    workers : int, optional
        Processes; by default one a core, fewer for small sets.  With more than one, a script that calls
        this needs the ``if __name__ == "__main__":`` of every program that starts processes.
    verbose : bool
        Show a bar, where stderr is a terminal.
    pairs : bool
        Non-lens number k is lens number k with its mass taken away, as `simulate_stamp` does without `lensing`; both
        have one seed in the catalogue.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        If ``n_stamps`` or ``workers`` is too small, pairs are of an odd number, no prior is given, or something else
        is already there.
    """
    if n_stamps < 2:
        raise UserError(f"mocks need at least 2 stamps, one of each class; got {n_stamps}")
    if pairs and n_stamps % 2:
        raise UserError(f"mocks in pairs need an even number of stamps, got {n_stamps}")
    if workers is not None and workers < 1:
        raise UserError(f"mocks need at least 1 worker, got {workers}")
    folder = Path(os.path.abspath(folder))
    priors = (prior,) if isinstance(prior, (Prior, MultibandPrior)) else tuple(prior)
    if not priors:
        raise UserError("mocks need at least one prior, got none")
    if len({bands_of(prior) for prior in priors}) > 1:
        raise UserError(f"populations of unlike bands can't be mixed: {', '.join(prior.name for prior in priors)}")
    record = _record(n_stamps, seed, priors, pairs)
    if _is_finished(folder, record):
        log.info("%s holds these mocks already", folder)
        return folder
    partial = folder.with_name(folder.name + ".partial")
    _open_partial(partial, record)

    pieces = list(_pieces(n_stamps))
    missing = [piece for piece in pieces if not _piece_path(partial, *piece).exists()]
    log.info("simulating %d mocks in %s; %d of %d pieces to do", n_stamps, partial, len(missing), len(pieces))
    draw = functools.partial(_draw, seed=seed, priors=priors, pairs=pairs)
    make = functools.partial(_make_piece, partial, draw=draw, cards=_cards(priors[0]))
    _make_pieces(missing, make, workers or _default_workers(n_stamps), verbose)

    rows = [row for piece in pieces for row in json.loads(_piece_path(partial, *piece).read_text())]
    _write_catalogue(partial / DATASET_FOLDER / CATALOGUE_NAME, rows)
    shutil.rmtree(partial / "pieces")
    os.replace(partial, folder)
    return folder


def _record(n_stamps: int, seed: int, priors: Sequence[AnyPrior], pairs: bool) -> Dict[str, Any]:
    """What ``mocks.json`` says of a set."""
    return {
        **({"pairs": True} if pairs else {}),
        "prior": priors_to_json(priors),
        "prior_hash": prior_hash(*priors),
        "simulator_version": SIMULATOR_VERSION,
        "seed": seed,
        "n_stamps": n_stamps,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def _is_finished(folder: Path, record: Dict[str, Any]) -> bool:
    """Whether the folder holds this set; an error where it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = _read_record(folder / DATASET_FOLDER / RECORD_NAME)
    if found is None:
        raise UserError(f"{folder} exists and is not a set of mocks; name a new folder")
    for key in REQUEST_KEYS:
        if found.get(key) != record.get(key):
            raise UserError(
                f"{folder} holds mocks of {key} {found.get(key)}, asked are mocks of {key} {record.get(key)}; "
                "name a new folder or remove it"
            )
    return True


def _open_partial(partial: Path, record: Dict[str, Any]) -> None:
    """Begin a set, or take up an unfinished one with the same record, library versions included."""
    path = partial / DATASET_FOLDER / RECORD_NAME
    found = _read_record(path)
    if found is None and (partial / "pieces").exists():
        raise UserError(f"{partial} holds pieces of unknown settings; remove it")
    # Through JSON, where a tuple is a list.
    if found is not None and found != json.loads(json.dumps(record)):
        raise UserError(f"{partial} holds an unfinished set of other settings or library versions; remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, json.dumps(record, indent=2).encode())
        (partial / "pieces").mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write mocks to {partial}: {error}; name a folder that can be written") from error


def _read_record(path: Path) -> Optional[Dict[str, Any]]:
    """The record of a set, or ``None`` where there is none that can be read."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _default_workers(n_stamps: int) -> int:
    return max(1, min(usable_cores(), n_stamps // STAMPS_PER_WORKER_MIN))


def _pieces(n_stamps: int) -> Iterator[Tuple[bool, int, int]]:
    """(is_lens, first number, number after the last) of every piece, lenses first."""
    n_lenses = n_stamps // 2
    for is_lens, n_class in ((True, n_lenses), (False, n_stamps - n_lenses)):
        for start in range(0, n_class, STAMPS_PER_PIECE):
            yield is_lens, start, min(start + STAMPS_PER_PIECE, n_class)


def _piece_path(partial: Path, is_lens: bool, start: int, stop: int) -> Path:
    return partial / "pieces" / f"{'lensed' if is_lens else 'unlensed'}_{start}_{stop}.json"


def _make_pieces(pieces: List[Tuple[bool, int, int]], make: Callable[..., int], workers: int, verbose: bool) -> None:
    """Make pieces here, or in worker processes; after an interrupt let those under way end."""
    n_missing = sum(stop - start for _, start, stop in pieces)
    # Spawn, not fork: the caller may have Theano or PyTorch loaded, and their OpenMP threads do not live
    # through a fork.
    with progress_bar("mocks", n_missing, "stamp", shown=verbose) as bar:
        for n_made in map_in_order(make, pieces, workers, "spawn"):
            bar.update(n_made)


def _draw(is_lens: bool, number: int, seed: int, priors: Sequence[AnyPrior], pairs: bool) -> Mock:
    """Stamp of a set; in pairs a non-lens is the lens of its number, without its mass."""
    prior = priors[number % len(priors)]
    if pairs:
        return simulate_stamp(stamp_seed(seed, True, number), True, prior, lensing=is_lens)
    return simulate_stamp(stamp_seed(seed, is_lens, number), is_lens, prior)


def _make_piece(partial: Path, piece: Tuple[bool, int, int], draw: Draw, cards: Sequence[Card]) -> int:
    """Write the stamps of one piece, then its rows of the catalogue: the rows say that the piece is whole."""
    is_lens, start, stop = piece
    dataset, rows = partial / DATASET_FOLDER, []
    for number in range(start, stop):
        mock = draw(is_lens, number)
        relative_path = format_path(is_lens, number, mock.truth)
        path = dataset / relative_path
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, _fits_gz(mock.stamp, cards))
        rows.append(_catalogue_row(mock, relative_path))
    _write_whole(_piece_path(partial, *piece), json.dumps(rows).encode())
    return stop - start


def _catalogue_row(mock: Mock, relative_path: str) -> Dict[str, Any]:
    return {
        "id": stamp_id(relative_path),
        "path": relative_path,
        "is_lens": int(mock.is_lens),
        **asdict(mock.truth),
        "einstein_radius": mock.einstein_radius_arcsec,
        "snr": mock.snr,
        "z_source": mock.z_source,
        "source_flux": mock.source_flux_counts,
        "source_radius": mock.source_radius_arcsec,
        "source_offset": mock.source_offset_arcsec,
        "seed": mock.seed,
    }


def _cards(prior: AnyPrior) -> Sequence[Card]:
    """What the header says of the pixels; nothing for one band, as in the PICS mocks."""
    if not isinstance(prior, MultibandPrior):
        return ()
    names = [(f"BAND{number}", name, "") for number, name in enumerate(bands_of(prior), 1)]
    return [
        ("BUNIT", "nJy", ""),
        ("PIXSCALE", prior.pixel_scale_arcsec, "arcsec"),
        ("MAGZERO", NJY_ZERO_POINT_MAG, "AB magnitude of 1 nJy"),
        *names,
    ]


def _fits_gz(stamp: np.ndarray, cards: Sequence[Card] = ()) -> bytes:
    """A gzipped FITS file; no time in its header, so the same stamp gives the same bytes."""
    buffer = io.BytesIO()
    unit = fits.PrimaryHDU(stamp)
    unit.header.extend(cards)
    unit.writeto(buffer)
    # Noise hardly shrinks, so the lowest level is as good as any.
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _write_catalogue(path: Path, rows: List[Dict[str, Any]]) -> None:
    table = Table()
    for name, (unit, description) in COLUMNS.items():
        table[name] = Column([row[name] for row in rows], unit=unit, description=description)
    buffer = io.StringIO()
    table.write(buffer, format="ascii.ecsv")
    _write_whole(path, buffer.getvalue().encode())
