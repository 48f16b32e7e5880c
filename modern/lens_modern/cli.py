"""The command ``lens-modern``."""

from lens_common.cli import run_command_line

from . import backend, export
from .exercise import verb as exercise
from .realism import verb as realism
from .report import verb as report
from .survey import verb as survey


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    extra_verbs = [export.add_verb, report.add_verb, realism.add_verb, survey.add_verb, exercise.add_verb]
    return run_command_line(backend, arguments, extra_verbs)


if __name__ == "__main__":
    raise SystemExit(main())
