"""A sceptical referee: figures of the published pages, computed again from `results/` by other means.

Nothing of the generator is used: files are read with csv, gzip and json, the AUROC is scikit-learn's, everything else
NumPy's.  Each test works a figure out and then looks for it in the words of the page, where a reader would.
"""

import csv
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score, roc_curve

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "reproduction"
MISTAKES = "class_overwrite+validate_on_train+sign_clip+rate_never_drops"


def scores_of(run, name):
    """Labels and scores of one run on one set, and the ids of the stamps."""
    with gzip.open(RESULTS / run / "scores.csv.gz", "rt", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == name]
    return (
        np.array([int(r["is_lens"]) for r in rows]),
        np.array([float(r["score"]) for r in rows]),
        [r["id"] for r in rows],
    )


def history_of(run, column):
    with (RESULTS / run / "history.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


def mean_auroc(stem, name, frameworks, seeds=(1, 2, 3)):
    """Mean over the seeds of one framework a seed, as the page counts them."""
    areas = []
    for seed, framework in zip(seeds, frameworks):
        labels, scores, _ = scores_of(f"{stem}-{framework}-seed{seed}", name)
        areas.append(roc_auc_score(labels, scores))
    return np.mean(areas)


def published(page="reproduction.md"):
    text = (ROOT / "docs" / page).read_text()
    return " ".join(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).split())


LEGACY_FIRST, LEGACY, MODERN = ("legacy", "modern", "modern"), ("legacy",) * 3, ("modern",) * 3


@pytest.mark.parametrize(
    ("sentence", "stem", "name", "frameworks"),
    [
        ("our ResNet has an AUROC of {} [", f"resnet-2000-{MISTAKES}", "mocks", LEGACY_FIRST),
        ("held-out mocks, our CNN {} [", "cnn-2000-class_overwrite+validate_on_train", "mocks", LEGACY),
        ("on as many images, reach {} [", "resnet-2000-mended", "mocks", LEGACY_FIRST),
        ("] and {} [0.89, 0.92] on the same mocks", "cnn-2000-mended", "mocks", LEGACY),
        ("on the same mocks, and {} [", "resnet-2000-mended", "pics", LEGACY_FIRST),
        ("raw counts: {} at 1e-4", "cnn-2000-rate1e-4-raw_pixels", "mocks", MODERN),
        ("classes overwritten {} [0.28, 0.79]", "cnn-2000-quiet-class_overwrite", "test", MODERN),
        ("in a short training {} [", f"resnet-2000-short-{MISTAKES}", "mocks", MODERN),
        ("with noise of its own): mended {} [", "cnn-2000-profile-mended", "profile-test", MODERN),
        ("mended: {}, 0.91, 0.92", "cnn-200-mended", "mocks", LEGACY),
        ("reused, nothing else {} [", "cnn-2000-validate_on_train", "mocks", LEGACY),
        ("the mended ResNet has {} [", "resnet-2000-mended", "leak-controlled", LEGACY_FIRST),
        ("and the CNN {} [0.57", "cnn-2000-mended", "leak-controlled", LEGACY),
    ],
)
def test_a_mean_auroc(sentence, stem, name, frameworks):
    assert sentence.format(f"{mean_auroc(stem, name, frameworks):.2f}") in published()


def test_auroc_is_the_share_of_pairs_in_order():
    # The definition, for one run: the oracle of the oracle.
    labels, scores, _ = scores_of("cnn-2000-mended-legacy-seed1", "pics")
    above = scores[labels == 1][:, None] - scores[labels == 0][None]
    assert roc_auc_score(labels, scores) == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())


def test_the_clearest_lenses_alone():
    with gzip.open(RESULTS / "stamps.csv.gz", "rt", newline="") as file:
        about = {row["id"]: row for row in csv.DictReader(file) if row["set"] == "mocks"}
    areas = []
    for framework, seed in (("legacy", 1), ("modern", 2), ("modern", 3)):
        labels, scores, ids = scores_of(f"resnet-2000-{MISTAKES}-{framework}-seed{seed}", "mocks")
        clear = [
            not label or (float(about[i]["einstein_radius"]) > 1.25 and float(about[i]["snr"]) > 20)
            for label, i in zip(labels, ids)
        ]
        areas.append(roc_auc_score(labels[clear], scores[clear]))
    assert f"clearest lenses alone: ResNet as in 2018 {np.mean(areas):.2f} [" in published()


