"""The command ``lens-modern``."""

from lens_common.cli import run_command_line

from . import backend, export
from .exercise import verb as exercise
from .extras import verbs_of_extras


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    return run_command_line(backend, arguments, [export.add_verb, exercise.add_verb, *verbs_of_extras()])


if __name__ == "__main__":
    raise SystemExit(main())
