"""The command ``lens-modern``."""

import sys

from lens_common.cli import run_command_line

from . import backend, export
from .exercise import verb as exercise
from .extras import verbs_of_extras


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    extras = [] if arguments[:1] == ["exercise"] else verbs_of_extras()  # seconds of imports that a check does not need
    return run_command_line(backend, arguments, [export.add_verb, exercise.add_verb, *extras])


if __name__ == "__main__":
    raise SystemExit(main())
