"""Seconds until the legacy ResNet has trained and scored its first batch: nothing compiled before, and all of it."""

import os
import tempfile

from measure import Worker, alternate, entry, main

RUNS = 2


def measure():
    caches = [tempfile.TemporaryDirectory() for _ in range(RUNS)]

    def seconds_to_first_batch(cache):
        os.environ["LENS_CACHE"] = cache.name
        worker = Worker("legacy")
        seconds = worker.ask("build")
        worker.end()
        return seconds

    cold, warm = iter(caches), iter(caches)  # each cache is filled by its cold run
    seconds = alternate(
        {"cold": lambda: seconds_to_first_batch(next(cold)), "warm": lambda: seconds_to_first_batch(next(warm))}, RUNS
    )
    for cache in caches:
        cache.cleanup()
    against = f"an empty compile cache: {seconds['cold']:.0f} s"
    return [entry("resnet-legacy-compile warm", seconds["warm"], "s", against, seconds["cold"] / seconds["warm"], RUNS)]


if __name__ == "__main__":
    main(measure)
