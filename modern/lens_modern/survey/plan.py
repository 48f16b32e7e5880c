"""Which shards there are: a file with a line for each, of any length, and the stamps that are looked at beforehand."""

import hashlib
import json
import os
from array import array as numbers
from collections.abc import Iterator, Sequence
from pathlib import Path

from lens_common.data.bands import Names
from lens_common.data.headers import StampError
from lens_common.errors import UserError
from lens_common.files import replacing, short_names

from .engine import DAMAGED, Found, Shard, examine_shard
from .readers import OF_ARRAYS, READERS, expand_source, find_reader

SHARD = 4096  # cutouts; the ResNet takes ten seconds of a core for them
SAMPLE = 25  # stamps that tell shape, pixel scale, zero-point and noise of all


class Plan:
    """The shards of some sources, in a file.

    Parameters
    ----------
    path : Path
        To be written.
    sources : sequence of str
        Folders and files.
    size : int
        Cutouts of a shard, about.
    array : str
        Which array of the files that hold several; empty: the only one that could be cutouts.
    choice : tuple of str
        Which bands of stamps that have several, see `lens_common.data.bands.parse_bands`; empty: all.

    Attributes
    ----------
    digest : str
        SHA-256 of all shards, of the files' names, sizes and times.
    lengths : array of int
        Cutouts of each shard.

    Raises
    ------
    UserError
        If a source is missing or of no known kind, or the only one is empty or damaged.
    """

    def __init__(self, path: Path, sources: Sequence[str], size: int, array: str = "", choice: Names = ()) -> None:
        self.choice = choice
        self._path, self._starts, self.lengths = path, numbers("Q"), numbers("Q")
        digest = hashlib.sha256(f"bands {','.join(choice)}".encode() if choice else b"")
        sources = [part for source in sources for part in expand_source(source)]
        names = _names(sources)
        with replacing(path, "wb") as file:
            for source in sources:
                absolute = os.path.abspath(source)
                for n_cutouts, kind, rows in _shards_of(Path(source), size, array, bool(choice), len(sources) == 1):
                    self._starts.append(file.tell())
                    self.lengths.append(n_cutouts)
                    file.write(json.dumps([n_cutouts, kind, absolute, rows, names.get(source, "")]).encode() + b"\n")
                if os.path.isfile(source):  # of a folder each file counts
                    digest.update(repr((os.stat(source).st_size, os.stat(source).st_mtime_ns)).encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._starts)

    def shards(self, numbers: Iterator[int] | Sequence[int]) -> Iterator[Shard]:
        """Some of the shards, in any order."""
        with open(self._path, "rb") as file:
            for number in numbers:
                file.seek(self._starts[number])
                yield Shard(number, *json.loads(file.readline()))

    def sample(self) -> list[Found]:
        """Good stamps, spread over all shards; where there is none, what went wrong with the first cutout."""
        step = max(1, len(self) // SAMPLE)
        share = -(-SAMPLE // min(len(self), SAMPLE))
        good: list[Found] = []
        bad: list[Found] = []
        for shard in self.shards([number for start in range(step) for number in range(start, len(self), step)]):
            taken = 0
            for found in examine_shard(shard._replace(rows=_spread(shard, share)), choice=self.choice):
                if found[1].stamp is None:
                    bad = bad or [found]
                    continue
                good.append(found)
                taken += 1
                if len(good) == SAMPLE:
                    return good
                if taken == share:
                    break
        return good or bad


def _names(sources: Sequence[str]) -> dict[str, str]:
    """Names of the sources whose cutouts would have the ids of another's.

    Those of a file begin with its name, which a file of another folder may have; those of a folder with nothing.
    """
    alike: dict[str, list[str]] = {}
    for source in sources:
        alike.setdefault("" if os.path.isdir(source) else os.path.basename(source), []).append(source)
    groups = [group for group in alike.values() if len(group) > 1]
    return {source: name for group in groups for source, name in zip(group, short_names(group), strict=True)}


def _shards_of(source: Path, size: int, array: str, has_bands: bool, is_only: bool) -> Iterator[tuple[int, str, list]]:
    """Shards of a source; of a damaged one among others a shard that says so."""
    try:
        kind = find_reader(source, has_bands)
        n_found = 0
        chosen = [array] if array and kind in OF_ARRAYS else []
        for n_cutouts, rows in READERS[kind].plan(source.absolute(), size, *chosen):
            yield n_cutouts, kind, rows
            n_found += n_cutouts
        if not n_found:
            raise StampError(f"{source} holds no cutout")
    except StampError as error:
        if is_only:
            raise UserError(f"{error}; name other data") from error
        yield 0, DAMAGED, [str(error)]


def _spread(shard: Shard, share: int) -> list:
    """Files of a folder in an order of which any beginning is spread over all; a container from its first row."""
    if shard.kind != "folder":
        return shard.rows
    step = max(1, len(shard.rows) // share)
    return [row for start in range(step) for row in shard.rows[start::step]]
