"""The networks that come with the package, and what their scores rest on: `score` and `maps` without a run."""

import json
import sys
from dataclasses import asdict
from importlib import import_module

import numpy as np
import pytest
from astropy.io import fits

from lens_common import runs
from lens_common.data.stamps import load_stamps
from lens_common.files import read_csv
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.protocol import NetworkShape
from lens_common.learning.scaling import Raw
from lens_common.learning.training import TrainingSettings
from lens_common.runs import SHIPPED

SIDE = "legacy" if sys.version_info < (3, 9) else "modern"
backend, main = import_module(f"lens_{SIDE}.backend"), import_module(f"lens_{SIDE}.cli").main
SETTINGS = TrainingSettings(epochs=1, batch_size=2, learning_rate=1.0)


@pytest.fixture
def stamps(tmp_path):
    """Folder of four stamps of 45 x 45: noise, the later ones with a brighter spot."""
    folder = tmp_path / "cutouts"
    folder.mkdir()
    random = np.random.RandomState(0)
    for number in range(4):
        stamp = random.normal(0, 3, (45, 45)).astype(np.float32)
        stamp[20:25, 20:25] += 20 * number
        fits.writeto(folder / f"cutout{number}.fits", stamp)
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A CNN as first drawn in the place of the shipped networks."""
    folder = tmp_path / "shipped"
    (folder / "cnn").mkdir(parents=True)
    config = {"format": 1, "model": "cnn", "seed": 1, "settings": asdict(SETTINGS), "scaling": {"name": "raw"}}
    (folder / "cnn" / "config.json").write_text(json.dumps({**config, "shape": {"n_bands": 1, "side": 45}}))
    (folder / "cnn" / "stamps.csv").write_text("id,path,fold,is_lens,digest\n")
    np.savez(folder / "cnn" / "weights.npz", **backend.build_network("cnn", NetworkShape(1, 45), 1).get_weights())
    monkeypatch.setattr(runs, "SHIPPED", folder)
    return folder


def probabilities(stamps):
    """What the CNN of `shipped` says, without the command line."""
    estimator = LensClassifier.of(backend)("cnn")
    estimator.network_ = backend.build_network("cnn", NetworkShape(1, 45), 1)
    estimator.shape_, estimator.scaling_ = NetworkShape(1, 45), Raw()
    return estimator.predict_proba(stamps)[:, 1]


def pixels(folder):
    return np.stack([fits.getdata(path) for path in sorted(folder.glob("*.fits"))])[:, None].astype(np.float32)


def test_without_a_run_the_network_that_comes_along_scores(stamps, shipped, tmp_path):
    out = tmp_path / "scores.csv"
    assert main(["score", str(stamps), "--model", "cnn", "--out", str(out)]) == 0
    rows = read_csv(out)
    assert [row["id"] for row in rows] == [f"cutout{number}" for number in range(4)]
    np.testing.assert_allclose([float(row["score"]) for row in rows], probabilities(pixels(stamps)), atol=1e-6)
    assert json.loads(out.with_suffix(".json").read_text())["run"] == "shipped cnn"


def test_a_map_is_the_loss_of_score_where_a_patch_is_hidden(stamps, shipped, tmp_path, capsys):
    names = tmp_path / "ids.txt"
    names.write_text("cutout3\ncutout1\n")
    out = tmp_path / "new" / "maps.png"
    assert main(["maps", str(stamps), "--model", "cnn", "--ids", str(names), "--out", str(out)]) == 0
    assert "2 stamps mapped" in capsys.readouterr().out and out.read_bytes()[:4] == b"\x89PNG"
    with np.load(out.with_suffix(".npz"), allow_pickle=False) as found:
        assert found["ids"].tolist() == ["cutout3", "cutout1"]
        np.testing.assert_array_equal(found["stamps"], pixels(stamps)[[3, 1]])
        np.testing.assert_allclose(found["scores"], probabilities(found["stamps"]), atol=1e-6)
        # Only the first patch of 5 x 5 covers the corner, and with a stride of 2 its second pixel too.
        hidden = found["stamps"][:1].copy()
        hidden[:, :, :5, :5] = np.median(hidden)
        lost = probabilities(found["stamps"][:1]) - probabilities(hidden)
        np.testing.assert_allclose(found["maps"][0, :2, :2], np.broadcast_to(lost, (2, 2)), atol=1e-6)
        assert found["maps"].shape == (2, 45, 45) and np.abs(found["maps"]).max() > 1e-4


def test_the_highest_scores_are_mapped_where_no_stamp_is_named(stamps, shipped, tmp_path):
    out = tmp_path / "maps.png"
    assert main(["maps", str(stamps), "--model", "cnn", "--most", "2", "--out", str(out)]) == 0
    with np.load(out.with_suffix(".npz"), allow_pickle=False) as found:
        expected = probabilities(pixels(stamps)).argsort()[::-1][:2]
        assert found["ids"].tolist() == [f"cutout{number}" for number in expected]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "maps.jpg"], "--out must end in .png"),
        (["--ids", "nowhere.txt", "--out", "maps.png"], "cannot read the ids in nowhere.txt"),
        (["--ids", "empty.txt", "--out", "maps.png"], "names no stamp"),
        (["--ids", "other.txt", "--out", "maps.png"], "1 of 2 ids are not in"),
    ],
)
def test_a_mistake_is_one_sentence_and_no_file(arguments, words, stamps, shipped, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "other.txt").write_text("cutout1\nsomething else\n")
    assert main(["maps", "cutouts", "--model", "cnn", *arguments]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("maps*"))


def test_no_stamp_to_map_is_a_mistake(stamps, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["maps", str(stamps), "--most", "0", "--out", "maps.png"])
    assert ended.value.code == 2 and "needs a whole number of 1 or more, below 2**31, got 0" in capsys.readouterr().err


def test_the_package_brings_both_networks():
    for model in ("resnet", "cnn"):
        config = json.loads((SHIPPED / model / "config.json").read_text())
        assert config["model"] == model and config["mode"] == "faithful" and not config["defects"]
        with np.load(SHIPPED / model / "weights.npz", allow_pickle=False) as weights:
            assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in weights.values())


def test_a_high_sky_is_refused_and_subtracting_it_gives_the_scores_of_any_other_sky(shipped, stamps, tmp_path, capsys):
    scores = []
    for counts in (0, 50, 1000):
        folder = tmp_path / f"sky{counts}"
        folder.mkdir()
        for path in stamps.glob("*.fits"):
            fits.writeto(folder / path.name, fits.getdata(path) + np.float32(counts))
        out = tmp_path / f"scores{counts}.csv"
        command = ["score", str(folder), "--model", "cnn", "--out", str(out)]
        assert main(command) == (2 if counts else 0)
        sentence = capsys.readouterr().err
        assert not counts or ("the sky level of" in sentence and "subtract it with --subtract-sky" in sentence)
        assert main([*command, "--subtract-sky"]) == 0
        assert json.loads(out.with_suffix(".json").read_text())["sky_subtracted"] is True
        scores.append([float(row["score"]) for row in read_csv(out)])
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-3)
    maps = ["maps", str(folder), "--model", "cnn", "--most", "1", "--out", str(tmp_path / "maps.png")]
    assert (main(maps), main([*maps, "--subtract-sky"])) == (2, 0)


def test_pairs_says_how_often_a_lens_outranks_itself_without_lensing(shipped, tmp_path, capsys):
    mocks, out = tmp_path / "mocks", tmp_path / "pairs.png"
    assert main(["simulate", "--pairs", "--mocks", "8", "--seed", "3", "--out", str(mocks)]) == 0
    assert main(["pairs", str(mocks), "--model", "cnn", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    stamps = load_stamps(mocks)
    lensed, unlensed = (probabilities(stamps.pixels[stamps.labels == label]) for label in (1, 0))
    assert rows[0]["pairs"] == "all" and rows[0]["n"] == 4
    assert rows[0]["outranks"] == np.mean(lensed > unlensed)  # of the same number, and sorted by it
    assert f"{rows[0]['outranks']:.3f} [" in said and out.stat().st_size > 10_000


def test_pairs_of_other_stamps_is_one_sentence(shipped, stamps, capsys):
    assert main(["pairs", str(stamps), "--model", "cnn"]) == 2
    assert "make mocks with `simulate --pairs`" in capsys.readouterr().err
