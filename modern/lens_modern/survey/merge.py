"""Parts into one score table: each id once, hashed in the order of ids, with little of it in memory at a time."""

import hashlib
import heapq
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from lens_common.data.decoding import SET_ASIDE, Rejection
from lens_common.files import replacing
from lens_common.runs import write_rejected

from .readers import grouped
from .tables import COLUMNS, Size, ascii_text, open_table

SORTED_AT_ONCE = 20_000  # rows in memory, of about 300 bytes
FILES_AT_ONCE = 100


class Contents(NamedTuple):
    """What parts hold, all together.

    Attributes
    ----------
    size : Size
        Of the table that they will make.
    data_hash : str
        As `lens_common.data.stamps.Stamps.data_hash`.
    repeated : dict of int to int
        Rows whose id an earlier row has, numbered over all parts, and that row.
    n_above : int
        Scores above 0.5.
    cpu_seconds : float
        Of all shards.
    """

    size: Size
    data_hash: str
    repeated: dict[int, int]
    n_above: int
    cpu_seconds: float


def survey_parts(parts: Sequence[Path]) -> Contents:
    """Go through all parts once, for what must be known before the table is written."""
    widths = dict.fromkeys(("id", "path", "fold", "flags"), 0)
    n_above, seconds = 0, 0.0

    def lines() -> Iterator[tuple[str, int, str, bool]]:
        nonlocal seconds
        number = 0
        for part in parts:
            seconds += float(pq.read_metadata(part).metadata[b"cpu_seconds"])
            scored, _ = _read_part(part)
            for name in widths:
                lengths = (len(ascii_text(text)) for text in set(scored[name].to_pylist()))
                widths[name] = max(widths[name], *lengths, 0)
            columns = (scored[name].to_pylist() for name in ("id", "digest", "score"))
            for stamp_id, digest, score in zip(*columns, strict=True):
                yield f"{stamp_id}:{digest}\n", number, stamp_id, score > 0.5
                number += 1

    total, repeated, n_rows = hashlib.sha256(), {}, 0
    with tempfile.TemporaryDirectory(dir=parts[0].parent) as folder:
        for _, same in itertools.groupby(_sorted(lines(), Path(folder)), key=lambda row: row[2]):
            first, *others = sorted(same, key=lambda row: row[1])
            line, first_number, _, is_above = first
            total.update(line.encode())
            repeated.update({number: first_number for _, number, *_ in others})
            n_rows += 1
            n_above += is_above
    return Contents(Size(n_rows, widths), total.hexdigest(), repeated, n_above, seconds)


def merge_parts(parts: Sequence[Path], contents: Contents, out: Path, about: Mapping[str, Any]) -> int:
    """Write the score table, and beside it the table of what was set aside or repaired; return the length of that."""
    firsts = dict.fromkeys(contents.repeated.values(), ("", ""))
    repeats: list[Rejection] = []
    number = 0
    with open_table(out, contents.size, about) as write:
        for part in parts:
            scored, _ = _read_part(part)
            rows = {name: scored[name].to_pylist() for name in COLUMNS}
            if contents.repeated:
                source = pq.read_metadata(part).metadata[b"source"].decode()
                numbers = range(number, number + len(scored))
                firsts.update({n: (rows["path"][n - number], source) for n in numbers if n in firsts})
                again = [n - number for n in numbers if n in contents.repeated]
                for row in again:
                    first, its_source = firsts[contents.repeated[number + row]]
                    reason = f"same id as {first}" + f" of {its_source}" * (its_source != source)
                    repeats.append(Rejection(rows["id"][row], rows["path"][row], SET_ASIDE, 0, reason))
                keep = sorted(set(range(len(scored))) - set(again))
                rows = {name: [values[row] for row in keep] for name, values in rows.items()}
            number += len(scored)
            write(rows)
    counter = itertools.count()
    stored = (Rejection(**row) for part in parts for row in _read_part(part)[1].to_pylist())
    rejected = (row for row, _ in zip(itertools.chain(stored, repeats), counter, strict=False))
    write_rejected(out.with_name(f"{out.stem}-rejected.csv"), rejected)
    return next(counter)


def _read_part(part: Path) -> tuple[pa.Table, pa.Table]:
    """Rows that have a score, and rejections."""
    table = pq.read_table(part, partitioning=None)
    is_scored = pa.compute.is_valid(table["score"])
    return table.filter(is_scored), table.filter(pa.compute.invert(is_scored)).select([*Rejection.__dataclass_fields__])


def _sorted(rows: Iterable[tuple], folder: Path) -> Iterator[list]:
    """Rows in order, by way of files that are sorted one by one and merged."""
    names = (folder / f"{number}" for number in itertools.count())
    files = [_write(next(names), sorted(group)) for group in grouped(rows, SORTED_AT_ONCE)]
    while len(files) > FILES_AT_ONCE:
        files = [_write(next(names), heapq.merge(*map(_read, group))) for group in grouped(files, FILES_AT_ONCE)]
    return heapq.merge(*map(_read, files))


def _write(path: Path, rows: Iterable[Sequence]) -> Path:
    with replacing(path) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def _read(path: Path) -> Iterator[list]:
    with open(path) as file:
        yield from map(json.loads, file)
    path.unlink()
