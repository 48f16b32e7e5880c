"""The verb ``realism``: how far a random forest tells mocks from the stamps that they stand for."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from lens_common.cli.options import add_bands
from lens_common.cli.outputs import add_out
from lens_common.data.bands import spell_bands
from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError
from lens_common.progress import progress_bar
from lens_common.scores.metrics import spell_interval

from ..report.figures import draw_histograms
from ..report.markdown import code, plain
from ..report.page import Report, Section, Table, slug, write_report
from .features import FEATURES, measure_features
from .forest import Verdict, n_fits, tell_apart

CLASSES = {"lenses": 1, "non-lenses": 0}
FEWEST_STAMPS = 20  # of a class; fewer leave no fold to judge by
SEEDS = (1, 2, 3)
COLUMNS = ("feature", "unit", "AUROC lost without it", "AUROC of it alone", "median, reference", "median, mock")
METHOD = (
    "A random forest learns from summary features of four fifths of the stamps to tell mock from reference, and is "
    "asked about the last fifth, in turn; its settings are chosen inside of those four fifths. Three times with other "
    "folds, and the mean score of each stamp counts. Both sets weigh the same, however large. An AUROC of 0.5 says "
    "that these features, with so many stamps, cannot tell the two apart; of 1, that they always can."
)


@dataclass(frozen=True, eq=False)
class Judged:
    """One class: the features of both sets, float (N, K) and (M, K), and what the forest says of them."""

    reference: np.ndarray
    mocks: np.ndarray
    verdict: Verdict

    def ranking(self) -> list[int]:
        """Features, the one first that costs the forest most when it is shuffled."""
        return sorted(range(len(FEATURES)), key=lambda k: -self.verdict.importances[k])


def add_verb(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``realism`` to the command line."""
    parser = verb(
        "realism",
        "tell how far mocks can be told from the stamps that they stand for",
        '--reference "$LENS_PICS_MOCKS" --mock mocks7 --out realism.html',
        realism,
    )
    parser.add_argument("--reference", required=True, metavar="DIR", help="labelled stamps that the mocks should match")
    parser.add_argument("--mock", required=True, metavar="DIR", help="labelled mocks; ten times as many are welcome")
    add_bands(parser)
    add_out(parser, "a page; .md and .json are written beside it", [".html"], [".md", ".json"], needed=False)


def realism(backend: ModuleType, options: argparse.Namespace) -> None:
    """Judge each class that both sets hold; print the verdicts, and write a page where one is asked for."""
    out = Path(options.out) if options.out else None
    folders = {"reference": options.reference, "mock": options.mock}
    if Path(options.reference).resolve() == Path(options.mock).resolve():
        raise UserError(f"--reference and --mock are the same folder, {options.mock}; name two")
    data = {name: load_stamps(folder, verbose=True, bands=options.bands) for name, folder in folders.items()}
    missing = check_sets(data)
    judged = {name: judge(data, label) for name, label in CLASSES.items() if name not in missing}
    print("\n\n".join([*missing.values(), *(_as_text(name, found) for name, found in judged.items())]))
    if out:
        print("\n" + ", ".join(map(str, write_report(compose(judged, missing, folders), out))))


def check_sets(data: Mapping[str, Stamps]) -> dict[str, str]:
    """See that two sets can be compared.

    Parameters
    ----------
    data : dict of str to Stamps
        ``reference`` and ``mock``.

    Returns
    -------
    dict of str to str
        Classes that a set lacks, each with a sentence.

    Raises
    ------
    UserError
        For stamps of different shapes or bands, stamps that both sets hold, a class of fewer than 20 stamps, or no
        class that both hold.
    """
    reference, mock = data["reference"], data["mock"]
    shapes = [part.pixels.shape[1:] for part in (reference, mock)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"stamps of {reference.folder} have (bands, H, W) = {shapes[0]}, those of {mock.folder} {shapes[1]}; "
            "compare stamps of one shape"
        )
    bands = [part.bands for part in (reference, mock)]
    if all(bands) and bands[0] != bands[1]:
        raise UserError(
            f"stamps of {reference.folder} have {spell_bands(len(bands[0]), bands[0])}, those of {mock.folder} "
            f"{spell_bands(len(bands[1]), bands[1])}; compare the same band, chosen with `bands`"
        )
    n_shared = len(np.intersect1d(reference.digests, mock.digests))
    if n_shared:
        raise UserError(
            f"{n_shared} stamps lie in both {reference.folder} and {mock.folder}; name sets that share none"
        )
    missing = {}
    for name, label in CLASSES.items():
        counts = {part.folder: int((part.labels == label).sum()) for part in (reference, mock)}
        lacking = [folder for folder, n_stamps in counts.items() if n_stamps == 0]
        if lacking:
            missing[name] = f"No verdict on {name}: {' and '.join(lacking)} hold{'s' * (len(lacking) == 1)} none."
            continue
        folder, fewest = min(counts.items(), key=lambda item: item[1])
        if fewest < FEWEST_STAMPS:
            raise UserError(f"{folder} holds {fewest} {name}; a verdict takes at least {FEWEST_STAMPS} of a class")
    if len(missing) == len(CLASSES):
        raise UserError(
            f"{reference.folder} and {mock.folder} share no class; put both in the 2018 layout, with labels"
        )
    return missing


