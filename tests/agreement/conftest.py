"""Fresh runs of both twins, each trained once for all tests, from stored seeds."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from experiments import runner
from experiments.agreement import agreement

SEEDS = {"resnet": (1,), "cnn": (1, 2)}
# Three minutes of training that `make test` leaves to `make thorough`.
MODELS = ("resnet", "cnn") if os.environ.get("LENS_THOROUGH") else ("cnn",)


@pytest.fixture(scope="session")
def fresh(legacy_workers, tmp_path_factory):
    """Runs by model and side; the legacy ones with the graphs of a worker."""
    folder = tmp_path_factory.mktemp("fresh")
    agreement.make_data()

    def run(job, logs, **changes):
        if job.side == "modern":
            runner.run(job, logs, **changes)
        else:
            legacy_workers["float32"].do(f"experiments.{job.arguments[0]}", *job.arguments[1:])

    jobs = [("legacy", model) for model in MODELS] + [("modern", model) for model in reversed(MODELS)]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(agreement, "run", run)
        runs = pool.map(lambda job: agreement.train(*job, SEEDS[job[1]], folder), jobs)
        return dict(zip(jobs, runs))


@pytest.fixture(scope="session")
def reruns(fresh, tmp_path_factory):
    """The modern CNN with something planted, by what was planted."""
    folder = tmp_path_factory.mktemp("planted")
    return lambda *options: agreement.train("modern", "cnn", SEEDS["cnn"], folder, *options)
