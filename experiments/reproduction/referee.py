"""The referee's page: summary, ledger, reasons, twins, caveat, REFORMS, deviations, limits."""

import tomllib
from pathlib import Path

from experiments.reproduction import appendix, forensics, story
from experiments.reproduction.forensics import sourced
from experiments.reproduction.stored import Study
from lens_modern.report.claims import hypotheses_table, ledger_data, ledger_table
from lens_modern.report.page import Report, Section, Table

REFORMS = tomllib.loads(Path(__file__).with_name("reforms.toml").read_text())["items"]
SUMMARY = ("scope", "methodology", "results", "easy", "difficult", "contact")


def compose(study: Study) -> Report:
    """Put the page together."""
    say = study.say
    ledger = ledger_table(study.ledger, note=say("referee.ledger_note"))
    reasons = hypotheses_table(study.ledger, title="The reasons of 2018 as hypotheses")
    mistakes = [figure for figure in (story.one_at_a_time(study),) if figure]
    twins = [
        block for block in (appendix.over_seeds(study, only_mended=True), story.score_against_score(study)) if block
    ]
    sections = [
        Section("summary", "Summary", [say(f"referee.{part}") for part in SUMMARY]),
        Section("claims", "What 2018 claimed, and what came of it", [sourced(ledger, "claims.toml")]),
        Section(
            "reasons", "The reasons that the study gave",
            [say("referee.reasons_intro"), sourced(reasons, "claims.toml"), say("referee.reasons_words")],
        ),
        Section("mistakes", "One mistake at a time", [say("referee.mistakes"), *mistakes, say("referee.purity")]),
        Section("twins", "Legacy and modern", [say("referee.twins"), *twins]),
        Section("the-caveat", "The caveat", [say("referee.caveat"), *forensics.caveat(study)[-1:]]),
        Section("reforms", "REFORMS", [reforms(study)]),
        Section("deviations", "Deviations", [say("referee.deviations")]),
        Section("limits", "Limits", [say("referee.limits")]),
    ]  # fmt: skip
    return Report(
        "At chance in 2018: two lens finders, run again",
        say("referee.lead"),
        sections,
        {"ledger": ledger_data(study.ledger)},
    )


def reforms(study: Study) -> Table:
    """The 32 items of REFORMS, answered."""
    rows = [[entry["item"], study.ledger.fill(entry["answer"])] for entry in REFORMS]
    return Table(
        "reforms-table", "REFORMS for ML-based science (Kapoor et al. 2024)", ["item", "answer"], rows, prose=True,
        source="Script: `experiments/reproduction/reforms.toml`.",
    )  # fmt: skip
