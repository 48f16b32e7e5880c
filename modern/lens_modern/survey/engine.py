"""Shards in, parts out: what one shard becomes, and how many are worked off at once."""

import itertools
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lens_common.data.bands import Names
from lens_common.data.decoding import SET_ASIDE, Outcome, Rejection, examine_stamp, pixels_of_most, unlike_others
from lens_common.data.domain import match_stamps, subtract_sky
from lens_common.data.headers import StampError
from lens_common.data.layout import path_label, stamp_id
from lens_common.data.quality import THRESHOLDS, apply_filter, flag_stamps, measure_quality
from lens_common.data.stamps import Stamps
from lens_common.errors import UserError
from lens_common.files import replacing
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.protocol import check_probabilities
from lens_common.learning.scaling import scaling_from_dict
from lens_common.runs import read_config, read_domain, read_stamps

from .. import backend
from .networks import CompiledNetwork
from .readers import READERS, Cutout, rows_at_once
from .tables import SCHEMA, utf8_text

BLOCK = 256  # stamps that are in memory at once, a multiple of the networks' batches
# Rows of a part: stamps that were scored, and rejections, which have no score.
PART_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ("digest", pa.string()),
        ("action", pa.string()),
        ("n_nonfinite", pa.int64()),
        ("reason", pa.string()),
    ]
)
DAMAGED = "damaged"  # kind of a shard that stands for a source that could not be planned; its row says why
Found = tuple[Cutout, Outcome]


class Shard(NamedTuple):
    """Some cutouts of a source, and the number of the part that they become.

    Attributes
    ----------
    number, n_cutouts : int
        From 0 on; how many there are.
    kind, path : str
        Key of `lens_modern.survey.readers.READERS`, or `DAMAGED`; the source, absolute.
    rows : list
        For the reader.
    name : str
        With which ids and paths begin, where another source would give the same ones; else empty.
    """

    number: int
    n_cutouts: int
    kind: str
    path: str
    rows: list
    name: str = ""


@dataclass(frozen=True)
class Job:
    """What is the same for all shards; any machine that sees the same files can work by it.

    Attributes
    ----------
    parts, run : str
        Folder of the parts, run directory; absolute.
    network : str
        What `lens_modern.survey.networks.write_network` wrote; empty: torch computes.
    precision, device : str
        Of the network, as on the command line.
    shape : tuple of int
        (bands, H, W) of the source's stamps.
    pixel_scale_arcsec, zero_point_mag : float or None
        Of the source, where known.
    resample : bool
        See `lens_common.data.domain.match_stamps`.
    subtract_sky : bool
        See `lens_common.data.domain.subtract_sky`.
    thresholds : tuple of (str, float)
        Of the bad-image filter, or none.
    choice, bands : tuple of str
        Which bands are taken, and the names of those of the source's stamps; see `examine_shard`.
    """

    parts: str
    run: str
    network: str
    precision: str
    device: str
    shape: tuple[int, ...]
    pixel_scale_arcsec: float | None
    zero_point_mag: float | None
    resample: bool
    thresholds: tuple[tuple[str, float], ...]
    subtract_sky: bool = False
    choice: Names = ()
    bands: Names = ()

    def part(self, number: int) -> Path:
        """File that a shard becomes."""
        return Path(self.parts) / f"{number:06}.parquet"

    def in_float32(self) -> "Job":
        """The same job in full precision."""
        return replace(self, precision="float32")


def score_shard(job: Job, shard: Shard, tick: Callable[[int], Any] = lambda n: None) -> None:
    """Score the cutouts of a shard and write its part, as a whole or not at all.

    Parameters
    ----------
    job, shard
        What to do.
    tick : callable
        Told how many more cutouts have been dealt with.

    Raises
    ------
    OSError
        If the part cannot be written.  What cannot be read is a rejection.
    """
    open_worker(job)  # what is set up once is no cost of this shard
    start, n_read, tables = process_time(), 0, [PART_SCHEMA.empty_table()]
    # Stamps that are resampled may be of any size and scale.
    shape, scale = (None, None) if job.resample else (job.shape, job.pixel_scale_arcsec)
    with closing(examine_shard(shard, shape, scale, job.choice, job.bands)) as found:
        while block := list(itertools.islice(found, min(BLOCK, rows_at_once(job.shape)))):
            tables += [_score_block(job, part) for part in _of_one_geometry(job, block)]
            n_read += len(block)
            tick(len(block))
    tick(shard.n_cutouts - n_read)
    write_part(job, shard, pa.concat_tables(tables), process_time() - start)


