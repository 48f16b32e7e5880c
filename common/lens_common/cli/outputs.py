"""What a verb may write: files with the right ending that are not there yet, or that the same verb wrote before."""

import argparse
import os
from pathlib import Path
from typing import Any, Iterator, List, Sequence

from ..errors import UserError
from ..scores.tables import SCORE_COLUMNS

# What files of ours hold near one of their ends, by their ending; a table of CSV begins with it.
MARKS = {
    ".csv": ",".join(SCORE_COLUMNS).encode(),
    ".parquet": b"model_hash",
    ".fits": b"modlhash",
    ".ecsv": b"model_hash",
    ".onnx": b"model_hash",
    ".png": b"lens-twins",
    ".html": b'content="lens-twins"',
}
LOOKED_AT = 2**16  # bytes of either end


def add_out(
    parser: argparse.ArgumentParser, what: str, endings: Sequence[str], beside: Sequence[str] = (), needed: bool = True
) -> None:
    """Add --out and --overwrite, which `check_outputs` reads.

    Parameters
    ----------
    parser : ArgumentParser
        Of a verb.
    what : str
        Help of --out.
    endings : sequence of str
        That --out may have, such as ``.png``.
    beside : sequence of str
        What replaces the ending in the names of further files that the verb writes, after that of --out: whatever a
        kill leaves, that one says whose the others are.
    needed : bool
        Whether --out must be given.
    """
    name = "FILE" + endings[0] if len(endings) == 1 else "FILE"
    parser.add_argument("--out", required=needed, metavar=name, help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace what this verb did not write, too")
    parser.set_defaults(endings=tuple(endings), beside=tuple(beside))


def check_outputs(options: argparse.Namespace) -> None:
    """See that nobody's file is lost where a verb writes.

    Raises
    ------
    UserError
        For another ending, an output that is an input, and, without --overwrite, a file that the verb did not write.
    """
    if not getattr(options, "out", None) or not hasattr(options, "endings"):
        return
    out = Path(options.out)
    if out.suffix not in options.endings:
        raise UserError(f"--out must end in {', '.join(options.endings)}, got {out}")
    outputs = [out, *(out.with_name(out.stem + ending) for ending in options.beside)]
    read = {os.path.realpath(name) for name in _inputs(options)}
    for path in outputs:
        if os.path.realpath(path) in read:
            raise UserError(f"--out {out} would replace {path}, which is read; choose another name")
    if options.overwrite or is_ours(out):  # what lies beside a file of ours was written after it
        return
    for path in outputs:
        if os.path.lexists(path):
            raise UserError(
                f"{path} is there, and not of an earlier run with --out {out}; choose another name, or say --overwrite"
            )


def is_ours(path: Path) -> bool:
    """Whether a file looks as this project writes files of that ending."""
    mark = MARKS[path.suffix]
    try:
        with open(path, "rb") as file:
            head = file.read(LOOKED_AT)
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOOKED_AT))
            tail = file.read(LOOKED_AT)
    except OSError:
        return False
    return head.startswith(mark) if path.suffix == ".csv" else mark in head.lower() or mark in tail.lower()


def _inputs(options: argparse.Namespace) -> Iterator[str]:
    """Every file or folder that the options may name, and the JSON that is read with a score table."""
    for name, value in vars(options).items():
        values: List[Any] = value if isinstance(value, list) else [value]
        for text in values if name != "out" else ():
            if isinstance(text, str) and text and os.path.exists(text):
                yield text
                if text.endswith(".csv"):
                    yield str(Path(text).with_suffix(".json"))
