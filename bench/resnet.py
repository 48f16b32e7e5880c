"""The legacy ResNet's training and inference, as it is set up and with one setting changed at a time."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from measure import Worker, alternate, entry, main

BATCH = 128
RUNS = 3
STUDY = 9.1  # images/s: 15 batches of 128 in 210.7 s, the median epoch in the study's log
# What is changed -> how.  As it is: numpy's OpenBLAS, all cores, freed memory kept.
CHANGED = {
    # Its fallback calls NumPy from every thread, which ends the process.
    "without a BLAS: Theano's NumPy fallback, one thread": {"flags": "blas.ldflags=,openmp=False"},
    "openmp=False": {"flags": "openmp=False"},
    "freed memory given back": {"options": ["give-back"]},
    "allow_gc=False": {"flags": "allow_gc=False"},  # 6.4 GB instead of 2.4
    "the compiler's strict arithmetic": {"flags": "gcc.cxxflags=-O3"},
}


def measure():
    workers = {"as it is": Worker("legacy")}
    for name, how in CHANGED.items():
        workers[name] = Worker("legacy", *how.get("options", ()), flags=how.get("flags", ""))
    with ThreadPoolExecutor(2) as pool:  # compilation is Python on one core
        list(pool.map(lambda worker: worker.ask("build"), workers.values()))
    versions = workers["as it is"].ask("describe")
    note = ", Theano-PyMC {theano-pymc}, numpy {numpy}, {threads} threads".format(**versions)
    entries = []
    for verb, request in (("training", "train"), ("inference", "predict")):
        asked = {name: partial(worker.ask, request) for name, worker in workers.items()}
        rate = {name: BATCH / seconds for name, seconds in alternate(asked, RUNS).items()}
        ours = rate.pop("as it is")
        if verb == "training":
            entries.append(
                entry(
                    "resnet-legacy-training vs 2018",
                    ours,
                    "images/s",
                    f"the study's log of 2018: {STUDY} images/s, machine unknown",
                    ours / STUDY,
                    RUNS,
                    note,
                )
            )
        for name, other in rate.items():
            against = f"{name}: {other:.1f} images/s"
            key = f"resnet-legacy-{verb} vs {name.split(':')[0]}"
            entries.append(entry(key, ours, "images/s", against, ours / other, RUNS, note))
    for worker in workers.values():
        worker.end()
    return entries


if __name__ == "__main__":
    main(measure)