def write_part(job: Job, shard: Shard, table: pa.Table, cpu_seconds: float) -> None:
    """Write what a shard became, and what it cost."""
    with replacing(job.part(shard.number), "wb") as file:
        about = {"cpu_seconds": repr(cpu_seconds), "source": utf8_text(shard.path)}
        pq.write_table(table.replace_schema_metadata(about), file)


def lost_shard(shard: Shard, n_read: int, why: str) -> Rejection:
    """Rejection that stands for all cutouts of a shard after the first `n_read`."""
    name = shard.name or Path(shard.path).name
    lost = f"{shard.n_cutouts - n_read} of the {shard.n_cutouts} cutouts of shard {shard.number} are lost: "
    return Rejection(f"{name}#shard{shard.number}", name, SET_ASIDE, 0, lost * bool(shard.n_cutouts) + why)


def rejections_table(rejected: list[Rejection]) -> pa.Table:
    """Rows of a part for what gave no stamp, or was repaired."""
    return _part_table(
        id=[utf8_text(row.id) for row in rejected],
        path=[utf8_text(row.path) for row in rejected],
        action=[row.action for row in rejected],
        n_nonfinite=[row.n_nonfinite for row in rejected],
        reason=[utf8_text(row.reason) for row in rejected],
    )


def examine_shard(
    shard: Shard,
    shape: tuple[int, ...] | None = None,
    pixel_scale_arcsec: float | None = None,
    choice: Names = (),
    expected: Names = (),
) -> Generator[Found]:
    """Go through the cutouts of a shard.

    Parameters
    ----------
    shard : Shard
    shape : tuple of int, optional
        (bands, H, W) that stamps must have.
    pixel_scale_arcsec : float, optional
        What those must have whose header says.
    choice, expected : tuple of str
        See `lens_common.data.bands.take_bands`.

    Yields
    ------
    (Cutout, Outcome)
        Where the source breaks off, a last one without a stamp, for all that is lost.
    """
    n_read = 0
    try:
        if shard.kind == DAMAGED:
            raise StampError(shard.rows[0])
        for cutout in READERS[shard.kind].read(Path(shard.path), shard.rows):
            cutout = _renamed(cutout, shard)
            outcome = examine_stamp(cutout.id, cutout.path, cutout.read, shape, choice, expected)
            reason = unlike_others(outcome, pixel_scale_arcsec, expected)
            if reason:
                outcome = Outcome(None, "", Rejection(cutout.id, cutout.path, SET_ASIDE, 0, reason))
            yield cutout, outcome
            n_read += 1
    except StampError as error:
        lost = lost_shard(shard, n_read, str(error))
        yield Cutout(lost.id, lost.path, None, _no_read), Outcome(None, "", lost)


def _renamed(cutout: Cutout, shard: Shard) -> Cutout:
    """Cutout under its source's name, with the identity and label that a folder of that name gives it."""
    if not shard.name:
        return cutout
    if shard.kind == "folder":
        path = f"{shard.name}/{cutout.path}"
        return cutout._replace(id=stamp_id(path), path=path, label=path_label(path))
    path = shard.name + cutout.path[len(Path(shard.path).name) :]
    return cutout._replace(id=path if cutout.id == cutout.path else cutout.id, path=path)


def as_dataset(
    folder: str,
    found: list[Found],
    scale: float | None,
    zero_point: float | None,
    choice: Names = (),
    bands: Names = (),
) -> Stamps:
    """The good stamps among some cutouts, as all else of the project takes them."""
    good = [(cutout, outcome) for cutout, outcome in found if outcome.stamp is not None]
    return Stamps(
        folder=folder,
        ids=np.array([cutout.id for cutout, _ in good]),
        paths=np.array([cutout.path for cutout, _ in good]),
        labels=np.array([-1 if cutout.label is None else int(cutout.label) for cutout, _ in good], np.int8),
        pixels=np.stack([outcome.stamp for _, outcome in good if outcome.stamp is not None]),
        digests=np.array([outcome.digest for _, outcome in good]),
        rejected=[outcome.rejection for _, outcome in found if outcome.rejection],
        pixel_scale_arcsec=np.nan if scale is None else scale,
        zero_point_mag=np.nan if zero_point is None else zero_point,
        bands=bands,
        choice=choice,
    )


