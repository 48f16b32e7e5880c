"""The command ``lens-modern``."""

from lens_common.cli import run_command_line

from . import backend, export
from .realism import verb as realism
from .report import verb as report


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    return run_command_line(backend, arguments, extra_verbs=[export.add_verb, report.add_verb, realism.add_verb])


if __name__ == "__main__":
    raise SystemExit(main())
