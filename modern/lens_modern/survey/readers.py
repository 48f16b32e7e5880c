"""Where cutouts come from: folders of FITS files, FITS cubes and multi-extension files, HDF5 and Parquet.

A reader is two functions.  ``plan`` divides a source into shards, lists that fit on a line of JSON; ``read`` goes
through the cutouts of one shard, in any process, on any machine that sees the same files.
"""

import contextlib
import io
import json
import logging
import math
import mmap
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from isal import igzip

from lens_common.data.bands import band_cards, is_numbers, parse_bands
from lens_common.data.catalogue import walk_stamps
from lens_common.data.decoding import MOST_BANDS, as_stamp, decode_stamp, read_stamp_and_header
from lens_common.data.headers import NOT_SKY, StampError, card_text, check_counts, read_cards
from lens_common.data.layout import path_label
from lens_common.errors import UserError

FITS_BLOCK = 2880  # bytes
GZIP = b"\x1f\x8b"  # how a gzipped file begins, whatever its name
MOST_GAIN = 1032  # of deflate
HDF5_HEAP = b"GCOL\x01\0\0\0"  # how a collection of strings begins
OBJECT = ((0, 2), (8, 8))  # where the number and the size of a string stand in its header, and in how many bytes
REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])  # to a string
BAND_CARD = re.compile("(?:BAND|FILTER)[0-9]+")  # what viewers of coadds write into coloured cutouts, one a band
LOG = logging.getLogger(__name__)
MOST_HEADER = 1000 * FITS_BLOCK
ROWS_AT_ONCE, BYTES_AT_ONCE = 256, 2**27  # of a cube, an HDF5 or a Parquet file: what is in memory
MOST_PIXELS = 2**22  # of a cutout
MOST_ARRAYS = 2**32  # bytes of an .npz, which is read as a whole
NAMES = ("stamps", "images", "stamp", "image")  # of the pixels, where a file holds several arrays
# The header of a FITS file whose pixels follow in an extension.
NO_PIXELS = b"".join(
    b"%-8s= %20s" % card + 50 * b" " for card in ((b"SIMPLE", b"T"), (b"BITPIX", b"8"), (b"NAXIS", b"0"))
)
NO_PIXELS = (NO_PIXELS + b"END").ljust(FITS_BLOCK)


class Cutout(NamedTuple):
    """A row of a source, which may turn out to be no stamp.

    Attributes
    ----------
    id, path : str
        Identity, and where it lies: a file, or ``file#row``.
    label : bool or None
        Lens or not, where the source says so.
    read : callable
        Gives a float32 array (bands, H, W) and the header's bytes, or raises a StampError.
    """

    id: str
    path: str
    label: bool | None
    read: Callable[[], tuple[np.ndarray, bytes]]


class Reader(NamedTuple):
    """How one kind of source is read.

    Attributes
    ----------
    plan : callable
        (path, size), and for a file of several arrays the name of one, to shards of about `size` cutouts: the number
        of them, and what `read` asks for.  A StampError where the source is damaged, or holds none.
    read : callable
        (path, what `plan` said) to the cutouts, in order.  A StampError that it raises ends the shard.
    """

    plan: Callable[..., Iterator[tuple[int, list]]]
    read: Callable[[Path, list], Iterator[Cutout]]


def find_reader(path: Path, has_bands: bool = False) -> str:
    """Name of the reader in `READERS` for a folder or a file.

    Parameters
    ----------
    path : Path
    has_bands : bool
        Whether the third axis of a FITS image are bands, whatever its header says.

    Raises
    ------
    UserError
        If there is no such file, or no reader for its ending.
    StampError
        If it is damaged.
    """
    if path.is_dir():
        return "folder"
    kind = kind_of_name(path)
    if not kind or not path.is_file():
        problem = "is of no kind that is known" if path.exists() else "is neither a folder nor a file"
        raise UserError(f"{path} {problem}; name a folder of FITS files, or a file that ends in {', '.join(ENDINGS)}")
    if kind != "fits":
        return kind
    first = next((unit for unit in _walk_units(path) if unit.is_image), None)
    if not first:
        raise StampError(f"{path} holds no image; name a FITS cube, or a file with a cutout in each extension")
    if len(first.shape) == 3 and not (has_bands or first.has_bands) and first.shape[0] <= MOST_BANDS:
        LOG.info(
            f"{path}: its {first.shape[0]} images are taken for as many cutouts; `bands` takes them, or some of them, "
            "for the bands of one"
        )
    return "cube" if len(first.shape) > (3 if has_bands or first.has_bands else 2) else "extensions"


