"""The command ``lens-modern``, as a module to be run."""

from lens_common.starting import run


def main() -> int:
    """Carry out the command of ``sys.argv``; return the exit status."""
    return run("lens_modern.cli", "lens-modern")


if __name__ == "__main__":
    raise SystemExit(main())
