"""A network of three named bands scores every format, takes its bands by name, and becomes an ONNX file."""

import json

import h5py
import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from lens_common.files import read_csv
from lens_modern import LensClassifier
from lens_modern.cli import main

SIDE, N_STAMPS = 12, 24
LABELS = np.arange(N_STAMPS) % 2
RANDOM = np.random.RandomState(0)
# Stamps in u, g, r, i, by name; lenses are bright in r.
PIXELS = {name: RANDOM.normal(0, 3, (N_STAMPS, SIDE, SIDE)).astype(np.float32) for name in "ugri"}
PIXELS["r"][LABELS == 1, 4:8, 4:8] += 40


def colours(bands):
    """Stamps (N, bands, H, W)."""
    return np.stack([PIXELS[name] for name in bands], axis=1)


def cards(bands):
    return fits.Header([(f"BAND{number}", name) for number, name in enumerate(bands, 1)])


def write_folder(path, bands, header):
    path.mkdir()
    for number, stamp in enumerate(colours(bands)):
        fits.PrimaryHDU(stamp, header).writeto(path / f"{number:02}.fits.gz")


def write_cube(path, bands, header):
    fits.PrimaryHDU(colours(bands), header).writeto(path)


def write_extensions(path, bands, header):
    units = [fits.ImageHDU(stamp, header, f"OBJECT{number}") for number, stamp in enumerate(colours(bands))]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(path)


def write_hdf5(path, bands, header):
    with h5py.File(path, "w") as file:
        file["stamps"] = colours(bands)
        if header:
            file["stamps"].attrs["bands"] = [*bands]


def write_numpy(path, bands, header):
    np.savez(path, stamps=colours(bands), **({"bands": [*bands]} if header else {}))


def write_parquet(path, bands, header):
    shape = (len(bands), SIDE, SIDE)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(colours(bands).ravel()), int(np.prod(shape)))
    about = {"shape": json.dumps(shape), **({"bands": ",".join(bands)} if header else {})}
    pq.write_table(pa.table({"stamp": lists}).replace_schema_metadata(about), path)


WRITE = {
    "folder": write_folder,
    "cube.fits": write_cube,
    "cube.fits.gz": write_cube,
    "extensions.fits": write_extensions,
    "stamps.h5": write_hdf5,
    "stamps.npz": write_numpy,
    "stamps.parquet": write_parquet,
}
EVERY_FORMAT = pytest.mark.parametrize("name", WRITE)


@pytest.fixture(scope="module")
def finder():
    return LensClassifier("cnn", epochs=2, batch_size=8).fit(colours("gri"), LABELS, bands=["g", "r", "i"])


@pytest.fixture(scope="module")
def run(finder, tmp_path_factory):
    return finder.save(tmp_path_factory.mktemp("bands") / "run")


@pytest.fixture(scope="module")
def expected(finder):
    """Scores by the estimator, of arrays."""
    scores = finder.predict_proba(colours("gri"))[:, 1]
    assert np.ptp(scores) > 1e-3  # else any would do
    return scores


def source(name, bands, folder, named=True):
    path = folder / name
    WRITE[name](path, bands, cards(bands) if named else None)
    return path


def score(data, run, folder, *flags):
    out = folder / "scores.csv"
    assert main(["score", str(data), "--run", str(run), "--out", str(out), *flags]) == 0
    return [float(row["score"]) for row in read_csv(out)]