def _no_read() -> tuple[np.ndarray, bytes]:
    raise StampError("lost")


def _of_one_geometry(job: Job, block: list[Found]) -> Iterable[list[Found]]:
    """Cutouts of one shape and pixel scale together, where those of several are resampled."""
    if not job.resample:
        return [block]
    parts: dict[Any, list[Found]] = {}
    for cutout, outcome in block:
        shape = None if outcome.stamp is None else outcome.stamp.shape
        parts.setdefault((shape, f"{outcome.pixel_scale_arcsec:.3g}"), []).append((cutout, outcome))
    return parts.values()


def _score_block(job: Job, block: list[Found]) -> pa.Table:
    """Rows of the part for cutouts of one shape and pixel scale."""
    rejected = [outcome.rejection for _, outcome in block if outcome.rejection]
    if len(rejected) == len(block) and all(row.action == SET_ASIDE for row in rejected):
        return rejections_table(rejected)
    scale = job.pixel_scale_arcsec
    if job.resample:
        scale = pixels_of_most([(cutout.path, outcome) for cutout, outcome in block if outcome.digest])[0]
        scale = job.pixel_scale_arcsec if np.isnan(scale) else scale
    data = as_dataset(block[0][0].path, block, scale, job.zero_point_mag, job.choice, job.bands)
    worker = open_worker(job)
    try:
        match_stamps(data[:1], worker.domain, job.resample)
    except UserError as error:
        rows = zip(data.ids, data.paths, strict=True)
        return rejections_table([Rejection(key, path, SET_ASIDE, 0, str(error)) for key, path in rows])
    flags = [""] * len(data.ids)
    if job.thresholds:
        dropped = apply_filter(data, dict(job.thresholds))
        rejected += dropped
        data = data[~np.isin(data.paths, [row.path for row in dropped])]
    else:
        beyond = flag_stamps(measure_quality(data), THRESHOLDS)
        flags = [",".join(name for name in beyond if beyond[name][row]) for row in range(len(data.ids))]
    if job.subtract_sky:
        data = subtract_sky(data, worker.domain.residual_sky)
    matched = match_stamps(data, worker.domain, job.resample)
    scored = _part_table(
        id=[*map(utf8_text, data.ids)],
        path=[*map(utf8_text, data.paths)],
        fold=[worker.folds.get(key, "") for key in zip(data.ids, data.digests, strict=True)],
        is_lens=[None if label < 0 else label for label in data.labels.tolist()],
        score=worker.score(matched.pixels).astype(np.float64),
        flags=flags[: len(data.ids)],
        digest=data.digests.tolist(),
    )
    return pa.concat_tables([scored, rejections_table(rejected)])


def _part_table(**columns: Any) -> pa.Table:
    """Rows of a part; columns that are not given are missing in each."""
    n_rows = len(columns["id"])
    return pa.table([columns.get(name, [None] * n_rows) for name in PART_SCHEMA.names], schema=PART_SCHEMA)


class Worker:
    """What a process needs for a job: network, scaling, the training's geometry, the folds of stamps it knows."""

    def __init__(self, job: Job) -> None:
        self.domain = read_domain(job.run)
        self.folds = {(row["id"], row["digest"]): row["fold"] for row in read_stamps(job.run)}
        self.network, self.scaling = open_network(job)

    def score(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp, in counts, holds a lens."""
        return check_probabilities(self.network.predict(self.scaling.transform(np.asarray(stamps))))


@lru_cache(maxsize=1)
def open_worker(job: Job) -> Worker:
    """Set up a process for a job, once."""
    return Worker(job)


def open_network(job: Job) -> tuple[Any, Any]:
    """Network, an object with ``predict``, and scaling of a job."""
    if job.network:
        return CompiledNetwork(Path(job.network), job.precision), scaling_from_dict(read_config(job.run)["scaling"])
    dtype = "float64" if job.precision == "float64" else "float32"
    backend.prepare(dtype, device=job.device, bfloat16=job.precision == "bfloat16")
    classifier = LensClassifier.of(backend).load(job.run)
    return classifier.network_, classifier.scaling_
