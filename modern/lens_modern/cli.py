"""The command ``lens-modern``."""

from lens_common.cli import run_command_line

from . import backend


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return the exit status."""
    return run_command_line(backend, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