def test_the_completeness_where_one_non_lens_in_a_hundred_passes():
    with gzip.open(RESULTS / "stamps.csv.gz", "rt", newline="") as file:
        about = {row["id"]: row for row in csv.DictReader(file) if row["set"] == "mocks"}
    labels, scores, ids = scores_of("resnet-20000-short-mended-modern-seed1", "mocks")
    chosen = np.array(
        [
            not label or (float(about[i]["einstein_radius"]) > 1.4 and float(about[i]["snr"]) > 20)
            for label, i in zip(labels, ids)
        ]
    )
    rate, completeness, _ = roc_curve(labels[chosen], scores[chosen], drop_intermediate=False)
    assert f"{completeness[rate <= 0.01].max():.2f} [0.53, 0.81] (one seed) of such lenses" in published()


BANDS = ("g", "i", "gri")


def test_one_band_against_three_as_sklearn_computes_it():
    words = {}
    for network in ("resnet", "cnn"):
        areas = [roc_auc_score(*scores_of(f"{network}-10000-{band}-mended-modern-seed1", "gri")[:2]) for band in BANDS]
        words[network] = ", ".join(f"{area:.2f} (one seed)" for area in areas)
    assert f"g, i and gri: ResNet {words['resnet']}; CNN {words['cnn']}" in published()


def rows_of_bands():
    """Rows of the table in docs/populations.md: ResNet and CNN in g, i and gri."""
    with gzip.open(RESULTS / "stamps.csv.gz", "rt", newline="") as file:
        about = {row["id"]: row for row in csv.DictReader(file) if row["set"] == "gri"}
    radius, snr = ({key: float(row[name] or 0) for key, row in about.items()} for name in ("einstein_radius", "snr"))
    wide, narrow, faint = "wider than 1.4 arcsec, S/N above 20", "0.5 to 1 arcsec, S/N above 20", "S/N below 50"
    kinds = {
        "all": lambda i: True,
        wide: lambda i: radius[i] > 1.4 and snr[i] > 20,
        narrow: lambda i: radius[i] < 1 and snr[i] > 20,
        faint: lambda i: snr[i] < 50,
    }
    runs = [f"{network}-10000-{band}-mended-modern-seed1" for network in ("resnet", "cnn") for band in BANDS]
    for kind, is_meant in kinds.items():
        cells = []
        for labels, scores, ids in (scores_of(run, "gri") for run in runs):
            meant = np.array([not label or is_meant(i) for label, i in zip(labels, ids)])
            cells.append(f"{roc_auc_score(labels[meant], scores[meant]):.3f}")
        yield f"| AUROC, {kind} | {' | '.join(cells)} |"
    for rate in (0.01, 0.001):
        curves = [roc_curve(*scores_of(run, "gri")[:2], drop_intermediate=False) for run in runs]
        found = [f"{true[false <= rate].max():.3f}" for false, true, _ in curves]
        yield f"| completeness at a false positive rate of {100 * rate:g} % | {' | '.join(found)} |"
    controlled = [f"{roc_auc_score(*scores_of(run, 'gri-controlled')[:2]):.3f}" for run in runs]
    yield f"| AUROC on `lsst-gri-controlled` | {' | '.join(controlled)} |"


def test_the_page_of_the_populations_has_the_figures_of_one_band_and_three():
    page = (ROOT / "docs" / "populations.md").read_text()
    assert [row for row in rows_of_bands() if row not in page] == []


def test_purities_completenesses_and_false_positive_rates_of_the_resnet_as_in_2018():
    rates = {"purity": [], "completeness": [], "fpr": []}
    for framework, seed in (("legacy", 1), ("modern", 2), ("modern", 3)):
        labels, scores, _ = scores_of(f"resnet-2000-{MISTAKES}-{framework}-seed{seed}", "mocks")
        called = scores > 0.5
        (tn, fp), _ = confusion_matrix(labels, called)
        rates["purity"].append(precision_score(labels, called))
        rates["completeness"].append(recall_score(labels, called))
        rates["fpr"].append(fp / (fp + tn))
    low, high = ({key: f"{pick(values):.2f}" for key, values in rates.items()} for pick in (min, max))
    words = published()
    assert (
        f"purity {low['purity']} to {high['purity']}, false positive rate {low['fpr']} to {high['fpr']} on 2,000"
        in words
    )
    assert f"{low['completeness']} to {high['completeness']} on 2,000 mocks" in words


