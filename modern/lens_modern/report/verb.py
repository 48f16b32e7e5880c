"""The verb ``report``: one page of anybody's runs."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from lens_common.cli.options import add_margin
from lens_common.cli.outputs import add_out
from lens_common.errors import UserError

from .claims import Ledger, judge, ledger_data, read_claims
from .claims import sections as sections_of_claims
from .gallery import stamps_with_scores
from .markdown import plain
from .page import Report, Section, write_report
from .reading import StoredRun, read_runs
from .sections import (
    MOST_CURVES,
    MOST_PAIRS,
    cost_table,
    describe_run,
    find_pairs,
    group_by_seed,
    left_out_table,
    metrics_table,
    overview_figures,
    pair_section,
    runs_table,
    set_names,
    set_title,
    short_labels,
    spelled_auroc,
)


def add_verb(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``report`` to the command line."""
    parser = verb("report", "write one page about some runs", "runs/legacy runs/modern --out report.html", report)
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run directories of finished trainings")
    parser.add_argument(
        "--claims", metavar="TOML", help="claims, figures and rules to judge the runs by; docs/claims.md explains them"
    )
    add_out(parser, "the page; .md and .json are written beside it", [".html"], [".md", ".json"])
    add_margin(parser)


def report(backend: ModuleType, options: argparse.Namespace) -> None:
    """Write a page, its Markdown and its JSON about finished runs; what cannot be used is named and set aside."""
    out = Path(options.out)
    if not 0 < options.margin < 1:
        raise UserError(f"--margin must lie between 0 and 1, got {options.margin}")
    paths: dict[Path, Path] = {}
    for path in map(Path, options.runs):
        paths.setdefault(path.resolve(), path)
    content = read_claims(Path(options.claims)) if options.claims else None
    runs, left_out = read_runs(paths.values())
    for reason in left_out.values():
        print(f"lens-modern: set aside: {reason}", file=sys.stderr)
    page = compose(runs, left_out, options.margin)
    if content is not None:
        page = with_claims(page, judge(content, runs, Path(options.claims).parent))
    written = write_report(page, out)
    print(f"{len(runs)} runs, {len(left_out)} set aside: {', '.join(map(str, written))}")


def with_claims(page: Report, ledger: Ledger) -> Report:
    """A report that opens with claims and what came of them."""
    sections = [*sections_of_claims(ledger), *page.sections]
    data = {**page.data, "ledger": ledger_data(ledger)}
    return replace(page, title=ledger.title, lead=ledger.lead or page.lead, sections=sections, data=data)


def compose(runs: list[StoredRun], left_out: dict[str, str], margin: float) -> Report:
    """Put a report of some runs together."""
    pairs = find_pairs(runs)
    names = set_names(runs)
    figures = "Runs are drawn one by one"
    shown = f"{figures}, the first {MOST_CURVES} of {len(runs)}." if len(runs) > MOST_CURVES else f"{figures}."
    set_aside = [left_out_table(left_out)] if left_out else []
    sections = [
        Section("runs", "The runs", [runs_table("all-runs", runs), metrics_table("all-metrics", runs), *set_aside]),
        Section("overview", "At a glance", [shown, *overview_figures(runs)]),
    ]
    compared = [_side_by_side(*pair, margin, names, f"pair-{i}") for i, pair in enumerate(pairs[:MOST_PAIRS], 1)]
    if compared:
        said = f"{len(pairs)} pairs of twins" if len(pairs) > 1 else "One pair"
        more = f"; the first {MOST_PAIRS} are shown" if len(pairs) > MOST_PAIRS else ""
        sections.append(Section("pairs", "Side by side", [f"{said}{more}."], compared))
    sections.append(Section("cost", "Time and memory", [cost_table("cost-table", runs)]))
    data = {
        "runs": [_as_data(run, names) for run in runs],
        "left_out": [{"run": path, "reason": why} for path, why in left_out.items()],
    }
    return Report(
        f"Report of {len(runs)} run{'s' if len(runs) > 1 else ''}", _lead(runs, names, left_out), sections, data
    )


def _side_by_side(first: StoredRun, second: StoredRun, margin: float, names: list[str], key: str) -> Section:
    """Two runs, and some stamps with both scores where the stamps are at hand."""
    section = pair_section(first, second, margin, names, key)
    gallery = stamps_with_scores(first, second, short_labels((first, second)), f"{key}-stamps")
    return replace(section, blocks=[*section.blocks, gallery]) if gallery else section


def _lead(runs: list[StoredRun], names: list[str], left_out: dict[str, str]) -> str:
    """What came out, in a few sentences."""
    lines = []
    for group in group_by_seed(runs)[:4]:
        parts = []
        for name in names:
            found = group.estimate(name) if len(group.runs) > 1 else None
            text = f"{found:.3f} over {len(group.runs)} seeds" if found else spelled_auroc(group.runs[0], name)
            if text:
                parts.append(f"{text} on the {plain(set_title(name))}")
        lines.append(f"{plain(group.name)}: AUROC {'; '.join(parts)}.")
    if left_out:
        lines.append(f"{len(left_out)} of {len(runs) + len(left_out)} runs were set aside; the reasons stand below.")
    return "\n\n".join(lines)


def _as_data(run: StoredRun, names: list[str]) -> dict:
    return {
        "name": run.name,
        "what": describe_run(run),
        "config": {**run.config, "data": {**run.config["data"], "folder": Path(run.config["data"]["folder"]).name}},
        "metrics": {key: value for key, value in run.metrics.items() if key != "data"},
        "auroc": {name: spelled_auroc(run, name) for name in names if name in run.sets},
    }
