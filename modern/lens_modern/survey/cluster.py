"""Where shards are scored: in this process, in others of this machine, or on a Dask cluster."""

import contextlib
import hashlib
import itertools
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from functools import lru_cache
from pathlib import Path
from typing import Any

import lens_common
import lens_modern
from lens_common import __version__
from lens_common.errors import UserError

from .engine import Job, Shard, lost_shard, rejections_table, score_shard, write_part

WAIT_S = 60  # for the first worker, and for the answer of each
GONE = "the same command goes on with what is finished"


@lru_cache(maxsize=1)
def identity(run: str) -> dict[str, str]:
    """Say what scores here: version, and SHA-256 of the code of both packages and of the weights of a run.

    Parameters
    ----------
    run : str
        Run directory, as this machine sees it.

    Returns
    -------
    dict of str to str

    Raises
    ------
    OSError
        If the weights cannot be read.
    """
    code = hashlib.sha256()
    for package in (lens_common, lens_modern):
        folder = Path(package.__file__ or "").parent
        for path in sorted(folder.rglob("*.py")):
            code.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    weights = hashlib.sha256((Path(run) / "weights.npz").read_bytes())
    return {"version": __version__, "code": code.hexdigest()[:16], "weights": weights.hexdigest()[:16]}


def work_off(job: Job, shards: Iterator[Shard], n_workers: int, address: str | None, bar: Any) -> None:
    """Score shards: here, in processes of this machine, or on a Dask cluster.

    A worker that dies is replaced, and its shards begun again; a shard that three workers died on
    waits until the others are done, and becomes a rejection if three more die on it.

    Parameters
    ----------
    job : Job
    shards : iterator of Shard
        What is still to be done.
    n_workers : int
        Processes of this machine; 1: this one.
    address : str, optional
        Scheduler of a Dask cluster, whose workers see the same files under the same names.
    bar : tqdm
        Counts cutouts.

    Raises
    ------
    UserError
        If the cluster cannot be reached, has no worker, or one of another version, code or weights; or if its
        scheduler dies.
    OSError
        If a part cannot be written.
    """
    if n_workers == 1 and not address:
        for shard in shards:
            score_shard(job, shard, bar.update)
        return
    import dask
    import distributed

    # Of workers and schedulers that die: it is said in a sentence.
    for name in [name for name in logging.root.manager.loggerDict if name.startswith(("distributed", "tornado"))]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": 2,
        "distributed.comm.timeouts.connect": "10s",
        "distributed.deploy.lost-worker-timeout": "1000 days",  # after it the place of a worker that died twice is lost
    }
    with dask.config.set(settings):
        client = _open_client(address, n_workers)
        try:
            if address:
                _check_workers(client, job)
            n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
            # So few at once that a plan of any length takes no memory, and so many that no worker waits.
            suspects = list(_distribute(client, job, shards, bar, 4 * n_workers))
            # Some may only have waited where another one killed the worker: alone each gets another chance.
            for shard in _distribute(client, job, iter(suspects), bar, 1):
                lost = lost_shard(shard, 0, "the workers that had it died")
                write_part(job, shard, rejections_table([lost]), 0.0)
                bar.update(shard.n_cutouts)
        except (CancelledError, distributed.comm.CommClosedError, TimeoutError) as error:
            raise UserError(f"the scheduler at {address or 'this machine'} is gone; {GONE}") from error
        finally:
            with contextlib.suppress(TimeoutError):
                client.close(*([5] if address else []))  # a scheduler that is gone answers no more


def _open_client(address: str | None, n_workers: int) -> Any:
    import distributed

    options: dict[str, Any] = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
    try:
        client = distributed.Client(address) if address else distributed.Client(n_workers=n_workers, **options)
        client.wait_for_workers(1, timeout=WAIT_S)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no work can be done at {address or 'this machine'}: {error}; is a scheduler there, and a worker?"
        ) from error
    return client


def _check_workers(client: Any, job: Job) -> None:
    """Refuse a cluster with a worker that would score with something else."""
    here = identity(job.run)
    answers = client.run(identity, job.run, on_error="return")
    for worker, theirs in answers.items():
        if "ModuleNotFoundError" in repr(theirs):
            raise UserError(
                f"the worker {worker} lacks a package: {theirs}; install lens-modern there, of this version"
            )
        if not isinstance(theirs, dict):
            raise UserError(f"{worker} cannot work on {job.run}: {theirs}; it must see the same files")
        _refuse_another(worker, theirs, here)


def _refuse_another(who: str, theirs: dict[str, str], here: dict[str, str]) -> None:
    for key, value in here.items():
        if theirs.get(key) != value:
            raise UserError(
                f"{who} has another {key}, {theirs.get(key)}, not {value}: its scores would be others; "
                "install this very version there"
            )


def _distribute(client: Any, job: Job, shards: Iterator[Shard], bar: Any, at_once: int) -> Iterator[Shard]:
    """Score shards on a cluster; yield those whose workers died, of which no part is written."""
    import distributed

    def submit(n_shards: int) -> list[Any]:
        found = []
        for shard in itertools.islice(shards, n_shards):
            future = client.submit(_score_alike, job, shard, here, pure=False)
            waiting[future.key] = shard
            found.append(future)
        return found

    here = identity(job.run)
    waiting: dict[str, Shard] = {}
    futures = distributed.as_completed(submit(at_once))
    for future in futures:
        shard = waiting.pop(future.key)
        try:
            # The word that it was done is lost with a worker that died, a part is not.
            problem = None if job.part(shard.number).exists() else future.result()
        except distributed.KilledWorker:
            yield shard
        except ImportError as error:
            raise UserError(f"a worker lacks a package: {error}; install lens-modern there, of this version") from error
        else:
            if problem:
                raise problem
            bar.update(shard.n_cutouts)
        futures.update(submit(1))


def _score_alike(job: Job, shard: Shard, wanted: dict[str, str]) -> Exception | None:
    """Score a shard; return an error instead of raising it, since some that Dask cannot send stop its client."""
    try:
        _refuse_another("a worker that joined", identity(job.run), wanted)
        if not job.part(shard.number).exists():  # else the worker died that had just written it
            score_shard(job, shard)
    except UserError as error:
        return error
    except OSError as error:
        return OSError(error.errno, error.strerror, error.filename)
    except Exception as error:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return None
