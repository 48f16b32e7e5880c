"""The legacy ResNet's training and inference, as it is set up and with one setting changed at a time."""

from __future__ import annotations

from typing import Any

from bench.measure import Entry, Worker, build, entry, rates

BATCH = 128
RUNS = 3
STUDY = 9.1  # images/s: 15 batches of 128 in 210.7 s, the median epoch in the study's log
# What is changed -> how.  As it is: numpy's OpenBLAS, all cores, freed memory kept.
CHANGED: dict[str, dict[str, Any]] = {
    # Its fallback calls NumPy from every thread, which ends the process.
    "without a BLAS: Theano's NumPy fallback, one thread": {"flags": "blas.ldflags=,openmp=False"},
    "openmp=False": {"flags": "openmp=False"},
    "freed memory given back": {"options": ["give-back"]},
    "allow_gc=False": {"flags": "allow_gc=False"},  # 6.4 GB instead of 2.4
    "the compiler's strict arithmetic": {"flags": "gcc.cxxflags=-O3"},
}


def measure() -> list[Entry]:
    """Training and inference, as it is against each change and against 2018."""
    workers = {"as it is": Worker("legacy")}
    for name, how in CHANGED.items():
        workers[name] = Worker("legacy", *how.get("options", ()), flags=how.get("flags", ""))
    build(workers)
    versions = workers["as it is"].ask("describe")
    note = ", Theano-PyMC {theano-pymc}, numpy {numpy}, {threads} threads".format(**versions)
    entries = []
    for verb, request in (("training", "train"), ("inference", "predict")):
        rate = rates(workers, request, BATCH, RUNS)
        ours = rate.pop("as it is")
        rows = [(name.split(":")[0], f"{name}: {other:.1f} images/s", other) for name, other in rate.items()]
        if verb == "training":
            rows.insert(0, ("2018", f"the study's log of 2018: {STUDY} images/s, machine unknown", STUDY))
        entries += [
            entry(f"resnet-legacy-{verb} vs {name}", ours, "images/s", against, ours / other, RUNS, note)
            for name, against, other in rows
        ]
    for worker in workers.values():
        worker.end()
    return entries
