"""The command ``lens-legacy``, as a module to be run."""

from lens_common.starting import run


def main() -> int:
    """Carry out the command of ``sys.argv``; return the exit status."""
    return run("lens_legacy.cli", "lens-legacy")


if __name__ == "__main__":
    raise SystemExit(main())
