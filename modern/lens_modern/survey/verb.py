"""The verb ``score`` of lens-modern: plan, work off, merge; killed anywhere, it goes on where it was."""

import argparse
import hashlib
import importlib.metadata
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from lens_common import __version__
from lens_common.cli.options import chosen_run, positive
from lens_common.data.domain import Domain, match_bands, match_stamps, scale_warnings, subtract_sky, unit_warnings
from lens_common.data.quality import describe_filter
from lens_common.data.stamps import Stamps
from lens_common.errors import UserError
from lens_common.files import exclusive, write_json
from lens_common.learning.classifier import LensClassifier
from lens_common.memory import usable_cores
from lens_common.mocks.simulator import simulate_stamp
from lens_common.progress import progress_bar
from lens_common.runs import check_model, read_domain
from lens_common.trials import provenance

from .cluster import work_off
from .engine import Job, open_network
from .loading import add_verbs, look
from .merge import Contents, merge_parts, survey_parts
from .networks import PRECISIONS, check_precision, write_network
from .plan import SHARD, Plan
from .readers import ENDINGS
from .tables import WRITERS, table_hash

LOG = logging.getLogger(__name__)
BEGUN = "job.json"  # lies among the parts once a task has begun
PARTS_VERSION = 1  # raised where parts of before would no longer do
MANY = 2 * SHARD
CHECKED_MOCKS = 1000  # by whose scores a reduced precision is judged, beside the sample
MOCK_SHAPE = (1, 45)
ENGINES = ("auto", "torch", "openvino")


