"""Files of others: damaged, dishonest, or only written otherwise; each is read as its user would expect, or refused."""

import bz2
import gzip
import io
import os

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from lens_common.data.decoding import MOST_BYTES, as_stamp
from lens_common.data.headers import NOT_SKY, StampError
from lens_common.files import read_csv
from lens_modern.cli import main
from lens_modern.survey.readers import READERS, REFERENCE, find_reader, rows_at_once

RANDOM = np.random.default_rng(0)
AXES = {"NAXIS": 2, "NAXIS1": 45, "NAXIS2": 45}


def draw(*shape):
    return RANDOM.normal(0, 3.6, (*shape, 45, 45)).astype(np.float32)


def fits_bytes(bits=-32, data=None, more=(), **cards):
    """A FITS file whose header says what we like."""
    lines = ["SIMPLE  =                    T", f"BITPIX  = {bits:20}"]
    lines += [f"{key:8}= {value:20}" for key, value in {**AXES, **cards}.items()] + [*more, "END"]
    header = "".join(line.ljust(80) for line in lines).encode()
    return header.ljust(-(-len(header) // 2880) * 2880) + (draw().astype(">f4").tobytes() if data is None else data)


def score(source, out, *options):
    return main(["score", str(source), "--model", "cnn", "--out", str(out), *options])


def write_good(folder):
    for name in "ab":
        fits.PrimaryHDU(draw()).writeto(folder / f"{name}.fits")


# Damaged headers, one file among good ones and alone.

DAMAGED = {
    "negative axes": fits_bytes(NAXIS1=-45, NAXIS2=-45),
    "seventy axes": fits_bytes(NAXIS=70, **{f"NAXIS{axis}": 1 for axis in range(1, 71)}),
    "axes that wrap": fits_bytes(NAXIS=3, NAXIS3=2**64 + 1),
    "a scale without a value": fits_bytes(16, bytes(4050), ["BSCALE  ="]),
    "more rows than bytes": fits_bytes(NAXIS=3, NAXIS3=10**12),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_set_aside_and_alone_refused(what, tmp_path, capsys):
    write_good(tmp_path)
    (tmp_path / "bad.fits").write_bytes(DAMAGED[what])
    assert score(tmp_path, tmp_path / "s.csv") == 0
    assert [row["id"] for row in read_csv(tmp_path / "s.csv")] == ["a", "b"]
    assert [row["path"] for row in read_csv(tmp_path / "s-rejected.csv")] == ["bad.fits"]
    capsys.readouterr()
    assert score(tmp_path / "bad.fits", tmp_path / "alone.csv") == 2
    assert len([line for line in capsys.readouterr().err.splitlines() if line.startswith("lens-modern: ")]) == 1


def test_a_header_that_leads_backwards_ends(tmp_path, capsys):
    (tmp_path / "back.fits").write_bytes(fits_bytes(PCOUNT=-2745, GCOUNT=1))
    assert score(tmp_path / "back.fits", tmp_path / "s.csv") == 2
    assert "PCOUNT is negative" in capsys.readouterr().err


def test_a_pipe_among_files_is_set_aside_at_once(tmp_path):
    write_good(tmp_path)
    os.mkfifo(tmp_path / "pipe.fits")
    assert score(tmp_path, tmp_path / "s.csv") == 0
    assert read_csv(tmp_path / "s-rejected.csv")[0]["reason"] == "not a file of bytes"
    assert score(tmp_path / "pipe.fits", tmp_path / "alone.csv") == 2


def test_a_gzip_file_that_lies_about_its_length_is_unpacked_to_the_limit_only(tmp_path):
    write_good(tmp_path)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        for _ in range(MOST_BYTES // 2**24 + 1):
            file.write(bytes(2**24))
    lying = packed.getvalue()[:-4] + (11520).to_bytes(4, "little")
    (tmp_path / "liar.fits.gz").write_bytes(lying)
    assert score(tmp_path, tmp_path / "s.csv") == 0
    assert f"more than {MOST_BYTES} bytes when unpacked" in read_csv(tmp_path / "s-rejected.csv")[0]["reason"]


# Pixels that nobody wrote.


def test_pixels_that_hdf5_would_make_up_are_refused(tmp_path, capsys):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("images", shape=(10**12, 45, 45), dtype="f4", chunks=(1, 45, 45))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((5, 45, 45), "f4")
        layout[:] = h5py.VirtualSource("gone.h5", "images", (5, 45, 45))
        file.create_virtual_dataset("images", layout)
    for name, source, n_rows in (("half", "pixels", 4), ("unwritten", "empty", 2), ("astray", "nothing", 2)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["pixels"] = draw(2)
            file.create_dataset("empty", shape=(2, 45, 45), dtype="f4")
            layout = h5py.VirtualLayout((n_rows, 45, 45), "f4")
            layout[:2] = h5py.VirtualSource(".", source, (2, 45, 45))
            file.create_virtual_dataset("images", layout)
    refusals = {
        "huge.h5": "0 of 1000000000000 pieces were ever written",
        "virtual.h5": "lies in gone.h5",
        "half.h5": "4050 of the 8100 pixels of /images lie nowhere",
        "unwritten.h5": "of /empty, 0 of 1 pieces were ever written",
        "astray.h5": "lies in nothing of ., which has no such array",
    }
    for name, words in refusals.items():
        assert score(tmp_path / name, tmp_path / "s.csv") == 2
        assert words in capsys.readouterr().err


def test_a_virtual_array_whose_sources_are_there_is_read(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["images"] = draw(5)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((5, 45, 45), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "part.h5"), "images", (5, 45, 45))
        file.create_virtual_dataset("images", layout)
    assert score(tmp_path / "virtual.h5", tmp_path / "s.csv") == 0
    assert score(tmp_path / "part.h5", tmp_path / "t.csv") == 0
    scores = [[row["score"] for row in read_csv(tmp_path / name)] for name in ("s.csv", "t.csv")]
    assert scores[0] == scores[1] and len(scores[0]) == 5


def test_strings_over_which_hdf5_would_loop_for_ever_are_refused(tmp_path, capsys):
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["images"], file["id"] = draw(3), ["a", "bc", "d" * 5000]
        file["images"].attrs["note"] = "a string of any length"
    content = (tmp_path / "good.h5").read_bytes()
    assert score(tmp_path / "good.h5", tmp_path / "s.csv") == 0
    heap = content.index(b"GCOL") + 16  # the first object: its number, 6 bytes, its size
    number = content[heap : heap + 8]
    for first in (bytes(16), number + (2**40).to_bytes(8, "little"), number + (2**64 - 8).to_bytes(8, "little")):
        (tmp_path / "damaged.h5").write_bytes(content[:heap] + first + content[heap + 16 :])
        assert score(tmp_path / "damaged.h5", tmp_path / "s.csv") == 2
        assert "in the heap of its strings" in capsys.readouterr().err


@pytest.mark.parametrize("chunks", [None, (2,)])
def test_a_string_that_lies_nowhere_is_refused(tmp_path, capsys, chunks):
    ids = ["a", "", "d" * 5000]
    with h5py.File(tmp_path / "good.h5", "w", userblock_size=512) as file:
        file["images"] = draw(3)
        column = file.create_dataset("id", data=ids, chunks=chunks, dtype=h5py.string_dtype())
        place = column.id.get_chunk_info(0).byte_offset if chunks else column.id.get_offset()
    assert score(tmp_path / "good.h5", tmp_path / "s.csv") == 0
    assert [row["id"] for row in read_csv(tmp_path / "s.csv")][::2] == ids[::2]
    content = (tmp_path / "good.h5").read_bytes()
    place += 0 if content[place : place + 4] == b"\1\0\0\0" else 512
    for reference in ((2**16, 0x7FFFFFFF, 2), (2**16, int.from_bytes(content[place + 4 : place + 12], "little"), 1)):
        damaged = np.array(reference, REFERENCE).tobytes()
        (tmp_path / "damaged.h5").write_bytes(content[:place] + damaged + content[place + 16 :])
        assert score(tmp_path / "damaged.h5", tmp_path / "s.csv") == 2
        assert "a string of /id lies nowhere" in capsys.readouterr().err


def test_another_number_of_ids_and_a_shape_below_one_are_refused(tmp_path, capsys):
    with h5py.File(tmp_path / "ids.h5", "w") as file:
        file["images"], file["id"] = draw(5), np.array(["a", "b"], "S1")
    lists = pa.table({"image": [draw().ravel().tolist()] * 2})
    pq.write_table(lists.replace_schema_metadata({"shape": "[-45, -45]"}), tmp_path / "negative.parquet")
    for name, words in (("ids.h5", "5 cutouts and (2,) of id"), ("negative.parquet", "lengths are 1 or more")):
        assert score(tmp_path / name, tmp_path / "s.csv") == 2
        assert words in capsys.readouterr().err


def test_ids_that_differ_behind_a_zero_byte_stay_two(tmp_path):
    table = pa.table({"id": ["a", "a\0"], "image": [draw().ravel().tolist() for _ in range(2)]})
    pq.write_table(table.replace_schema_metadata({"shape": "[45, 45]"}), tmp_path / "ids.parquet")
    assert score(tmp_path / "ids.parquet", tmp_path / "s.csv") == 0
    assert [row["id"] for row in read_csv(tmp_path / "s.csv")] == ["a", r"a\0"]


def test_an_id_that_two_sources_hold_names_the_first_source(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with h5py.File(tmp_path / folder / "stamps.h5", "w") as file:
            file["images"], file["id"] = draw(2), np.array([b"same", folder.encode()])
    sources = [str(tmp_path / folder / "stamps.h5") for folder in ("one", "two")]
    assert main(["score", *sources, "--model", "cnn", "--out", str(tmp_path / "s.csv")]) == 0
    assert [row["id"] for row in read_csv(tmp_path / "s.csv")] == ["same", "one", "two"]
    (row,) = read_csv(tmp_path / "s-rejected.csv")
    assert row["reason"] == f"same id as one/stamps.h5#0 of {sources[0]}"


@pytest.mark.parametrize("kind", ["files", "folders"])
def test_cutouts_of_one_name_in_two_places_are_two(kind, tmp_path):
    for place in ("tile/one", "tile/two"):
        (tmp_path / place).mkdir(parents=True)
        if kind == "files":
            np.save(tmp_path / place / "stamps.npy", draw(2))
        else:
            write_good(tmp_path / place)
    sources = [str(path) for path in sorted(tmp_path.glob("tile/*/*.npy" if kind == "files" else "tile/*"))]
    assert main(["score", *sources, "--model", "cnn", "--out", str(tmp_path / "s.csv")]) == 0
    names = ["stamps.npy#0", "stamps.npy#1"] if kind == "files" else ["a", "b"]
    assert [row["id"] for row in read_csv(tmp_path / "s.csv")] == [f"{at}/{n}" for at in ("one", "two") for n in names]
    assert score(sources[0], tmp_path / "t.csv") == 0
    assert [row["id"] for row in read_csv(tmp_path / "t.csv")] == names


def test_class_folders_as_two_sources_keep_their_labels(tmp_path):
    for name in ("lensed_outputs", "unlensed_outputs"):
        (tmp_path / name / "0").mkdir(parents=True)
        write_good(tmp_path / name / "0")
    sources = [str(tmp_path / name) for name in ("lensed_outputs", "unlensed_outputs")]
    assert main(["score", *sources, "--model", "cnn", "--out", str(tmp_path / "s.csv")]) == 0
    rows = [(row["id"], row["is_lens"]) for row in read_csv(tmp_path / "s.csv")]
    assert rows[0] == ("lensed_outputs/0/a", "1") and rows[3] == ("unlensed_outputs/0/b", "0") and len(rows) == 4


# What is no image of the sky, and what is several.


@pytest.mark.parametrize("name", ["WHT", "sci_err", "MASK1", "psf", "IVAR", "FLAGS", "BKG", "DQ", "CTX", "Weight map"])
def test_an_extension_of_that_name_holds_no_sky(name):
    assert NOT_SKY.search(name)


@pytest.mark.parametrize("name", ["", "SCI", "IMAGE", "MASKELYNE", "COMPRESSED_IMAGE", "deepsf", "CCD17", "EXPANDED"])
def test_an_extension_of_another_name_may(name):
    assert not NOT_SKY.search(name)


def test_only_the_image_of_a_file_with_weights_is_scored(tmp_path, capsys):
    units = [fits.PrimaryHDU(), *(fits.ImageHDU(draw(), name=name) for name in ("WHT", "SCI", "ERR", "PSF"))]
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "mef.fits", tmp_path / "folder" / "mef.fits"):
        fits.HDUList(units).writeto(path)
    fits.PrimaryHDU(units[2].data).writeto(tmp_path / "sci.fits")
    assert score(tmp_path / "mef.fits", tmp_path / "s.csv") == 0
    assert "3 extensions passed over, which by their names hold no sky: WHT, ERR, PSF" in capsys.readouterr().err
    assert score(tmp_path / "folder", tmp_path / "t.csv") == 0 and score(tmp_path / "sci.fits", tmp_path / "u.csv") == 0
    found = [read_csv(tmp_path / f"{name}.csv") for name in "stu"]
    assert [len(rows) for rows in found] == [1, 1, 1] and len({rows[0]["score"] for rows in found}) == 1
    assert found[0][0]["path"] == "mef.fits#SCI"


@pytest.mark.parametrize(
    "cards", [[("CTYPE3", "BAND")], [("BANDS", "grz")], [(f"FILTER{k}", name) for k, name in enumerate("grz")]]
)
def test_bands_along_the_third_axis_are_no_three_objects(cards, tmp_path, capsys):
    fits.PrimaryHDU(draw(3), fits.Header(cards)).writeto(tmp_path / "bands.fits")
    assert score(tmp_path / "bands.fits", tmp_path / "s.csv") == 2
    sentence = capsys.readouterr().err
    assert "have 3 band(s)" in sentence and "those that the network was trained on 1;" in sentence
    fits.PrimaryHDU(draw(3)).writeto(tmp_path / "cube.fits")
    assert score(tmp_path / "cube.fits", tmp_path / "s.csv") == 0 and len(read_csv(tmp_path / "s.csv")) == 3
    assert "its 3 images are taken for as many cutouts; --bands takes them, or some of them" in capsys.readouterr().err


def test_two_filter_wheels_make_no_bands_of_a_cube(tmp_path):
    wheels = fits.Header([("FILTER1", "CLEAR1L"), ("FILTER2", "F814W")])
    fits.PrimaryHDU(draw(30), wheels).writeto(tmp_path / "cube.fits")
    assert score(tmp_path / "cube.fits", tmp_path / "s.csv") == 0 and len(read_csv(tmp_path / "s.csv")) == 30


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_scale_in_the_primary_header_is_that_of_its_extensions(shape, packed, tmp_path, capsys):
    units = [fits.PrimaryHDU(header=fits.Header([("PIXSCALE", 0.4)])), fits.ImageHDU(draw(*shape))]
    fits.HDUList(units).writeto(tmp_path / f"one.fits{packed}")
    assert score(tmp_path / f"one.fits{packed}", tmp_path / "s.csv") == 2
    assert "0.4 arcsec" in capsys.readouterr().err


def test_no_more_large_cutouts_are_in_memory_than_fit():
    assert rows_at_once((45, 45)) == 256 and rows_at_once((2048, 2048)) == 4 and rows_at_once((10**5, 10**5)) == 1


def test_one_band_of_several_is_scored_where_it_is_named(tmp_path, capsys):
    colour = draw(3)
    fits.PrimaryHDU(colour).writeto(tmp_path / "colour.fits")
    (tmp_path / "folder").mkdir()
    fits.PrimaryHDU(colour).writeto(tmp_path / "folder" / "colour.fits")
    np.save(tmp_path / "colour.npy", np.moveaxis(colour, 0, -1)[None])
    fits.PrimaryHDU(colour[1]).writeto(tmp_path / "second.fits")
    assert score(tmp_path / "second.fits", tmp_path / "s.csv") == 0
    (expected,) = read_csv(tmp_path / "s.csv")
    for name in ("colour.fits", "folder", "colour.npy"):
        assert score(tmp_path / name, tmp_path / f"{name}.csv", "--band", "1") == 0
        (row,) = read_csv(tmp_path / f"{name}.csv")
        assert row["score"] == expected["score"]
    capsys.readouterr()
    assert score(tmp_path / "colour.fits", tmp_path / "t.csv", "--band", "4") == 2
    assert "3 band(s), and number 4, counted from 0, was asked for" in capsys.readouterr().err


def test_a_gzipped_cube_is_read_as_the_plain_one_and_once(tmp_path):
    integers = fits.PrimaryHDU(RANDOM.integers(-5, 50, (600, 20, 20)).astype("i2"))
    integers.header.update(BSCALE=0.1, BZERO=3.0, BLANK=-5)
    cubes = {
        "integers": [integers],
        "bands": [fits.PrimaryHDU(RANDOM.normal(size=(600, 2, 20, 20)).astype("f4"))],
        "extension": [fits.PrimaryHDU(), fits.ImageHDU(RANDOM.normal(size=(600, 20, 20)))],
    }
    for name, units in cubes.items():
        plain, packed = tmp_path / f"{name}.fits", tmp_path / f"{name}.fits.gz"
        fits.HDUList(units).writeto(plain)
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        found = []
        for path in (plain, packed):
            reader = READERS[find_reader(path)]
            shards = reader.plan(path, 4096)
            found.append([cutout.read() for _, rows in shards for cutout in reader.read(path, rows)])
        assert len(found[0]) == len(found[1]) == 600
        for (pixels, header), (others, other) in zip(*found, strict=True):
            np.testing.assert_array_equal(pixels, others)
            assert header == other
    packed.write_bytes(gzip.compress(plain.read_bytes()[:-1_000_000]))
    with pytest.raises(StampError, match="breaks off"):
        list(READERS["cube"].read(packed, [1, 0, 600]))


def test_bands_may_come_last_where_that_is_plain():
    pixels = draw(3)
    np.testing.assert_array_equal(as_stamp(np.moveaxis(pixels, 0, -1)), pixels)
    np.testing.assert_array_equal(as_stamp(pixels), pixels)
    with pytest.raises(StampError, match="channels-last"):
        as_stamp(np.zeros((3, 45, 3)))


# Formats as people have them.


def test_the_name_of_a_file_does_not_say_how_it_is_packed(tmp_path):
    content = fits_bytes()
    (tmp_path / "a.fits.gz").write_bytes(content)
    (tmp_path / "b.FIT").write_bytes(gzip.compress(content))
    (tmp_path / "c.fits.bz2").write_bytes(bz2.compress(content))
    (tmp_path / "d.fts").write_bytes(content)
    assert score(tmp_path, tmp_path / "s.csv") == 0
    rows = read_csv(tmp_path / "s.csv")
    assert [row["id"] for row in rows] == list("abcd") and len({row["score"] for row in rows}) == 1
    cube = fits.PrimaryHDU(draw(5))
    for name in ("plain.fits.gz", "packed.fits"):
        content = io.BytesIO()
        cube.writeto(content)
        packed = content.getvalue() if name.startswith("plain") else gzip.compress(content.getvalue())
        (tmp_path / name).write_bytes(packed)
        assert score(tmp_path / name, tmp_path / f"{name}.csv") == 0 and len(read_csv(tmp_path / f"{name}.csv")) == 5


def test_arrays_of_numpy_and_tensors_of_arrow_score_as_hdf5_does(tmp_path):
    stamps, ids = draw(6), np.array([f"id{number}" for number in range(6)])
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["images"], file["id"] = stamps, ids.astype("S")
    np.save(tmp_path / "s.npy", stamps)
    np.savez(tmp_path / "s.npz", images=stamps, ids=ids)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(stamps)
    pq.write_table(pa.table({"id": ids, "image": tensors}), tmp_path / "s.parquet")
    (tmp_path / "parts").mkdir()
    for number, rows in enumerate((slice(0, 2), slice(2, 6))):
        pq.write_table(pa.table({"id": ids[rows], "image": tensors[rows]}), tmp_path / "parts" / f"{number}.parquet")
    (tmp_path / "parts" / "_SUCCESS").touch()
    found = {}
    for name in ("s.h5", "s.npy", "s.npz", "s.parquet", "parts"):
        assert score(tmp_path / name, tmp_path / f"{name}.csv") == 0
        found[name] = [(row["id"], row["score"]) for row in read_csv(tmp_path / f"{name}.csv")]
    assert found["s.npz"] == found["s.parquet"] == found["parts"] == found["s.h5"]
    assert [score for _, score in found["s.npy"]] == [score for _, score in found["s.h5"]]


def test_no_pickle_is_opened(tmp_path, capsys):
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert score(tmp_path / "objects.npy", tmp_path / "s.csv") == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "s.csv").exists()


def test_inspect_and_maps_take_what_score_takes(tmp_path, capsys):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["images"], file["id"] = draw(6), np.array([f"id{number}" for number in range(6)], "S")
        file.attrs["pixel_scale_arcsec"] = 0.18
    assert main(["inspect", str(tmp_path / "s.h5"), "--out", str(tmp_path / "s.png")]) == 0
    said = capsys.readouterr().out
    assert "6 stamps of 1 band(s), (45, 45) pixels" in said and "0.18" in said
    assert score(tmp_path / "s.h5", tmp_path / "s.csv") == 0
    maps = ["maps", str(tmp_path / "s.h5"), "--model", "cnn", "--most", "2", "--out", str(tmp_path / "m.png")]
    assert main(maps) == 0
    best = sorted(read_csv(tmp_path / "s.csv"), key=lambda row: -float(row["score"]))[:2]
    with np.load(tmp_path / "m.npz") as found:
        assert found["ids"].tolist() == [row["id"] for row in best]
    assert main(["inspect", str(tmp_path / "nothing.h5")]) == 2


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "ecsv"])
def test_a_table_of_any_format_is_known_again_and_another_is_not_replaced(ending, tmp_path, capsys):
    np.save(tmp_path / "s.npy", draw(3))
    out = tmp_path / f"s.{ending}"
    assert score(tmp_path / "s.npy", out) == 0 and score(tmp_path / "s.npy", out) == 0
    out.write_bytes(fits_bytes())
    assert score(tmp_path / "s.npy", out) == 2 and out.read_bytes().startswith(b"SIMPLE")
    assert "is there, and not of an earlier run" in capsys.readouterr().err


def test_two_tables_do_not_share_what_lies_beside_them(tmp_path, capsys):
    np.save(tmp_path / "s.npy", draw(3))
    assert score(tmp_path / "s.npy", tmp_path / "t.csv") == 0
    assert score(tmp_path / "s.npy", tmp_path / "t.parquet") == 2
    assert f"{tmp_path / 't.json'} is there" in capsys.readouterr().err