def judge(data: Mapping[str, Stamps], label: int) -> Judged:
    """Measure the stamps of one class and let the forest tell them apart, with progress on stderr."""
    stamps = {name: part.pixels[part.labels == label] for name, part in data.items()}
    name = next(word for word, value in CLASSES.items() if value == label)
    with progress_bar(f"features of {name}", sum(map(len, stamps.values())), "stamp") as bar:
        features = {key: measure_features(part, bar.update) for key, part in stamps.items()}
    with progress_bar(f"forests for {name}", n_fits(SEEDS), "fold") as bar:
        verdict = tell_apart(features["reference"], features["mock"], SEEDS, bar.update)
    return Judged(features["reference"], features["mock"], verdict)


def compose(judged: Mapping[str, Judged], missing: Mapping[str, str], folders: Mapping[str, str]) -> Report:
    """Put the page together."""
    rows = [
        [name, _spelled(found.verdict), f"{found.verdict.n_reference:,}", f"{found.verdict.n_mocks:,}"]
        for name, found in judged.items()
    ]
    named = f"Reference: {code(Path(folders['reference']).name)}; mocks: {code(Path(folders['mock']).name)}."
    table = Table("verdicts", "How well the mocks can be told", ["class", "AUROC", "reference", "mocks"], rows)
    sections = [Section("verdict", "Verdict", [named, *map(plain, missing.values()), table, METHOD])]
    sections += [_class_section(name, found) for name, found in judged.items()]
    about = [[feature.name, feature.unit, feature.sentence] for feature in FEATURES]
    sections.append(
        Section(
            "features", "The features", [Table("about", "What is measured", COLUMNS[:2] + ("what",), about, prose=True)]
        )
    )
    lead = "\n\n".join([*map(plain, missing.values()), *(_sentence(name, found) for name, found in judged.items())])
    return Report("Realism of mocks", lead, sections, {"classes": {name: _as_data(f) for name, f in judged.items()}})


def _class_section(name: str, judged: Judged) -> Section:
    table = Table(
        f"ranked-{slug(name)}",
        f"What gives the {name} away, the most telling first",
        COLUMNS,
        _ranked_rows(judged),
        "AUROC lost: when the feature is shuffled among the stamps that the forest has not seen; where two features "
        "say the same, neither is missed much. Of it alone: above 0.5 where it is larger in the mocks.",
    )
    figures = [
        draw_histograms(
            f"{slug(name)}-{slug(FEATURES[k].name)}",
            FEATURES[k].name,
            {"reference": judged.reference[:, k], "mocks": judged.mocks[:, k]},
            f"{FEATURES[k].name} [{FEATURES[k].unit}]" if FEATURES[k].unit else FEATURES[k].name,
        )
        for k in judged.ranking()
    ]
    shown = "Share of the stamps in each bin, the most telling feature first; bars: 95 % Wilson intervals."
    return Section(slug(name), name.capitalize(), [_sentence(name, judged), table, shown, *figures])


def _ranked_rows(judged: Judged) -> list[list[str]]:
    verdict = judged.verdict
    return [
        [
            FEATURES[k].name,
            FEATURES[k].unit,
            f"{verdict.importances[k]:+.3f}",
            f"{verdict.areas[k]:.3f}",
            f"{np.median(judged.reference[:, k]):.3g}",
            f"{np.median(judged.mocks[:, k]):.3g}",
        ]
        for k in judged.ranking()
    ]


def _sentence(name: str, judged: Judged) -> str:
    """The verdict on a class in words."""
    found = f"{name.capitalize()}: AUROC {_spelled(judged.verdict)}"
    if judged.verdict.low <= 0.5:
        return f"{found}; the forest cannot tell these mocks from the reference."
    worst = [FEATURES[k].name for k in judged.ranking()[:3]]
    return f"{found}; the forest tells some apart, first by {', '.join(worst[:-1])} and {worst[-1]}."


def _spelled(verdict: Verdict) -> str:
    return spell_interval(verdict.auroc, verdict.low, verdict.high)


def _as_text(name: str, judged: Judged) -> str:
    """A class on the terminal: the verdict, then the ranked features in columns."""
    verdict = judged.verdict
    rows = [list(COLUMNS), *_ranked_rows(judged)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    ]
    counts = f"{verdict.n_reference:,} of the reference, {verdict.n_mocks:,} mocks"
    return "\n".join([f"{_sentence(name, judged)} {counts}.", *lines])


def _as_data(judged: Judged) -> dict:
    verdict = judged.verdict
    return {
        **{key: getattr(verdict, key) for key in ("auroc", "low", "high", "n_reference", "n_mocks")},
        "features": {
            FEATURES[k].name: {"importance": verdict.importances[k], "auroc": verdict.areas[k]}
            for k in judged.ranking()
        },
    }