def add_verb(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Extend ``score``, ``inspect`` and ``maps`` of the command line; see `lens_common.cli.build_parser`."""
    add_verbs(verb)
    parser = verb("score", "score cutouts, however many", "cutouts.h5 --workers 8 --out scores.parquet", score)
    parser.set_defaults(endings=tuple(WRITERS))
    parser.description = f"{parser.description} The score table ends in {', '.join(WRITERS)}."
    parser.add_argument(
        "more",
        nargs="*",
        metavar="DATA",
        help=f"further ones; files end in {', '.join(ENDINGS)}: a FITS cube, a FITS file with a cutout in each "
        "extension, an array (N, H, W) or (N, bands, H, W), a column of lists",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes; by default one a core, for few cutouts one"
    )
    parser.add_argument(
        "--array",
        default="",
        metavar="NAME",
        help="which array of an HDF5 file, or column of a Parquet file, of several",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what computes: torch, as in training, or openvino, faster on a processor, scores equal to 1e-6; "
        "auto, the default: openvino where it can",
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="scheduler of a Dask cluster that sees the same files, as tcp://host:8786"
    )
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=SHARD,
        metavar="N",
        help="cutouts that are scored, kept and, if a process dies, lost together; default %(default)s",
    )


def score(backend: ModuleType, options: argparse.Namespace) -> None:
    """Score every cutout, shard by shard; the parts are kept until the table is whole."""
    out = Path(options.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = out.with_name(f"{out.name}.parts").absolute()
    there = {path.name for path in parts.iterdir()} if parts.is_dir() else set()
    if there and there.isdisjoint((".lock", BEGUN)):
        raise UserError(f"{parts} holds other files, and parts of the table would stand there; choose another --out")
    parts.mkdir(exist_ok=True)
    with exclusive(parts / ".lock", wait=False):
        try:
            _score(backend, options, out, parts)
        finally:
            if not (parts / BEGUN).exists():  # nothing was begun
                shutil.rmtree(parts, ignore_errors=True)


def _score(backend: ModuleType, options: argparse.Namespace, out: Path, parts: Path) -> None:
    started = time.monotonic()
    run, sources = chosen_run(options), [options.data, *options.more]
    check_model(run, options.model)
    classifier = LensClassifier.of(backend).load(run)
    precision = "float32" if options.precision == "auto" else options.precision
    about = {**provenance(run, classifier, _engine(options.engine, precision)), "precision": precision}
    domain, name = read_domain(run), ", ".join(sources)
    plan = Plan(parts / "shards.jsonl", sources, options.shard_size, options.array, options.bands)
    data = match_bands(look(plan, name), domain)
    matched = match_stamps(
        subtract_sky(data, domain.residual_sky) if options.subtract_sky else data, domain, options.resample
    )
    if matched.resampled:
        LOG.info(f"stamps of {matched.resampled}")
    for sentence in [*scale_warnings(data, domain), *unit_warnings(matched, domain)]:
        LOG.info(sentence)
    job = _job(options, parts, run, about, data)
    digest = _task_digest(plan, job, about["model_hash"])
    _take_over(parts, digest)
    if job.network:
        about["versions"]["openvino"] = importlib.metadata.version("openvino")
        if not Path(job.network).exists():
            write_network(Path(job.network), classifier, about["model_hash"])
    if job.precision == "bfloat16":
        about["precision_check"] = _check(job, matched, domain)
    write_json(parts / BEGUN, {"digest": digest})
    _work_off(job, plan, options)
    files = [job.part(number) for number in range(len(plan))]
    contents = survey_parts(files)
    if not contents.size.n_rows:
        shutil.rmtree(parts)
        raise UserError(
            f"the filter {describe_filter(options.filter)} leaves no stamp of {name}; loosen it, it is in counts as "
            "the 2018 mocks are"
        )
    _write(out, files, contents, {**about, **matched.changes}, name)
    shutil.rmtree(parts)
    hours = contents.cpu_seconds / contents.size.n_rows * 1e6 / 3600
    print(f"{contents.size.n_rows} stamps scored, {contents.n_above} above 0.5: {out}")
    print(
        f"{time.monotonic() - started:.0f} s here, {contents.cpu_seconds:.0f} s of processors in all: "
        f"{hours:.2g} hours of a processor for a million"
    )


def _engine(engine: str, precision: str) -> str:
    """Choose what computes: OpenVINO needs a processor, and a precision that it has."""
    device = torch.empty(0).device.type
    can = device == "cpu" and precision in PRECISIONS
    if engine == "openvino" and not can:
        raise UserError(
            f"OpenVINO computes on a processor in {' or '.join(PRECISIONS)}, here are {device} and {precision}; "
            "choose `engine` torch"
        )
    return "openvino" if can and engine != "torch" else "torch"


def _check(job: Job, data: Stamps, domain: Domain) -> dict[str, float]:
    """Judge a reduced precision by the sample and, where the network takes them, by mocks."""
    stamps, labels = [np.asarray(data.pixels, np.float32)], [data.labels]
    if (domain.n_bands, domain.side) == MOCK_SHAPE:
        LOG.info(f"simulating {CHECKED_MOCKS} mocks, to see what {job.precision} does to their scores")
        mocks = [simulate_stamp(number, number % 2 == 0) for number in range(CHECKED_MOCKS)]
        stamps.append(np.stack([mock.stamp for mock in mocks])[:, None])
        labels.append(np.arange(CHECKED_MOCKS) % 2 == 0)
    exact, scaling = open_network(job.in_float32())
    reduced, _ = open_network(job)
    found = check_precision(exact, reduced, scaling.transform(np.concatenate(stamps)), np.concatenate(labels))
    LOG.info(", ".join(f"{key} {value:.2g}" for key, value in found.items()))
    return found


def _job(options: argparse.Namespace, parts: Path, run: str, about: dict[str, Any], data: Stamps) -> Job:
    """Job for stamps such as `data`."""
    return Job(
        parts=str(parts),
        run=os.path.abspath(run),
        network=str(parts / f"{about['model_hash'][:16]}.xml") if about["engine"] == "openvino" else "",
        precision=about["precision"],
        device=options.device,
        shape=data.pixels.shape[1:],
        pixel_scale_arcsec=None if np.isnan(data.pixel_scale_arcsec) else data.pixel_scale_arcsec,
        zero_point_mag=None if np.isnan(data.zero_point_mag) else data.zero_point_mag,
        resample=options.resample,
        subtract_sky=options.subtract_sky,
        thresholds=tuple((options.filter or {}).items()),
        choice=data.choice,
        bands=data.bands,
    )


def _task_digest(plan: Plan, job: Job, model_hash: str) -> str:
    """SHA-256 of all that a part depends on."""
    task = [
        PARTS_VERSION,
        __version__,
        plan.digest,
        model_hash,
        job.precision,
        job.resample,
        job.thresholds,
        job.subtract_sky,
    ]
    task += [bool(job.network), job.choice, job.bands]
    return hashlib.sha256(json.dumps(task).encode()).hexdigest()


def _take_over(parts: Path, digest: str) -> None:
    """See that parts that are there are of this task; remove those that do not say of which."""
    begun = parts / BEGUN
    if not begun.exists():  # of a job that was killed while it tidied up
        for path in parts.glob("*.parquet"):
            path.unlink()
    elif json.loads(begun.read_text())["digest"] != digest:
        raise UserError(
            f"{parts} holds the beginning of another task: other data, network, version or options; end that one with "
            "its own command, remove the folder, or choose another --out"
        )


def _work_off(job: Job, plan: Plan, options: argparse.Namespace) -> None:
    pending = [number for number in range(len(plan)) if not job.part(number).exists()]
    total, left = sum(plan.lengths), sum(plan.lengths[number] for number in pending)
    if left < total:
        LOG.info(f"going on: {total - left} of {total} cutouts are done")
    # Processes are worth their start for many cutouts; torch has threads of its own.
    n_workers = options.workers or (usable_cores() if job.network and left > MANY else 1)
    with progress_bar("scoring", total, "stamp", done=total - left) as bar:
        if pending:
            work_off(job, plan.shards(pending), min(n_workers, len(pending)), options.dask, bar)


def _write(out: Path, files: list[Path], contents: Contents, about: dict[str, Any], name: str) -> None:
    """Write table, rejections and the JSON beside."""
    said = {"data": name, "data_hash": contents.data_hash, "n_stamps": contents.size.n_rows}
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    n_rejected = merge_parts(files, contents, out, {**said, **flat})
    if n_rejected:
        LOG.info(f"{n_rejected} cutouts set aside or repaired: {out.stem}-rejected.csv says why")
    cost = {"cpu_seconds": round(contents.cpu_seconds, 1)}
    write_json(out.with_suffix(".json"), {**said, "sha256": table_hash(out), **about, **cost})
