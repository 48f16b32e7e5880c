"""The ResNet in both frameworks on the same cores, and the ways in which torch can be asked to be faster."""

from __future__ import annotations

from functools import partial

from bench.measure import Entry, Worker, alternate, build, entry, rates

BATCH = 128
RUNS = 5
MFLOP_AN_IMAGE = {"train": 3 * 231.7, "predict": 231.7}  # forward; the backward pass costs twice as much
GEMM_GFLOP = 2 * 2048**3 / 1e9
FAITHFUL = "torch, faithful: eager, channels_last"
OTHERS = {
    "eager, kernels not channels_last": ["contiguous"],
    "torch.compile": ["compile"],
    "idiomatic, bfloat16": ["idiomatic"],
}


def measure() -> list[Entry]:
    """Training and inference of both, and the share of what a matrix product reaches."""
    workers = {"legacy": Worker("legacy"), FAITHFUL: Worker("modern")}
    workers.update({name: Worker("modern", *options) for name, options in OTHERS.items()})
    build(workers)
    versions = {**workers["legacy"].ask("describe"), **{"torch": workers[FAITHFUL].ask("describe")["torch"]}}
    note = ", Theano-PyMC {theano-pymc}, torch {torch} on Python 3.11, {threads} threads".format(**versions)
    gemm = {side: partial(workers[name].ask, "gemm") for side, name in (("numpy", "legacy"), ("torch", FAITHFUL))}
    peak = GEMM_GFLOP / min(alternate(gemm, RUNS).values())  # GFLOP/s of the better BLAS
    entries = []
    for verb, request in (("training", "train"), ("inference", "predict")):
        rate = rates(workers, request, BATCH, RUNS)
        legacy, faithful = rate.pop("legacy"), rate[FAITHFUL]
        against = f"legacy: {legacy:.1f} images/s"
        entries.append(entry(f"resnet-twins-{verb}", faithful, "images/s", against, faithful / legacy, RUNS, note))
        for name in OTHERS:
            against = f"{FAITHFUL}: {faithful:.1f} images/s"
            key = f"resnet-modern-{verb} {name}"
            entries.append(entry(key, rate[name], "images/s", against, rate[name] / faithful, RUNS, note))
        for name, images in (("legacy", legacy), ("faithful", faithful), ("torch.compile", rate["torch.compile"])):
            share = images * MFLOP_AN_IMAGE[request] / 1e3 / peak
            against = f"a float32 product of 2,048 x 2,048: {peak:.0f} GFLOP/s"
            entries.append(entry(f"resnet-{name}-{verb} of GEMM", share, "of the peak", against, share, RUNS, note))
    for worker in workers.values():
        worker.end()
    return entries
