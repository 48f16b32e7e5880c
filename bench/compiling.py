"""Seconds until the legacy ResNet has trained and scored its first batch: nothing compiled before, and all of it."""

from __future__ import annotations

import os
import tempfile

from bench.measure import Entry, Worker, alternate, entry

RUNS = 2


def seconds_to_first_batch(cache: tempfile.TemporaryDirectory) -> float:
    """Seconds of a process that finds what the cache holds."""
    os.environ["LENS_CACHE"] = cache.name
    worker = Worker("legacy")
    seconds = worker.ask("build")
    worker.end()
    return seconds


def measure() -> list[Entry]:
    """Cold and warm, in turn."""
    caches = [tempfile.TemporaryDirectory() for _ in range(RUNS)]
    cold, warm = iter(caches), iter(caches)  # each cache is filled by its cold run
    seconds = alternate(
        {"cold": lambda: seconds_to_first_batch(next(cold)), "warm": lambda: seconds_to_first_batch(next(warm))}, RUNS
    )
    for cache in caches:
        cache.cleanup()
    against = f"an empty compile cache: {seconds['cold']:.0f} s"
    return [entry("resnet-legacy-compile warm", seconds["warm"], "s", against, seconds["cold"] / seconds["warm"], RUNS)]