def kind_of_name(path: Path) -> str:
    """Kind of a file by its ending: a value of `ENDINGS`, or nothing."""
    return next((kind for ending, kind in ENDINGS.items() if path.name.lower().endswith(ending)), "")


def expand_source(source: str) -> list[str]:
    """A folder of files with arrays, as Dask and Spark write tables, as those files; anything else as it is."""
    names = sorted(path for path in Path(source).iterdir() if path.is_file()) if os.path.isdir(source) else []
    tables = [str(path) for path in names if kind_of_name(path) in OF_ARRAYS and not path.name.startswith((".", "_"))]
    return tables if tables and not any(kind_of_name(path) == "fits" for path in names) else [source]


def _plan_folder(path: Path, size: int) -> Iterator[tuple[int, list]]:
    for files in grouped(walk_stamps(path), size):
        yield len(files), [[file.id, file.path, file.size, file.changed_ns] for file in files]


def _read_folder(path: Path, files: list) -> Iterator[Cutout]:
    for stamp_id, relative, _, _ in files:
        yield Cutout(stamp_id, relative, path_label(relative), partial(read_stamp_and_header, path / relative))


def _plan_cube(path: Path, size: int) -> Iterator[tuple[int, list]]:
    number, unit = next((k, unit) for k, unit in enumerate(_walk_units(path)) if unit.is_image)
    n_bytes = path.stat().st_size * (1 if _is_seekable(path) else MOST_GAIN)
    if unit.stop - unit.start > n_bytes + FITS_BLOCK and not unit.is_packed:
        LOG.info(f"{path} ends before its last cutouts: its header promises {unit.shape[0]}")
    n_rows = min(unit.shape[0], n_bytes)  # of a byte at least
    for start, stop in _row_ranges(n_rows, size if _is_seekable(path) else n_rows):
        yield stop - start, [number, start, stop]


def _read_cube(path: Path, rows: list) -> Iterator[Cutout]:
    number, start, stop = rows
    if not _is_seekable(path):
        unit = next(islice(_walk_units(path), number, None))
        if not unit.is_packed:
            yield from _stream_cube(path, unit, stop)
            return
    with _as_error(path), _open_fits(path) as units:
        shape = units[number].shape
        _check_size(shape)
        headers = [units[place].header for place in dict.fromkeys((number, 0))]
        cards = b"".join(map(_card_bytes, headers))
        for first, last in _row_ranges(stop, rows_at_once(shape[1:]), start):
            yield from _cutouts(path, first, units[number].section[first:last], cards)


def _stream_cube(path: Path, unit: "_Unit", stop: int) -> Iterator[Cutout]:
    """A gzipped cube from its beginning, once: to go to a row astropy would unpack all rows before it again."""
    _check_size(unit.shape)
    with _as_error(path), _open_bytes(path) as file:
        headers = [_parse_header(file)]
        if unit.start:
            file.seek(unit.start)
            headers.insert(0, _parse_header(file))
        header, cards = headers[0], b"".join(map(_card_bytes, headers))
        n_bytes = abs(header["BITPIX"]) // 8 * math.prod(unit.shape[1:])  # of a row
        for first, last in _row_ranges(stop, rows_at_once(unit.shape[1:])):
            content = file.read((last - first) * n_bytes)
            header[f"NAXIS{len(unit.shape)}"] = len(content) // n_bytes
            block = header.tostring().encode("latin-1") + content
            with _open_fits(io.BytesIO((NO_PIXELS if unit.start else b"") + block)) as units:
                yield from _cutouts(path, first, units[-1].data, cards)
            if len(content) < (last - first) * n_bytes:
                raise StampError("the file breaks off")


