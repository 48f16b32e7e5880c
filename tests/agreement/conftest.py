"""Fresh runs of both twins, each trained once for all tests, from stored seeds."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from experiments.agreement import agreement

SEEDS = {"resnet": (1,), "cnn": (1, 2)}


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """Runs by model and side."""
    folder = tmp_path_factory.mktemp("fresh")
    agreement.make_data()
    jobs = [("legacy", "resnet"), ("legacy", "cnn"), ("modern", "cnn"), ("modern", "resnet")]
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(lambda job: agreement.train(*job, SEEDS[job[1]], folder), jobs)
    return dict(zip(jobs, runs))


@pytest.fixture(scope="session")
def reruns(fresh, tmp_path_factory):
    """The modern CNN with something planted, by what was planted."""
    folder = tmp_path_factory.mktemp("planted")
    return lambda *options: agreement.train("modern", "cnn", SEEDS["cnn"], folder, *options)
