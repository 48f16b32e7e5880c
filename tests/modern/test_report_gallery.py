"""Stamps with both scores are shown where the stamps are at hand and are those that were scored, and else not."""

import base64
import io

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from lens_common.data.stamps import load_stamps
from lens_common.files import write_csv
from lens_modern.report.gallery import EACH, choose_rows, stamps_with_scores
from lens_modern.report.reading import ScoreSet, StoredRun

N_STAMPS = 20


@pytest.fixture
def data(tmp_path):
    """Ten lenses and ten non-lenses of 9 x 9."""
    random_state = np.random.RandomState(0)
    for number in range(N_STAMPS):
        folder = tmp_path / "data" / ("lensed_outputs" if number % 2 else "unlensed_outputs") / "0"
        folder.mkdir(parents=True, exist_ok=True)
        fits.writeto(folder / f"cutout{number:02}.fits", random_state.normal(0, 3, (9, 9)).astype(np.float32))
    return tmp_path / "data"


@pytest.fixture
def pair(data, tmp_path):
    """Two runs that scored all of them; the second differs in stamp 7 by 0.4."""
    stamps = load_stamps(data)
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = [dict(zip(("id", "digest"), row)) for row in zip(stamps.ids, stamps.digests)]
        write_csv(tmp_path / name / "stamps.csv", rows)
        scores = np.linspace(0.1, 0.5, N_STAMPS)
        scores[7] += 0.4 * (name == "two")
        values = ScoreSet(stamps.ids, stamps.labels == 1, scores, stamps.data_hash)
        config = {"framework": name, "data": {"folder": str(data)}}
        runs.append(StoredRun(name, tmp_path / name, config, {}, {}, [], {"test": values}))
    return runs


def test_each_stamp_is_shown_once_with_both_scores_by_kind(pair):
    gallery = stamps_with_scores(*pair, ("legacy", "modern"), "key")
    assert [panel.title for panel in gallery.panels] == [
        "Lenses, highest scores",
        "Lenses, lowest scores",
        "Non-lenses, highest scores",
        "Scores furthest apart",
    ]
    words = [caption for panel in gallery.panels for caption, _, _ in panel.pictures]
    assert len(set(words)) == len(words) == 4 * EACH
    name = pair[0].sets["test"].ids[7].rsplit("/", 1)[-1]
    assert words[0] == f"{name}, lens: legacy 0.247, modern 0.647"  # 0.1 + 7 * 0.4 / 19, and 0.4 more
    assert all(uri.startswith("data:image/png") for panel in gallery.panels for _, _, uri in panel.pictures)


def test_stamps_of_three_bands_are_shown_in_colour(pair, data):
    for number, path in enumerate(sorted(data.rglob("*.fits"))):
        stamp = np.random.RandomState(number).normal(0, 3, (3, 9, 9)).astype(np.float32)
        fits.writeto(path, stamp, fits.Header([("BAND1", "g"), ("BAND2", "r"), ("BAND3", "i")]), overwrite=True)
    stamps = load_stamps(data)
    for run in pair:
        write_csv(
            run.path / "stamps.csv", [dict(zip(("id", "digest"), row)) for row in zip(stamps.ids, stamps.digests)]
        )
    gallery = stamps_with_scores(*pair, ("legacy", "modern"), "key")
    assert gallery.note == "Each stamp in colour, i red, r green, g blue; below it both scores."
    uri = gallery.panels[0].pictures[0][2]
    assert Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).mode == "RGB"


def test_what_differs_most_is_shown_and_nothing_twice(pair):
    rows = [row for row, _ in choose_rows(pair[0].sets["test"], pair[1].sets["test"])]
    assert 7 in rows and len(set(rows)) == len(rows)


def test_a_folder_that_is_gone_shows_nothing(pair):
    pair[0].config["data"]["folder"] = "/nowhere/mocks"
    assert stamps_with_scores(*pair, ("legacy", "modern"), "key") is None


def test_stamps_that_were_changed_since_are_not_shown(pair, data):
    for path in data.rglob("*.fits"):
        fits.writeto(path, np.ones((9, 9), np.float32) + np.arange(9), overwrite=True)
    assert stamps_with_scores(*pair, ("legacy", "modern"), "key") is None


def test_other_test_folds_are_not_shown_together(pair):
    values = pair[1].sets["test"]
    pair[1].sets["test"] = ScoreSet(values.ids[::-1], values.labels[::-1], values.scores[::-1], values.data_hash)
    assert stamps_with_scores(*pair, ("legacy", "modern"), "key") is None