def _plan_extensions(path: Path, size: int) -> Iterator[tuple[int, list]]:
    units = list(enumerate(_walk_units(path)))
    passed_over = [unit.name for _, unit in units if not unit.is_image and NOT_SKY.search(unit.name)]
    if passed_over:
        names = ", ".join(dict.fromkeys(passed_over))
        LOG.info(f"{path}: {len(passed_over)} extensions passed over, which by their names hold no sky: {names}")
    found = [(unit.name, str(number), unit) for number, unit in units if unit.is_image]
    named = Counter(name for name, *_ in found)
    places = [[name if name and named[name] == 1 else number, unit.start, unit.stop] for name, number, unit in found]
    for group in grouped(places, size if _is_seekable(path) else len(places)):
        yield len(group), group


def _read_extensions(path: Path, places: list) -> Iterator[Cutout]:
    """Each extension as a FITS file of its own."""
    with _as_error(path), _open_bytes(path) as file:
        primary = _read_header(file)
        for row, start, stop in places:
            file.seek(start)
            content = file.read(min(stop - start, 8 * MOST_PIXELS))
            place = f"{path.name}#{row}"
            yield Cutout(
                place,
                place,
                None,
                partial(_decode_extension, content, primary) if start else partial(decode_stamp, content),
            )


def _decode_extension(content: bytes, primary: bytes) -> tuple[np.ndarray, bytes]:
    """Stamp of an extension, and its cards, then those of the primary header."""
    stamp, cards = decode_stamp(NO_PIXELS + content)
    return stamp, cards + primary


def _plan_hdf5(path: Path, size: int, chosen: str = "") -> Iterator[tuple[int, list]]:
    with _as_error(path), h5py.File(path) as file:
        arrays: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, node: arrays.update({name: node} if isinstance(node, h5py.Dataset) else {}))
        fits_in = {name: array.ndim in (3, 4) and array.dtype.kind in "iuf" for name, array in arrays.items()}
        name = _choose(path, fits_in, chosen)
        n_rows = len(arrays[name])
        _check_written(path, arrays[name])
        columns = {key: arrays[name].parent[key] for key in ("id", "is_lens") if key in arrays[name].parent}
        for key, column in columns.items():
            _check_column(path, key, column.shape, n_rows)
        noted = [attrs.get_id(key) for attrs in (file.attrs, arrays[name].attrs) for key in attrs]
        if any(held.dtype.kind == "O" for held in [*columns.values(), *noted]):
            _check_strings(path, columns.values())
    for start, stop in _row_ranges(n_rows, size):
        yield stop - start, [name, start, stop]


def _check_strings(path: Path, columns: Iterable[h5py.Dataset]) -> None:
    """Refuse damaged strings of any length, and references to them: over some, HDF5's library (2.0) loops without end.

    References
    ----------
    HDF5 file format specification 3.0, section III.E: an object's header has 16 bytes, its size in the last 8.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        sizes: dict[tuple[int, int], int] = {}  # of each string, by the place of its heap and its number there
        heap = content.find(HDF5_HEAP)
        while heap >= 0:
            end = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
            place = heap + 16
            while place + 16 <= min(end, len(content)):
                number, size = (int.from_bytes(content[place + at : place + at + n], "little") for at, n in OBJECT)
                length = 16 + -(-size // 8) * 8 if number else size  # number 0 is what is left, header and all
                if not 0 < length <= end - place:
                    raise StampError(f"{path} is damaged: {size} bytes at byte {place}, in the heap of its strings")
                sizes[heap, number] = size
                place += length
            heap = content.find(HDF5_HEAP, heap + len(HDF5_HEAP))
        for column in columns:
            for start, stop in _pieces_on_disk(column):
                for length, at, number in np.frombuffer(content[start:stop], REFERENCE).tolist():
                    if length > sizes.get((at + column.file.userblock_size, number), 0):
                        raise StampError(f"{path} is damaged: a string of {column.name} lies nowhere")


def _pieces_on_disk(column: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Where the references of a column of strings lie in the file; of one that is packed nowhere."""
    if column.dtype.kind != "O" or column.id.get_create_plist().get_nfilters():
        return
    pieces = [(column.id.get_offset(), column.id.get_storage_size())]
    if column.chunks:
        found = map(column.id.get_chunk_info, range(column.id.get_num_chunks()))
        pieces = [(chunk.byte_offset, chunk.size) for chunk in found]
    for start, size in pieces:
        if start is not None and size % REFERENCE.itemsize == 0:
            yield start, start + size


