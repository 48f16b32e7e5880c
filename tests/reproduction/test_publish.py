"""What is kept of a study: all of its figures, to the last bit, and nothing that does not belong to the world."""

import csv
import gzip
import hashlib
import json
import re
import shutil

import numpy as np
import pytest

from experiments.reproduction import publish
from lens_common.data.stamps import load_stamps
from lens_common.scores.metrics import auroc
from lens_common.scores.tables import read_scores
from lens_modern.report.reading import check_run, read_run

RUN_FILES = {"config.json", "environment.json", "history.csv", "metrics.json", "scores.csv.gz", "scores.json"}
# Where a path of this machine or of any other would begin.
ABSOLUTE = re.compile(r"""(?:^|[\s"'=:,;(\[])(/[A-Za-z][\w.+-]*/[^\s",]*)""", re.MULTILINE)


@pytest.fixture
def finished(tiny_study, tmp_path, helpers):
    """A copy of the tiny study, as if the PICS mocks had been scored, with something of everything beside the runs."""
    folder = tmp_path / "study"
    shutil.copytree(tiny_study[0], folder, ignore=shutil.ignore_patterns("data"))
    run = folder / helpers.tiny_run
    for suffix in (".csv", ".json"):
        shutil.copy((run / "scores-mocks").with_suffix(suffix), (run / "scores-pics").with_suffix(suffix))
    (folder / "radial").mkdir()
    for suffix in (".csv", ".json"):
        shutil.copy(
            (run / "scores-mocks").with_suffix(suffix), (folder / "radial" / "scores-mocks").with_suffix(suffix)
        )
    (folder / "radial" / "coefficients.csv").write_text("feature,per_standard_deviation\ntotal,1.0\n")
    (folder / "radial" / "rejected.csv").write_text("id,reason\n")
    (folder / "probe-legacy-pics.json").write_text(json.dumps({"data": {"folder": "/home/somebody/pics"}, "loss": [8]}))
    (folder / "panels.npz").write_bytes(b"arrays")
    (folder / "shown.npz").write_bytes(b"arrays")
    (folder / "pixels.json").write_text(json.dumps({"n_stamps": 2, "n_not_finite": 0}))
    return folder


@pytest.fixture
def published(finished, tmp_path):
    assert publish.main([str(finished), str(tmp_path / "out")]) == 0
    return tmp_path / "out"


