"""The same cutouts through every format that is read, and the same scores in every format that is written."""

import csv
import json
import os
import shutil

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from lens_common.data.stamps import load_stamps
from lens_common.runs import SHIPPED
from lens_modern import backend, load_shipped
from lens_modern.cli import main

# `make thorough` repeats the PICS mocks to 100,000.
N_STAMPS = 100_000 if os.environ.get("LENS_THOROUGH") else 500
ENDINGS = [".parquet", ".fits", ".ecsv", ".csv"]


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_scores(path):
    return np.array([float(row["score"]) for row in read_rows(path)])


def read_table(path):
    """As astropy reads it; its own reader of Parquet asks for pandas."""
    if path.suffix == ".parquet":
        arrow = pq.read_table(path)
        columns = {name: np.ma.masked_values(arrow[name].fill_null(-9), -9) for name in ("is_lens", "score")}
        strings = {name: arrow[name].to_pylist() for name in arrow.column_names if name not in columns}
        meta = {key.decode(): value.decode() for key, value in arrow.schema.metadata.items()}
        return Table({name: {**columns, **strings}[name] for name in arrow.column_names}, meta=meta)
    formats = {".fits": "fits", ".ecsv": "ascii.ecsv", ".csv": "ascii.csv"}
    return Table.read(path, format=formats[path.suffix])


def score(data, out, *options):
    sources = data if isinstance(data, list) else [data]
    return main(["score", *map(str, sources), "--model", "cnn", "--out", str(out), *map(str, options)])


@pytest.fixture(scope="module")
def pics(pics_mocks):
    return load_stamps(pics_mocks)


@pytest.fixture(scope="module")
def rows(pics):
    """Row of the PICS mocks that each of the many stamps is a copy of."""
    return np.arange(N_STAMPS) % len(pics.ids)


@pytest.fixture(scope="module")
def expected(pics, rows):
    """What torch says of them, eagerly."""
    backend.prepare(device="cpu")
    estimator = load_shipped("cnn")
    return estimator.predict_proba(pics.pixels)[:, 1][rows]


def write_folder(path, pics, rows):
    for number, row in enumerate(rows):
        name = path / f"{number // 1000:03}" / f"{number:06}.fits.gz"
        name.parent.mkdir(parents=True, exist_ok=True)
        os.link(f"{pics.folder}/{pics.paths[row]}", name) if os.stat(pics.folder).st_dev == os.stat(
            path
        ).st_dev else shutil.copy(f"{pics.folder}/{pics.paths[row]}", name)