def _check_written(path: Path, array: h5py.Dataset) -> None:
    """Refuse an array of which HDF5 would make up pixels: never written, or kept in another file that lacks them."""
    if array.is_virtual:
        sources = array.virtual_sources()
        if "%" in "".join(source.file_name + source.dset_name for source in sources):
            raise StampError(f"{path}: the pieces of {array.name} are named by a pattern; copy them into one array")
        n_mapped = sum(source.vspace.get_select_npoints() for source in sources)
        if n_mapped < array.size:
            raise StampError(f"{path}: {array.size - n_mapped} of the {array.size} pixels of {array.name} lie nowhere")
        for file_name, name in dict.fromkeys((source.file_name, source.dset_name) for source in sources):
            _check_piece(path, array, file_name, name)
    elif array.size and not array.external:
        n_chunks = math.prod(-(-length // part) for length, part in zip(array.shape, array.chunks or (), strict=False))
        n_written = array.id.get_num_chunks() if array.chunks else int(array.id.get_storage_size() > 0)
        if n_written < n_chunks:
            raise StampError(f"{path}: of {array.name}, {n_written} of {n_chunks} pieces were ever written")


def _check_piece(path: Path, array: h5py.Dataset, file_name: str, name: str) -> None:
    """See that a piece of a virtual array is there, and written; one may be virtual in its turn."""
    places = [path] if file_name == "." else [at / file_name for at in (path.parent, Path())]
    place = next((place for place in places if place.exists()), None)
    if place is None:
        raise StampError(f"{path}: {array.name} lies in {file_name}, which is not there; put it beside, or copy it in")
    with h5py.File(place) as file:
        if not isinstance(file.get(name), h5py.Dataset):
            raise StampError(f"{path}: {array.name} lies in {name} of {file_name}, which has no such array")
        _check_written(place, file[name])


def _read_hdf5(path: Path, rows: list) -> Iterator[Cutout]:
    name, start, stop = rows
    with _as_error(path), h5py.File(path) as file:
        array = file[name]
        _check_size(array.shape)
        header = about_cards({**file.attrs, **array.attrs})
        beside = {key: array.parent[key] for key in ("id", "is_lens") if key in array.parent}
        for first, last in _row_ranges(stop, rows_at_once(array.shape[1:]), start):
            known = {key: column[first:last].tolist() for key, column in beside.items()}
            yield from _cutouts(path, first, array[first:last], header, known)


def _plan_parquet(path: Path, size: int, chosen: str = "") -> Iterator[tuple[int, list]]:
    with _as_error(path), pq.ParquetFile(path) as file:
        name = _choose(path, {field.name: _depth(field.type) > 0 for field in file.schema_arrow}, chosen)
        _shape(path, file.schema_arrow.field(name), file.schema_arrow.metadata)
        lengths = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    first = start = n_rows = 0
    for group, length in enumerate(lengths):
        n_rows += length
        if n_rows >= size or group + 1 == len(lengths):
            yield n_rows, [name, list(range(first, group + 1)), start]
            first, start, n_rows = group + 1, start + n_rows, 0


def _read_parquet(path: Path, rows: list) -> Iterator[Cutout]:
    name, groups, first = rows
    with _as_error(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
        schema = file.schema_arrow
        shape = _shape(path, schema.field(name), schema.metadata)
        _check_size((1, *shape))
        about = {**(schema.metadata or {}), **(schema.field(name).metadata or {})}
        header = about_cards({key.decode(): value.decode("utf-8", "replace") for key, value in about.items()})
        columns = [key for key in ("id", "is_lens") if key in schema.names]
        for batch in file.iter_batches(rows_at_once(shape), groups, columns=[name, *columns], use_threads=False):
            known = {key: batch.column(key).to_pylist() for key in columns}
            column = batch.column(name)
            column = column.storage if isinstance(column, pa.ExtensionArray) else column
            reads = [partial(_listed_pixels, column[row], shape, header) for row in range(len(batch))]
            yield from _named(path, first, reads, known)
            first += len(batch)


def _listed_pixels(scalar: Any, shape: tuple[int, ...], header: bytes) -> tuple[np.ndarray, bytes]:
    """Pixels of a list, or of lists of lists."""
    if not scalar.is_valid:
        raise StampError("no pixels")
    values = scalar.values
    while _is_list(values.type):
        values = values.flatten()
    if len(values) != math.prod(shape):
        raise StampError(f"{len(values)} pixels; {shape} needs {math.prod(shape)}")
    return as_stamp(values.to_numpy(zero_copy_only=False).reshape(shape)), header


def _plan_numpy(path: Path, size: int, chosen: str = "") -> Iterator[tuple[int, list]]:
    with _as_error(path), _open_arrays(path) as arrays:
        fits_in = {name: array.ndim in (3, 4) and array.dtype.kind in "iuf" for name, array in arrays.items()}
        name = _choose(path, fits_in, chosen)
        n_rows = len(arrays[name])
        for key in ("id", "is_lens"):
            if key in arrays:
                _check_column(path, key, arrays[key].shape, n_rows)
    for start, stop in _row_ranges(n_rows, n_rows if path.suffix.lower() == ".npz" else size):
        yield stop - start, [name, start, stop]


def _check_column(path: Path, key: str, shape: tuple[int, ...], n_rows: int) -> None:
    if shape != (n_rows,):
        raise StampError(f"{path} holds {n_rows} cutouts and {shape} of {key}; write one for each")


def _read_numpy(path: Path, rows: list) -> Iterator[Cutout]:
    name, start, stop = rows
    with _as_error(path), _open_arrays(path) as arrays:
        _check_size(arrays[name].shape)
        beside = {key: column for key, column in arrays.items() if key in ("id", "is_lens")}
        header = about_cards({"bands": arrays["bands"]} if "bands" in arrays else {})
        for first, last in _row_ranges(stop, rows_at_once(arrays[name].shape[1:]), start):
            known = {key: column[first:last].tolist() for key, column in beside.items()}
            yield from _cutouts(path, first, arrays[name][first:last], header, known)


@contextlib.contextmanager
def _open_arrays(path: Path) -> Iterator[dict[str, np.ndarray]]:
    """Arrays of NumPy by name: the one of a .npy, which stays on the disk, or those of a .npz."""
    if path.suffix.lower() == ".npy":
        yield {NAMES[0]: np.load(path, mmap_mode="r", allow_pickle=False)}
        return
    with zipfile.ZipFile(path) as members:
        n_bytes = sum(member.file_size for member in members.infolist())
    if n_bytes > MOST_ARRAYS:
        raise StampError(f"{n_bytes} bytes when unpacked, at most {MOST_ARRAYS} are read; write a .npy or HDF5")
    known = {"ids": "id", "labels": "is_lens"}
    with np.load(path, allow_pickle=False) as stored:
        yield {known.get(name, name): stored[name] for name in stored.files}


READERS = {
    "folder": Reader(_plan_folder, _read_folder),
    "cube": Reader(_plan_cube, _read_cube),
    "extensions": Reader(_plan_extensions, _read_extensions),
    "hdf5": Reader(_plan_hdf5, _read_hdf5),
    "parquet": Reader(_plan_parquet, _read_parquet),
    "numpy": Reader(_plan_numpy, _read_numpy),
}
OF_ARRAYS = ("hdf5", "parquet", "numpy")  # kinds of files that can hold several arrays
ENDINGS = {
    **dict.fromkeys((f".{name}{packed}" for name in ("fits", "fit", "fts") for packed in ("", ".gz", ".fz")), "fits"),
    **dict.fromkeys((".h5", ".hdf5"), "hdf5"),
    ".parquet": "parquet",
    **dict.fromkeys((".npy", ".npz"), "numpy"),
}


def _cutouts(
    path: Path, first: int, pixels: np.ndarray, header: bytes, known: dict[str, list] | None = None
) -> Iterator[Cutout]:
    """Rows (n, H, W) or (n, bands, H, W) of an array in a file."""
    reads = [partial(_row_and_header, row, header) for row in pixels]
    return _named(path, first, reads, known or {})


def _row_and_header(row: np.ndarray, header: bytes) -> tuple[np.ndarray, bytes]:
    return as_stamp(row), header


def _named(path: Path, first: int, reads: list, known: dict[str, list]) -> Iterator[Cutout]:
    """Cutouts of rows from `first` on, with the ids and labels that the file holds for them."""
    ids, labels = (known.get(key, [None] * len(reads)) for key in ("id", "is_lens"))
    for row, (read, stamp_id, label) in enumerate(zip(reads, ids, labels, strict=True), first):
        text = stamp_id.decode("utf-8", "replace") if isinstance(stamp_id, bytes) else stamp_id
        text = text.replace("\0", r"\0") if isinstance(text, str) else text  # NumPy and C end a text there
        place = f"{path.name}#{row}"
        yield Cutout(place if text is None else str(text), place, bool(label) if label in (0, 1) else None, read)


def _parse_header(file: Any) -> fits.Header:
    return fits.Header.fromstring(_read_header(file).decode("latin-1"))


def _card_bytes(header: fits.Header) -> bytes:
    return bytes(header.tostring(endcard=False, padding=False).encode("latin-1", "replace"))


def about_cards(about: dict[str, Any]) -> bytes:
    """Pixel scale, zero-point and names of the bands that a file states as attributes, as cards of a header."""
    keys = {"PIXSCALE": "pixel_scale_arcsec", "MAGZERO": "zero_point_mag"}
    cards = b"".join(f"{key:8}= {about[name]}".encode().ljust(80) for key, name in keys.items() if name in about)
    texts = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        for text in np.ravel(about.get("bands", [])).tolist()
    ]
    try:
        names = parse_bands(texts[0].strip("[]").replace('"', "") if len(texts) == 1 else texts)
    except UserError as error:
        raise StampError(f"of its attribute bands: {error}") from error
    return cards + (band_cards(names) if not is_numbers(names) else b"")


def _choose(path: Path, fits_in: dict[str, bool], chosen: str) -> str:
    """Name of the array that holds the pixels: the chosen one, the only one, or the only one of the likeliest name."""
    candidates = [name for name, is_one in fits_in.items() if is_one and chosen in ("", name)]
    of_name = ([name for name in candidates if name.rsplit("/", 1)[-1] == key] for key in NAMES)
    likeliest = next(filter(None, of_name), candidates)
    if len(likeliest) == 1:
        return likeliest[0]
    if likeliest:
        raise StampError(
            f"{path} holds several arrays that could be cutouts: {', '.join(likeliest)}; choose one with `array`"
        )
    raise StampError(
        f"{path} holds no array {f'{chosen} ' if chosen else ''}of numbers that could be cutouts, among "
        f"{', '.join(fits_in) or 'nothing'}; name one {NAMES[0]}: (N, H, W) or (N, bands, H, W), or in Parquet lists"
    )


def _is_list(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.FixedShapeTensorType):
        return True
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _depth(kind: pa.DataType) -> int:
    """How deep lists of numbers are nested; 0 for anything else."""
    depth = 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth if pa.types.is_integer(kind) or pa.types.is_floating(kind) else 0


def _shape(path: Path, field: pa.Field, metadata: dict[bytes, bytes] | None) -> tuple[int, ...]:
    """Shape (H, W) or (bands, H, W) of the lists of a column: as it or the file says, as it is nested, or a square."""
    said = (field.metadata or {}).get(b"shape") or (metadata or {}).get(b"shape")
    lengths, kind = [], field.type
    if isinstance(kind, pa.FixedShapeTensorType):
        lengths, kind = [*kind.shape], kind.value_type
    while pa.types.is_fixed_size_list(kind):
        lengths.append(kind.list_size)
        kind = kind.value_type
    with contextlib.suppress(ValueError, TypeError):
        shape = tuple(map(int, json.loads(said))) if said else tuple(lengths)
        if min(shape, default=1) < 1:
            raise StampError(f"{path}: the lists in {field.name} have the shape {shape}; lengths are 1 or more")
        side = math.isqrt(math.prod(shape))
        if len(shape) == 1 and side**2 == shape[0]:
            return side, side
        if len(shape) in (2, 3):
            return shape
    raise StampError(
        f"{path}: the shape of the lists in {field.name} is unknown; write metadata shape, such as [1, 45, 45], "
        "or lists of a fixed size"
    )


def _check_size(shape: tuple[int, ...]) -> None:
    """Refuse rows so large that some of them would fill the memory."""
    if math.prod(shape[1:]) > MOST_PIXELS:
        raise StampError(f"cutouts of {shape[1:]} pixels; at most {MOST_PIXELS} pixels are read")


def rows_at_once(shape: Sequence[int]) -> int:
    """How many cutouts of a shape may be in memory, in eight bytes a pixel; at least one."""
    return min(ROWS_AT_ONCE, max(1, BYTES_AT_ONCE // (8 * max(1, math.prod(shape)))))


def grouped(items: Iterable[Any], size: int) -> Iterator[list]:
    """Lists of `size` items, the last one shorter."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group


def _row_ranges(stop: int, size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    return ((first, min(first + size, stop)) for first in range(start, stop, size))


def _is_seekable(path: Path) -> bool:
    """Whether a shard can begin in the middle; what is gzipped is read from its beginning."""
    with open(path, "rb") as file:
        return file.read(2) != GZIP


class _Unit(NamedTuple):
    """An HDU, its first byte and the first behind it; `is_image` of the sky, `has_bands` along its third axis."""

    name: str
    is_image: bool
    shape: tuple[int, ...]
    has_bands: bool
    start: int
    stop: int
    is_packed: bool


def _walk_units(path: Path) -> Iterator[_Unit]:
    """Go through the HDUs of a file without reading their data.

    References
    ----------
    FITS standard 4.0, sections 3.3, 4.4.1 and 10.1.
    """
    with _as_error(path), _open_bytes(path) as file:
        start = 0
        while header := _read_header(file):
            check_counts(header)
            cards = read_cards(header)
            is_packed = card_text(cards, "ZIMAGE") == "T"
            n_bytes = abs(_whole(cards, "BITPIX")) // 8
            if _whole(cards, "NAXIS"):
                n_bytes *= _whole(cards, "GCOUNT", 1) * (_whole(cards, "PCOUNT") + math.prod(_axes(cards, "")))
            shape = _axes(cards, "Z" if is_packed else "")
            holds_images = is_packed or card_text(cards, "XTENSION") in ("", "IMAGE")
            name = card_text(cards, "EXTNAME")
            is_image = holds_images and math.prod(shape) > 0 < len(shape) and not NOT_SKY.search(name)
            stop = file.tell() + (-(-n_bytes // FITS_BLOCK) * FITS_BLOCK if _whole(cards, "NAXIS") else 0)
            yield _Unit(
                name, is_image, shape, _has_bands(cards, shape[0] if len(shape) == 3 else 0), start, stop, is_packed
            )
            start = file.seek(stop)


def _has_bands(cards: dict[str, str], n_images: int) -> bool:
    """Whether a header says that its third axis are bands; FILTER1 and FILTER2 alone may be a camera's two wheels."""
    kind = card_text(cards, "CTYPE3").upper()
    n_named = sum(bool(BAND_CARD.fullmatch(key)) for key in cards)
    return bool(re.match("BAND|FILTER|WAVE|FREQ|AWAV|STOKES", kind)) or "BANDS" in cards or n_named == n_images > 0


def _read_header(file: Any) -> bytes:
    """Blocks up to the one with END; nothing at the end of the file."""
    header = b""
    while len(header) < MOST_HEADER:
        block = file.read(FITS_BLOCK)
        header += block
        if re.search(rb"END {77}", block):
            return header
        if len(block) < FITS_BLOCK:
            break
    if header.strip(b"\0 "):
        raise StampError("a header has no end")
    return b""


def _axes(cards: dict[str, str], prefix: str) -> tuple[int, ...]:
    return tuple(_whole(cards, f"{prefix}NAXIS{axis}") for axis in range(_whole(cards, f"{prefix}NAXIS"), 0, -1))


def _whole(cards: dict[str, str], key: str, default: int = 0) -> int:
    return int(card_text(cards, key)) if key in cards else default


def _open_bytes(path: Path) -> Any:
    return open(path, "rb") if _is_seekable(path) else igzip.open(path)


@contextlib.contextmanager
def _open_fits(path: Path | io.BytesIO) -> Iterator[Any]:
    # With uint, astropy passes over the BLANK of unsigned integers.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        with fits.open(path, memmap=False, uint=False) as units:
            yield units


@contextlib.contextmanager
def _as_error(path: Path) -> Iterator[None]:
    """Any error of a reading library, which raise many kinds for damaged files, as one of ours."""
    try:
        yield
    except StampError as error:
        raise StampError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise StampError(f"{path} cannot be read: {what}") from error