def refusal(capsys, data, run, folder, *flags):
    assert main(["score", str(data), "--run", str(run), "--out", str(folder / "scores.csv"), *flags]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@EVERY_FORMAT
def test_three_bands_of_every_format_have_the_scores_of_the_estimator(name, run, expected, tmp_path):
    np.testing.assert_allclose(score(source(name, "gri", tmp_path), run, tmp_path), expected, rtol=0, atol=1e-5)


@EVERY_FORMAT
def test_three_bands_of_four_are_taken_by_name_and_told(name, run, expected, tmp_path, capsys):
    data = source(name, "ugri", tmp_path)
    np.testing.assert_allclose(score(data, run, tmp_path), expected, rtol=0, atol=1e-5)
    told = f"of the bands u, g, r, i of {data} the network takes those it was trained on: g, r, i"
    assert told in capsys.readouterr().err


@EVERY_FORMAT
def test_another_order_is_refused_with_both_and_a_choice_mends_it(name, run, expected, tmp_path, capsys):
    data = source(name, "rgi", tmp_path)
    sentence = refusal(capsys, data, run, tmp_path)
    assert "3 band(s) (r, g, i), those that the network was trained on 3 (g, r, i); bring them" in sentence
    scores = score(data, run, tmp_path, "--bands", "gri")
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@EVERY_FORMAT
def test_bands_without_names_are_chosen_by_number(name, run, expected, tmp_path, capsys):
    data = source(name, "ugri", tmp_path, named=False)
    assert "those that the network was trained on 3 (g, r, i)" in refusal(capsys, data, run, tmp_path)
    scores = score(data, run, tmp_path, "--bands", "1,2,3")
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_cutouts_of_another_band_among_many_are_set_aside_with_a_reason(tmp_path):
    names = ["g", "g", "r", "g"]
    units = [
        fits.ImageHDU(PIXELS[name][number], fits.Header([("FILTER", name)]), f"OBJECT{number}")
        for number, name in enumerate(names)
    ]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto(tmp_path / "mixed.fits")
    one = LensClassifier("cnn", epochs=1, batch_size=8).fit(colours("g"), LABELS, bands=["g"])
    assert len(score(tmp_path / "mixed.fits", one.save(tmp_path / "run"), tmp_path)) == 3
    (rejection,) = read_csv(tmp_path / "scores-rejected.csv")
    assert rejection["path"] == "mixed.fits#OBJECT2"
    assert rejection["reason"] == "no band g among r; the other stamps have g"


def test_a_band_with_too_many_bad_pixels_sets_its_cutout_aside_by_name(run, tmp_path):
    stamps = colours("gri")
    stamps[5, 2, 0, :3] = np.nan
    fits.PrimaryHDU(stamps, cards("gri")).writeto(tmp_path / "cube.fits")
    assert len(score(tmp_path / "cube.fits", run, tmp_path)) == N_STAMPS - 1
    (rejection,) = read_csv(tmp_path / "scores-rejected.csv")
    assert rejection["reason"] == "3 of 144 pixels of band i are not finite; at most 1 % may be"


def test_names_that_are_none_are_refused_in_one_sentence(run, tmp_path, capsys):
    np.savez(tmp_path / "stamps.npz", stamps=colours("gri"), bands=["g", "g", "i"])
    assert "of its attribute bands: a band comes twice in 'g,g,i'" in refusal(
        capsys, tmp_path / "stamps.npz", run, tmp_path
    )


@pytest.mark.parametrize("verb", ["inspect", "maps"])
def test_other_verbs_read_and_choose_the_bands_of_every_source(verb, run, tmp_path, capsys):
    data, out = source("stamps.h5", "ugri", tmp_path), tmp_path / "picture.png"
    flags = ["--bands", "gri"] if verb == "inspect" else ["--run", str(run), "--most", "2"]
    assert main([verb, str(data), "--out", str(out), *flags]) == 0
    assert out.exists()
    if verb == "inspect":
        assert "24 stamps of 3 band(s) (g, r, i), (12, 12) pixels" in capsys.readouterr().out
    else:
        assert np.load(tmp_path / "picture.npz")["stamps"].shape == (2, 3, SIDE, SIDE)


def test_an_onnx_file_of_three_bands_names_them_and_gives_the_scores(run, expected, tmp_path):
    assert main(["export", str(run), "--out", str(tmp_path / "run.onnx")]) == 0
    about = {prop.key: prop.value for prop in onnx.load(tmp_path / "run.onnx").metadata_props}
    assert json.loads(about["bands"]) == ["g", "r", "i"]
    (scores,) = onnxruntime.InferenceSession(tmp_path / "run.onnx").run(["probability"], {"stamps": colours("gri")})
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