def write_cube(path, pics, rows):
    with fits.StreamingHDU(
        path,
        fits.Header(
            [("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 3)] + [("NAXIS1", 45), ("NAXIS2", 45), ("NAXIS3", len(rows))]
        ),
    ) as cube:
        for row in rows:
            cube.write(pics.pixels[row, 0].astype(">f4"))


def write_extensions(path, pics, rows):
    with open(path, "wb") as file:
        fits.PrimaryHDU().writeto(file)
        for row in rows:
            unit = fits.ImageHDU(np.asarray(pics.pixels[row, 0]))
            file.write(unit.header.tostring().encode() + unit.data.astype(">f4").tobytes().ljust(2880 * 3, b"\0"))


def write_hdf5(path, pics, rows):
    with h5py.File(path, "w") as file:
        stamps = file.create_dataset("stamps", (len(rows), 1, 45, 45), "f4", chunks=(64, 1, 45, 45))
        for start in range(0, len(rows), 1000):
            stamps[start : start + 1000] = pics.pixels[rows[start : start + 1000]]
        file["id"] = [f"object {number}" for number in range(len(rows))]
        file["is_lens"] = pics.labels[rows]


def write_parquet(path, pics, rows):
    kind = pa.list_(pa.list_(pa.float32(), 45), 45)
    schema = pa.schema([("id", pa.string()), ("is_lens", pa.int8()), ("stamp", kind)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), 1000):
            part = rows[start : start + 1000]
            pixels = pa.array(np.asarray(pics.pixels[part]).ravel())
            lists = pa.FixedSizeListArray.from_arrays(pa.FixedSizeListArray.from_arrays(pixels, 45), 45)
            ids = [f"object {number}" for number in range(start, start + len(part))]
            writer.write_table(pa.table([ids, pics.labels[part], lists], schema=schema))


WRITE = {"folder": write_folder, "cube.fits": write_cube, "extensions.fits": write_extensions, "stamps.h5": write_hdf5}
WRITE["stamps.parquet"] = write_parquet


@pytest.fixture(scope="module", params=WRITE)
def source(request, pics, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / request.param
    if request.param == "folder":
        path.mkdir()
    WRITE[request.param](path, pics, rows)
    return path


def test_every_format_gives_the_scores_of_torch(source, expected, tmp_path):
    assert score(source, tmp_path / "s.csv", "--shard-size", max(200, N_STAMPS // 10), "--workers", 1) == 0
    scores = read_scores(tmp_path / "s.csv")
    assert len(scores) == N_STAMPS
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    # A copy of a stamp has the score of the stamp to the last bit, wherever it lies.
    np.testing.assert_array_equal(scores, scores[:100][np.arange(N_STAMPS) % 100])


@pytest.fixture(scope="module")
def hdf5(pics, tmp_path_factory):
    path = tmp_path_factory.mktemp("hdf5") / "stamps.h5"
    write_hdf5(path, pics, np.arange(100))
    return path


def test_ids_and_labels_are_those_of_the_file(hdf5, pics, tmp_path):
    score(hdf5, tmp_path / "s.csv")
    rows = read_rows(tmp_path / "s.csv")
    assert [row["id"] for row in rows] == [f"object {number}" for number in range(100)]
    assert [row["is_lens"] for row in rows] == [str(label) for label in pics.labels]
    assert rows[7]["path"] == "stamps.h5#7"


def test_a_folder_and_the_loader_agree_on_the_hash_of_the_data(pics, pics_mocks, tmp_path):
    score(pics_mocks, tmp_path / "s.csv")
    about = json.loads((tmp_path / "s.json").read_text())
    assert about["data_hash"] == pics.data_hash
    assert [row["path"] for row in read_rows(tmp_path / "s.csv")] == [*pics.paths]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_table_holds_the_same_rows_and_its_origin(ending, hdf5, tmp_path):
    score(hdf5, tmp_path / "expected.csv")
    assert score(hdf5, tmp_path / f"s{ending}") == 0
    table = read_table(tmp_path / f"s{ending}")
    meta = {key.lower(): value for key, value in table.meta.items()}
    expected = read_rows(tmp_path / "expected.csv")
    assert table.colnames == ["id", "path", "fold", "is_lens", "score", "flags"]
    assert [str(text).strip() for text in table["id"]] == [row["id"] for row in expected]
    assert [*table["score"]] == [float(row["score"]) for row in expected]
    assert [int(label) for label in table["is_lens"]] == [int(row["is_lens"]) for row in expected]
    flags = ["" if value is np.ma.masked else str(value).strip() for value in table["flags"]]
    assert flags == [row["flags"] for row in expected] and any(flags)
    about = json.loads((tmp_path / "s.json").read_text())
    assert ending == ".csv" or about["data_hash"] in (meta.get("data_hash"), meta.get("datahash"))
    assert ending == ".csv" or about["model_hash"] in (meta.get("model_hash"), meta.get("modlhash"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_unknown_labels_and_names_beyond_ascii_survive(ending, pics, tmp_path):
    with h5py.File(tmp_path / "é.h5", "w") as file:
        file["images"] = np.asarray(pics.pixels[:3, 0])
        file["is_lens"] = np.array([1, -1, 0])
    out = tmp_path / f"s{ending}"
    assert score(tmp_path / "é.h5", out) == 0
    if ending == ".csv":
        assert [row["is_lens"] for row in read_rows(out)] == ["1", "", "0"]
        assert read_rows(out)[0]["id"] == "é.h5#0"
        return
    table = read_table(out)
    assert [None if value is np.ma.masked else int(value) for value in table["is_lens"]] == [1, None, 0]
    assert table["id"][0] == ("\\xe9.h5#0" if ending == ".fits" else "é.h5#0")


def test_a_fits_table_of_many_parts_is_a_valid_file(pics, tmp_path):
    write_hdf5(tmp_path / "many.h5", pics, np.arange(237) % 100)
    assert score(tmp_path / "many.h5", tmp_path / "s.fits", "--shard-size", 50, "--workers", 1) == 0
    with fits.open(tmp_path / "s.fits") as units:
        units.verify("exception")
        assert len(units[1].data) == 237 and (tmp_path / "s.fits").stat().st_size % 2880 == 0


def test_gzipped_and_compressed_containers_are_read(pics, tmp_path):
    write_cube(tmp_path / "cube.fits", pics, np.arange(30))
    assert score(tmp_path / "cube.fits", tmp_path / "plain.csv") == 0
    with fits.open(tmp_path / "cube.fits") as units:
        units.writeto(tmp_path / "cube2.fits.gz")
        pixels = units[0].data.astype("f4")
    lossless = {"compression_type": "GZIP_2", "quantize_level": 0}
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, tile_shape=(1, 45, 45), **lossless)]).writeto(
        tmp_path / "cube3.fits.fz"
    )
    extensions = [fits.CompImageHDU(plane, **lossless) for plane in pixels]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(tmp_path / "each.fits.fz")
    write_extensions(tmp_path / "each.fits", pics, np.arange(30))
    with fits.open(tmp_path / "each.fits") as units:
        units.writeto(tmp_path / "each2.fits.gz")
    for name in ("cube2.fits.gz", "cube3.fits.fz", "each.fits.fz", "each2.fits.gz"):
        assert score(tmp_path / name, tmp_path / "s.csv", "--shard-size", 7, "--workers", 1) == 0
        np.testing.assert_array_equal(read_scores(tmp_path / "s.csv"), read_scores(tmp_path / "plain.csv"))


def test_integers_are_scaled_and_blanks_repaired_in_a_cube(pics, tmp_path):
    counts = np.rint(np.asarray(pics.pixels[:4, 0]) * 10).astype(np.int32)
    counts[2, 3, 4] = -(2**31)
    unit = fits.PrimaryHDU(counts)
    unit.header.update(BSCALE=0.1, BZERO=0.0, BLANK=-(2**31))
    unit.writeto(tmp_path / "cube.fits")
    assert score(tmp_path / "cube.fits", tmp_path / "s.csv") == 0
    with h5py.File(tmp_path / "same.h5", "w") as file:
        pixels = (counts * 0.1).astype("f4")
        pixels[2, 3, 4] = np.nan
        file["stamps"] = pixels
    assert score(tmp_path / "same.h5", tmp_path / "same.csv") == 0
    np.testing.assert_allclose(read_scores(tmp_path / "s.csv"), read_scores(tmp_path / "same.csv"), atol=1e-6)
    (row,) = read_rows(tmp_path / "s-rejected.csv")
    assert (row["action"], row["n_nonfinite"], row["path"]) == ("repaired", "1", "cube.fits#2")


def test_the_scale_that_a_file_states_is_checked(pics, tmp_path, capsys):
    with h5py.File(tmp_path / "coarse.h5", "w") as file:
        file["stamps"] = np.asarray(pics.pixels[:5])
        file["stamps"].attrs["pixel_scale_arcsec"] = 0.4
    assert score(tmp_path / "coarse.h5", tmp_path / "s.csv") == 2
    assert "45 x 45 pixels of 0.4 arcsec" in capsys.readouterr().err and not (tmp_path / "s.csv.parts").exists()
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file["stamps"] = np.pad(np.asarray(pics.pixels[:5, 0]), ((0, 0), (8, 8), (8, 8)))
    assert score(tmp_path / "large.h5", tmp_path / "s.csv") == 2
    assert score(tmp_path / "large.h5", tmp_path / "s.csv", "--resample") == 0
    np.testing.assert_allclose(read_scores(tmp_path / "s.csv"), cut_scores(pics), atol=1e-5)


def test_cutouts_of_several_scales_are_each_brought_to_the_networks(pics, tmp_path, capsys):
    """The same sky in pixels of 0.18 and, summed by fours, 0.36 arcsec; what is too small is set aside."""
    folder, wide = tmp_path / "mixed", np.pad(np.asarray(pics.pixels[:4, 0]), ((0, 0), (24, 23), (24, 23)), "reflect")
    folder.mkdir()
    coarse = wide.reshape(4, 46, 2, 46, 2).sum(axis=(2, 4))
    for row in range(4):
        for name, scale, pixels in (
            ("fine", 0.18, wide),
            ("coarse", 0.36, coarse),
            ("small", 0.36, coarse[:, :20, :20]),
        ):
            header = fits.Header([("PIXSCALE", scale)])
            fits.PrimaryHDU(pixels[row], header).writeto(folder / f"{row}-{name}.fits")
    assert score(folder, tmp_path / "s.csv", "--resample") == 0
    rows = {row["id"]: float(row["score"]) for row in read_rows(tmp_path / "s.csv")}
    rejected = read_rows(tmp_path / "s-rejected.csv")
    assert sorted(row["id"] for row in rejected) == [f"{row}-small" for row in range(4)]
    assert all("7.2 arcsec wide, the network looks at 8.1" in row["reason"] for row in rejected)
    fits.PrimaryHDU(coarse, fits.Header([("PIXSCALE", 0.36)])).writeto(tmp_path / "coarse.fits")
    assert score(tmp_path / "coarse.fits", tmp_path / "alone.csv", "--resample") == 0
    np.testing.assert_allclose(
        [rows[f"{row}-coarse"] for row in range(4)], read_scores(tmp_path / "alone.csv"), atol=1e-5
    )
    assert score(folder, tmp_path / "t.csv") == 2


def cut_scores(pics):
    backend.prepare(device="cpu")
    estimator = load_shipped("cnn")
    return estimator.predict_proba(pics.pixels[:5])[:, 1]


def test_flags_are_those_of_the_filter_and_the_filter_sets_aside(hdf5, tmp_path):
    score(hdf5, tmp_path / "all.csv")
    flagged = {row["id"]: row["flags"] for row in read_rows(tmp_path / "all.csv") if row["flags"]}
    assert score(hdf5, tmp_path / "kept.csv", "--filter", "default") == 0
    dropped = {row["id"]: row["reason"] for row in read_rows(tmp_path / "kept-rejected.csv")}
    assert set(dropped) == set(flagged) and len(read_rows(tmp_path / "kept.csv")) == 100 - len(dropped)
    assert all(
        reason.startswith("filter: ") and all(flag in reason for flag in flagged[key].split(","))
        for key, reason in dropped.items()
    )


def test_the_fold_of_a_stamp_that_the_training_knew_is_told(pics, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(SHIPPED / "cnn", run)
    (run / "stamps.csv").write_text(
        f"id,path,fold,is_lens,digest\na,a.fits,train,1,{pics.digests[0]}\nb,b.fits,test,1,{pics.digests[0]}\n"
    )
    with h5py.File(tmp_path / "known.h5", "w") as file:
        file["stamps"], file["id"] = np.asarray(pics.pixels[:2]), ["a", "b"]
    assert main(["score", str(tmp_path / "known.h5"), "--run", str(run), "--out", str(tmp_path / "s.csv")]) == 0
    assert [row["fold"] for row in read_rows(tmp_path / "s.csv")] == ["train", ""]


def test_an_id_that_comes_twice_is_scored_once(pics, tmp_path, capsys):
    with h5py.File(tmp_path / "twice.h5", "w") as file:
        file["stamps"], file["id"] = np.asarray(pics.pixels[:4]), ["a", "b", "a", "a"]
    assert score(tmp_path / "twice.h5", tmp_path / "s.csv", "--shard-size", 2, "--workers", 1) == 0
    rows = read_rows(tmp_path / "s.csv")
    assert [row["path"] for row in rows] == ["twice.h5#0", "twice.h5#1"]
    n_above = sum(float(row["score"]) > 0.5 for row in rows)
    assert n_above and f"2 stamps scored, {n_above} above 0.5" in capsys.readouterr().out
    rejected = read_rows(tmp_path / "s-rejected.csv")
    assert [row["path"] for row in rejected] == ["twice.h5#2", "twice.h5#3"]
    assert {row["reason"] for row in rejected} == {"same id as twice.h5#0"}
    with h5py.File(tmp_path / "once.h5", "w") as file:
        file["stamps"], file["id"] = np.asarray(pics.pixels[:2]), ["a", "b"]
    assert score(tmp_path / "once.h5", tmp_path / "once.csv") == 0
    hashes = [json.loads((tmp_path / f"{name}.json").read_text())["data_hash"] for name in ("s", "once")]
    assert hashes[0] == hashes[1]


def test_several_arrays_of_one_name_are_refused_by_name_and_one_can_be_chosen(pics, tmp_path, capsys):
    path = tmp_path / "nights.h5"
    with h5py.File(path, "w") as file:
        for night, rows in (("one", slice(0, 2)), ("two", slice(2, 5))):
            file[f"{night}/images"] = np.asarray(pics.pixels[rows, 0])
        file["weights"] = np.ones((5, 45, 45), "f4")
    command = ["score", str(path), "--model", "cnn", "--out", str(tmp_path / "scores.csv")]
    assert main(command) == 2
    sentence = capsys.readouterr().err
    assert "holds several arrays that could be cutouts: one/images, two/images; choose one with --array" in sentence
    assert main([*command, "--array", "two/images"]) == 0
    assert [float(row["score"]) for row in read_rows(tmp_path / "scores.csv")] == pytest.approx(
        cut_scores(pics)[2:], abs=1e-6
    )
    assert main([*command, "--array", "three"]) == 2
    assert "holds no array three of numbers that could be cutouts" in capsys.readouterr().err