def test_losses_of_the_resnet_as_in_2018():
    runs = [f"resnet-2000-{MISTAKES}-{side}-seed{seed}" for side, seed in (("legacy", 1), ("modern", 2), ("modern", 3))]
    tenth, last = ([history_of(run, "loss")[i] for run in runs] for i in (9, -1))
    spelled = [f"{min(v):.4f} to {max(v):.4f}" for v in (tenth, last)]
    assert f"{spelled[0]} in the tenth epoch, {spelled[1]} in the last" in published()


def test_how_many_runs_on_raw_counts_are_stuck():
    stuck = {}
    for size, frameworks in ((200, "legacy"), (20000, "legacy")):
        ends = [
            history_of(f"cnn-{size}-validate_on_train+raw_pixels-{frameworks}-seed{i}", "loss")[-3:]
            for i in range(1, 6)
        ]
        stuck[size] = sum(max(end) - min(end) < 1e-4 and min(end) > 2 for end in ends)
    assert f"({stuck[200]} of 5, 11 of 12 and {stuck[20000]} of 5 runs stuck on 200, 2,000 and 20,000)" in published()


def test_the_loss_at_which_the_cnn_stands_still():
    # Half of the images cost nothing; the two outputs of the others -log(1e-7) and, in float32, -log(1 - (1 - 1e-7)).
    wrong = np.mean([-np.log(1e-7), -np.log(1 - float(np.float32(1) - np.float32(1e-7)))])
    assert f"{wrong / 2:.4f}" == "8.0151"
    for side in ("legacy", "modern"):
        last = json.loads((RESULTS / f"probe-{side}-pics.json").read_text())["epochs"][-1]["loss"]
        assert last == pytest.approx(wrong / 2, abs=2e-4)
    assert "loss 8.0151 in the last epoch, legacy and modern" in published()


def test_the_regression_that_sees_no_arc():
    areas = {}
    for name in ("mocks", "pics", "leak-controlled-cv"):
        with gzip.open(RESULTS / "radial" / f"scores-{name}.csv.gz", "rt", newline="") as file:
            rows = list(csv.DictReader(file))
        areas[name] = roc_auc_score([int(r["is_lens"]) for r in rows], [float(r["score"]) for r in rows])
    words = published()
    assert f"It reaches {areas['mocks']:.2f} [" in words and f"and {areas['pics']:.2f} [" in words
    assert f"a regression fitted there has {areas['leak-controlled-cv']:.2f} [" in words


def test_the_difference_of_the_twins_over_three_seeds():
    sides = [
        [roc_auc_score(*scores_of(f"cnn-2000-mended-{side}-seed{i}", "mocks")[:2]) for i in (1, 2, 3)]
        for side in ("legacy", "modern")
    ]
    assert f"CNN {np.mean(np.subtract(sides[1], sides[0])):+.5f} [" in published()


def test_what_the_study_published_means_a_false_positive_rate_of_57_percent():
    solutions = [
        (tp, lenses, called)
        for lenses in range(150, 251)
        for tp in range(lenses + 1)
        if abs(tp / lenses - 0.6069652) < 6e-8
        for called in range(tp, 401)
        if abs(tp / called - 0.51914895) < 6e-8
    ]
    assert solutions == [(122, 201, 235)]
    assert "purity 0.519, contamination 0.481, false positive rate 0.57" in published()
    assert f"{(235 - 122) / (400 - 201):.2f}" == "0.57"


def test_an_interval_over_seeds_and_stamps_by_brute_force():
    # A bootstrap over stamps, and over the seeds by Student's t: no DeLong, no components.
    random, draws = np.random.default_rng(7), []
    runs = [
        scores_of(f"resnet-2000-{MISTAKES}-{side}-seed{s}", "mocks")[:2]
        for side, s in (("legacy", 1), ("modern", 2), ("modern", 3))
    ]
    areas = [roc_auc_score(*run) for run in runs]
    labels = runs[0][0]
    for _ in range(200):
        rows = np.concatenate([random.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in (0, 1)])
        draws.append([roc_auc_score(labels[rows], scores[rows]) for _, scores in runs])
    variance = np.mean(np.var(draws, axis=0)) + np.var(areas, ddof=1) / 3
    text = re.search(r"our ResNet has an AUROC of [\d.]+ \[([\d.]+), ([\d.]+)\]", published())
    half = (float(text[2]) - float(text[1])) / 2
    assert half == pytest.approx(1.97 * variance**0.5, rel=0.25)