def contents(folder):
    """Bytes of every file, by its path, unpacked where it is packed."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: gzip.decompress(data) if name.endswith(".gz") else data for name, data in found.items()}


def test_only_the_small_files_are_kept(published, helpers):
    assert set(contents(published)) == {f"{helpers.tiny_run}/{name}" for name in RUN_FILES} | {
        "stamps.csv.gz",
        "probe-legacy-pics.json",
        "panels.npz",
        "shown.npz",
        "pixels.json",
        "radial/scores-mocks.csv.gz",
        "radial/scores-mocks.json",
        "radial/coefficients.csv",
    }


def paths_in(folder):
    return {
        (name, match)
        for name, data in contents(folder).items()
        if not name.endswith(".npz")
        for match in ABSOLUTE.findall(data.decode(errors="replace"))
    }


def test_no_path_of_the_machine_is_kept(published, finished):
    assert paths_in(published) == set()
    # It looks where there are some.
    assert {name.split("/")[-1] for name, _ in paths_in(finished)} >= {
        "config.json",
        "scores.json",
        "scores-mocks.json",
    }


def test_of_a_stamp_four_facts_are_kept_and_no_pixel(published, helpers):
    rows = helpers.read_table(published / "stamps.csv.gz")
    assert {tuple(row) for row in rows} == {("set", "id", "is_lens", "flagged", "einstein_radius", "snr")}
    assert [row["set"] for row in rows] == ["mocks"] * 8 + ["leak-controlled"] * 6 + ["pics"] * 8
    assert all(len(value) < 100 for row in rows for value in row.values())
    assert [row["is_lens"] for row in rows[:8]].count("1") == 4


def test_scores_are_read_back_to_the_last_bit_of_float32(published, finished, helpers):
    sets = read_run(published / helpers.tiny_run).sets
    assert set(sets) == {"validation", "test", "mocks", "leak-controlled", "pics"}
    for name, found in sets.items():
        own = name in ("validation", "test")
        table = read_scores(finished / helpers.tiny_run / ("scores.csv" if own else f"scores-{name}.csv"))
        kept = {key: row for key, row in table.items() if not own or row["fold"] == name}
        assert found.ids.tolist() == [*kept]
        assert found.labels.tolist() == [row["is_lens"] == "1" for row in kept.values()]
        source = np.array([float(row["score"]) for row in kept.values()])
        assert found.scores.astype(np.float32).tobytes() == source.astype(np.float32).tobytes()
        assert np.array_equal(source.astype(np.float32), source)  # nothing was lost on the way


def test_metrics_are_those_of_the_kept_scores(published, finished, helpers):
    run = read_run(published / helpers.tiny_run)
    check_run(run)
    trained = json.loads((finished / helpers.tiny_run / "metrics.json").read_text())
    assert {**run.metrics, "data": 0} == {**trained, "data": 0}
    assert auroc(run.sets["test"].labels, run.sets["test"].scores) == trained["auroc"]


def test_stamps_that_a_network_learned_from_are_left_out(finished, tmp_path, helpers):
    table = finished / helpers.tiny_run / "scores-mocks.csv"
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    for row, fold in zip(rows, ("train", "validation", "test")):
        row["fold"] = fold
    with open(table, "w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    helpers.change_json(table.with_suffix(".json"), sha256=hashlib.sha256(table.read_bytes()).hexdigest())
    assert publish.main([str(finished), str(tmp_path / "out")]) == 0
    kept = read_run(tmp_path / "out" / helpers.tiny_run).sets["mocks"]
    assert kept.ids.tolist() == [row["id"] for row in rows[2:]]


def test_the_same_study_gives_the_same_bytes(published, finished, tmp_path):
    assert publish.main([str(finished), str(tmp_path / "again")]) == 0
    first, second = ({path.name: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} for folder in (
        published, tmp_path / "again",
    ))  # fmt: skip
    assert first == second
    assert publish.main([str(finished), str(published)]) == 0
    assert {path.name: path.read_bytes() for path in published.rglob("*.*") if path.is_file()} == first


def test_the_kept_command_is_what_a_user_would_type(published, helpers):
    config = json.loads((published / helpers.tiny_run / "config.json").read_text())
    assert config["command"] == (
        "lens-modern train --model cnn --preset study-200 --seed 1 --out runs/reproduction/cnn-200-mended-modern-seed1"
    )


# What is refused.


def refusal(capsys, study, out):
    assert publish.main([str(study), str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("publish: ") and error.count("\n") == 1
    return error


def test_a_table_scored_by_another_model_is_refused(finished, tmp_path, capsys, helpers):
    helpers.change_json(finished / helpers.tiny_run / "scores-pics.json", model_hash="0" * 64)
    assert "scores-pics.csv was scored by another model" in refusal(capsys, finished, tmp_path / "out")


def test_a_table_that_was_changed_by_hand_is_refused(finished, tmp_path, capsys, helpers):
    table = finished / helpers.tiny_run / "scores-mocks.csv"
    table.write_text(re.sub(r"0\.\d", "0.9", table.read_text()))
    assert "scores-mocks.csv is not the table" in refusal(capsys, finished, tmp_path / "out")


def test_a_study_without_a_finished_run_is_one_sentence(finished, tmp_path, capsys, helpers):
    (finished / helpers.tiny_run / "metrics.json").unlink()
    assert "holds no finished run" in refusal(capsys, finished, tmp_path / "out")
    assert "holds no finished run" in refusal(capsys, tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# What lies in the repository.


def test_the_stored_results_hold_no_path_and_no_other_kind_of_file(stored_results):
    assert paths_in(stored_results) == set()
    kinds = {"/".join(["RUN"] * (name.count("/") and not name.startswith("radial/")) + [name.split("/")[-1]])
             for name in contents(stored_results)}  # fmt: skip
    allowed = {f"RUN/{name}" for name in RUN_FILES} | {
        "stamps.csv.gz", "panels.npz", "shown.npz", "pixels.json", "coefficients.csv"
    }  # fmt: skip
    odd = {
        kind for kind in kinds - allowed if not re.fullmatch(r"probe-[\w-]+\.json|scores-[\w-]+\.(csv\.gz|json)", kind)
    }
    assert odd == set()


def test_no_stored_picture_is_of_the_pics_mocks(stored_results, pics_mocks):
    with np.load(stored_results / "panels.npz", allow_pickle=False) as arrays:
        shown = arrays["stamp"].astype(float)
    with np.load(stored_results / "shown.npz", allow_pickle=False) as arrays:
        shown = np.concatenate([shown, *(arrays[kind].astype(float) for kind in ("lenses", "others"))])
    theirs = load_stamps(str(pics_mocks)).pixels[:, 0].astype(float)
    assert len(theirs) >= 100 and shown.shape[1:] == theirs.shape[1:]
    # The same stamp would agree to the eleven bits of float16.
    nearest = [np.abs(theirs - stamp).max(axis=(1, 2)).min() for stamp in shown]
    assert min(nearest) > 0.01 * np.abs(shown).max(axis=(1, 2)).min()
