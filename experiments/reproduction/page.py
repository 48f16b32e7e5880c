"""Make the three pages of the reproduction from stored runs, and from nothing else.

    python -m experiments reproduction.page RESULTS OUT.html

OUT.html is the referee's page, with its Markdown and JSON; story.html, appendix.html and ledger.json lie beside it.
The same stored runs give the same bytes.
"""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from experiments.reproduction import appendix, referee, story
from experiments.reproduction.stored import Study, read_study
from experiments.runner import ROOT, carry_out
from lens_common.errors import UserError
from lens_common.files import replacing
from lens_modern.report.claims import ledger_data
from lens_modern.report.figures import Figure, standalone
from lens_modern.report.glossary import link_terms, read_glossary
from lens_modern.report.page import Report, walk, write_report

README_FIGURES = ("ablation-cnn-2000-mocks", "caveat")
GLOSSARY = ROOT / "docs" / "glossary.md"


def compose(study: Study, name: str) -> dict[str, Report]:
    """The three pages by file name, each with links to the others and its terms linked to the glossary."""
    made = {"story": story.compose(study), name: referee.compose(study), "appendix": appendix.compose(study)}
    titles = {"story": "The story", name: "For the referee", "appendix": "Appendix"}
    pages = {
        f"{key}.html": title for key, title in titles.items()
    } | {"glossary.md": "Glossary", "statistics.md": "Statistics"}  # fmt: skip
    terms = read_glossary(GLOSSARY)
    return {key: link_terms(replace(report, pages=pages), terms, GLOSSARY.name) for key, report in made.items()}


def write_drawings(report: Report, out: Path) -> list[Path]:
    """Write the figures that README shows beside the page; return their paths."""
    written = []
    blocks = [block for section in walk(report.sections) for block in section.blocks]
    for figure in [block for block in blocks if isinstance(block, Figure) and block.key in README_FIGURES]:
        path = out.with_name(f"{out.stem}-{figure.key}.svg")
        with replacing(path) as file:
            file.write(standalone(figure))
        written.append(path)
    return written


def make_page(results: Path, out: Path) -> str:
    """Write the pages, the ledger and the drawings; return their names."""
    if out.suffix != ".html":
        raise UserError(f"the page must end in .html, got {out}")
    study = read_study(results)
    reports = compose(study, out.stem)
    # Tables and figures of the appendix are looked up in the JSON of the referee's page.
    every = replace(reports[out.stem], sections=[s for report in reports.values() for s in report.sections])
    written = [*write_report(reports["story"], out.with_name("story.html"), [".html"])]
    written += write_report(reports["appendix"], out.with_name("appendix.html"), [".html"])
    written += write_report(reports[out.stem], out, [".html", ".md"]) + write_report(every, out, [".json"])
    with replacing(out.with_name("ledger.json")) as file:
        file.write(json.dumps(ledger_data(study.ledger), indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    written += [out.with_name("ledger.json"), *write_drawings(reports["appendix"], out)]
    return ", ".join(map(str, written))


main = partial(carry_out, "page", __doc__, {"results": {"type": Path}, "out": {"type": Path}}, make_page)
