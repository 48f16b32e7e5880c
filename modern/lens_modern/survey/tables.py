"""Score tables of any length, written row group by row group: Parquet, FITS, ECSV, CSV."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from lens_common.files import replacing, write_rows
from lens_common.scores.tables import SCORE_COLUMNS

COLUMNS = (*SCORE_COLUMNS, "flags")
DESCRIPTIONS = {
    "id": "identity of the stamp",
    "path": "file, or file#row, that it lies in",
    "fold": "part of the training that knows it, else empty",
    "is_lens": "1 lens, 0 non-lens, missing where unknown",
    "score": "probability that it holds a lens",
    "flags": "thresholds of the bad-image filter that it is beyond, by comma",
}
UNKNOWN = -1  # of is_lens, where a format has no missing integers
SCHEMA = pa.schema([(name, {"is_lens": pa.int8(), "score": pa.float64()}.get(name, pa.string())) for name in COLUMNS])
Rows = Mapping[str, Sequence[Any]]  # by name of a column; None for an unknown label


class Size(NamedTuple):
    """What some formats ask for beforehand.

    Attributes
    ----------
    n_rows : int
        Of the whole table.
    widths : dict of str to int
        Longest text of a column, as `ascii_text` writes it.
    """

    n_rows: int
    widths: dict[str, int]


@contextmanager
def open_table(path: Path, size: Size, about: Mapping[str, Any]) -> Iterator[Callable[[Rows], None]]:
    """Write a score table, as a whole or not at all; its ending names the format.

    Parameters
    ----------
    path : Path
        Ends in one of `WRITERS`.
    size : Size
        Of all that will be written.
    about : mapping
        Where the scores come from, for the metadata; strings and numbers.

    Yields
    ------
    callable
        Takes rows, in their order.
    """
    with replacing(path, "wb") as file, WRITERS[path.suffix](file, size, about) as write:
        yield write


def table_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ascii_text(text: str) -> str:
    """Write text as FITS can hold it; other characters become escapes."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def utf8_text(text: str) -> str:
    """Write bytes of a file's name that are no UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def _parquet(file: IO, size: Size, about: Mapping[str, Any]) -> Iterator[Callable[[Rows], None]]:
    schema = SCHEMA.with_metadata({key: str(value) for key, value in about.items()})

    def write(rows: Rows) -> None:
        columns = {name: [*map(utf8_text, rows[name])] if name in size.widths else rows[name] for name in COLUMNS}
        writer.write_table(pa.table(columns, schema=schema))

    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield write


@contextmanager
def _fits(file: IO, size: Size, about: Mapping[str, Any]) -> Iterator[Callable[[Rows], None]]:
    kinds = {"is_lens": "I", "score": "D"}
    columns = [
        fits.Column(
            name, kinds.get(name) or f"{max(size.widths[name], 1)}A", null=UNKNOWN if name == "is_lens" else None
        )
        for name in COLUMNS
    ]
    header = fits.Header([(f"TCOMM{number}", DESCRIPTIONS[name]) for number, name in enumerate(COLUMNS, 1)])
    header.extend((_keyword(key), ascii_text(str(value)), "") for key, value in about.items())
    table = fits.BinTableHDU.from_columns(columns, header, nrows=0, name="SCORES")
    table.header["NAXIS2"] = size.n_rows
    fits.PrimaryHDU().writeto(file)
    file.write(table.header.tostring().encode("ascii"))
    kind = np.dtype([(c.name, {"I": ">i2", "D": ">f8"}.get(c.format, f"S{c.format[:-1]}")) for c in columns])

    def write(rows: Rows) -> None:
        records = np.zeros(len(rows["id"]), kind)
        for name in COLUMNS:
            values = rows[name]
            if name in size.widths:
                values = [*map(ascii_text, values)]
            elif name == "is_lens":
                values = [UNKNOWN if value is None else value for value in values]
            records[name] = values
        file.write(records.tobytes())

    yield write
    file.write(b"\0" * (-size.n_rows * kind.itemsize % 2880))


def _keyword(key: str) -> str:
    """A header's keyword, 8 letters, for a name such as data_hash."""
    return {"model_hash": "MODLHASH"}.get(key, key.replace("_", "").upper()[:8])


@contextmanager
def _ecsv(file: IO, size: Size, about: Mapping[str, Any]) -> Iterator[Callable[[Rows], None]]:
    kinds = {"is_lens": np.int8, "score": np.float64}
    head = [MaskedColumn(np.zeros(0, kinds.get(name, "U1")), name, description=DESCRIPTIONS[name]) for name in COLUMNS]
    Table(head, meta=dict(about)).write(text := _Text(file), format="ascii.ecsv", delimiter=",")
    # Read by others, as it stands: without the apostrophes of a CSV.
    with _csv_rows(csv.writer(text, lineterminator="\n").writerows) as write:
        yield write


@contextmanager
def _csv(file: IO, size: Size, about: Mapping[str, Any]) -> Iterator[Callable[[Rows], None]]:
    text = _Text(file)
    write_rows(text, [COLUMNS])
    with _csv_rows(partial(write_rows, text)) as write:
        yield write


@contextmanager
def _csv_rows(write_lines: Callable[[Iterable], None]) -> Iterator[Callable[[Rows], None]]:
    def write(rows: Rows) -> None:
        labels = ["" if label is None else label for label in rows["is_lens"]]
        scores = [repr(float(score)) for score in rows["score"]]
        columns = {**rows, "is_lens": labels, "score": scores}
        write_lines(zip(*(columns[name] for name in COLUMNS), strict=True))

    yield write


class _Text:
    """A file of bytes that takes text."""

    def __init__(self, file: IO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8", "surrogateescape"))


WRITERS = {".parquet": _parquet, ".fits": _fits, ".ecsv": _ecsv, ".csv": _csv}
