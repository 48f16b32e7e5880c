"""The command line end to end, with the CNN: what a user types, reads and finds."""

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lens_common.runs import load_weights
from lens_legacy.cli import main

TRAIN = ["train", "--model", "cnn", "--epochs", "2", "--batch-size", "20"]


def write_stamps(folder, n_stamps=100, side=45, seed=0):
    """Write stamps of noise, the lenses with a bright square, in the 2018 layout."""
    random = np.random.RandomState(seed)
    for number in range(n_stamps):
        is_lens = number % 2 == 0
        stamp = random.normal(0, 3, (side, side)).astype(np.float32)
        stamp[20:25, 20:25] += 20 * is_lens
        word = "lensed" if is_lens else "unlensed"
        path = folder / f"{word}_outputs" / "0" / f"{word}_{number}_200_0.8_30_0.4_2_imgs.fits.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        fits.writeto(path, stamp)
    return folder


def start(arguments, **options):
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lens_legacy.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_stamps(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run directory of an undisturbed training."""
    run = tmp_path_factory.mktemp("runs") / "run"
    assert main([*TRAIN, "--data", str(data), "--out", str(run)]) == 0
    return run


def error_of(capsys, *arguments):
    """Exit status, and the last line on stderr, of a command that must fail."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().err.strip().splitlines()[-1]


def test_a_training_leaves_a_run_directory_with_every_promised_file(run):
    promised = {
        *("config.json", "environment.json", "history.csv", "weights.npz", "checkpoint.npz", "stamps.csv"),
        *("rejected.csv", "scores.csv", "scores.json", "metrics.json", "roc.png", "history.png", "scores.png"),
    }
    assert promised <= {path.name for path in run.iterdir()}


def test_the_config_says_scale_zero_point_and_noise_of_the_training_stamps(run):
    about = json.loads((run / "config.json").read_text())["data"]
    assert (about["pixel_scale_arcsec"], about["zero_point_mag"]) == (0.18, 30)  # of the 2018 layout
    assert about["noise"] == sorted(about["noise"]) and about["noise"][1] == pytest.approx(3, rel=0.02)


def test_metrics_hold_every_promised_name(run):
    metrics = json.loads((run / "metrics.json").read_text())
    promised = "auroc auroc_low auroc_high accuracy completeness purity contamination false_positive_rate threshold"
    assert {*promised.split(), "n_lenses", "n_non_lenses", "data_hash"} <= set(metrics)


def test_the_history_has_a_row_an_epoch(run):
    with open(run / "history.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_weights_are_readable_without_the_project(run):
    weights = np.load(run / "weights.npz", allow_pickle=False)
    assert weights["conv.weight"].shape == (32, 1, 3, 3)  # OIHW


def test_scores_have_the_promised_columns_and_hashes(run, data, tmp_path):
    assert main(["score", str(data), "--run", str(run), "--out", str(tmp_path / "s.csv")]) == 0
    with open(tmp_path / "s.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "path", "fold", "is_lens", "score"]
    assert len(rows) == 100
    assert {row["fold"] for row in rows} == {"train", "validation", "test"}
    about = json.loads((tmp_path / "s.json").read_text())
    assert {"data_hash", "model_hash", "versions"} <= set(about)


def test_scores_of_a_later_process_equal_those_of_the_training(run, data, tmp_path):
    main(["score", str(data), "--run", str(run), "--out", str(tmp_path / "s.csv")])
    with open(tmp_path / "s.csv") as new, open(run / "scores.csv") as old:
        later = {row["id"]: float(row["score"]) for row in csv.DictReader(new)}
        for row in csv.DictReader(old):
            assert later[row["id"]] == pytest.approx(float(row["score"]), abs=1e-6)


def test_stamps_without_a_class_folder_get_an_empty_label_and_an_empty_fold(run, tmp_path):
    fits.writeto(tmp_path / "cutout.fits", np.ones((45, 45), np.float32))
    main(["score", str(tmp_path), "--run", str(run), "--out", str(tmp_path / "out" / "s.csv")])
    with open(tmp_path / "out" / "s.csv") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["is_lens"], row["fold"]) == ("cutout", "", "")


def test_evaluating_again_gives_the_same_metrics(run):
    before = json.loads((run / "metrics.json").read_text())
    assert main(["evaluate", str(run)]) == 0
    after = json.loads((run / "metrics.json").read_text())
    assert {key: after[key] for key in ("auroc", "data_hash", "n_stamps", "true_positives")} == {
        key: before[key] for key in ("auroc", "data_hash", "n_stamps", "true_positives")
    }


def test_other_data_get_metrics_of_their_own_named_by_their_hash(run, tmp_path):
    other = write_stamps(tmp_path / "other", n_stamps=10, seed=1)
    assert main(["evaluate", str(run), "--data", str(other)]) == 0
    (written,) = [path for path in run.glob("metrics-*.json") if json.loads(path.read_text())["n_stamps"] == 10]
    assert json.loads(written.read_text())["data_hash"].startswith(written.stem.split("-")[1])


def test_stamps_that_were_trained_on_are_left_out_of_an_evaluation(run, data):
    main(["evaluate", str(run), "--data", str(data)])
    tested = sum(row["fold"] == "test" for row in csv.DictReader(open(run / "stamps.csv")))
    counts = [json.loads(path.read_text())["n_stamps"] for path in run.glob("metrics-*.json")]
    assert tested in counts and 100 not in counts


def test_swapped_class_folders_turn_the_auroc_over(run, tmp_path):
    other = write_stamps(tmp_path / "other", n_stamps=30, seed=2)
    swapped = tmp_path / "swapped"
    shutil.copytree(other / "lensed_outputs", swapped / "unlensed_outputs")
    shutil.copytree(other / "unlensed_outputs", swapped / "lensed_outputs")
    found = []
    for folder in (other, swapped):
        before = set(run.glob("metrics-*.json"))
        main(["evaluate", str(run), "--data", str(folder)])
        (written,) = set(run.glob("metrics-*.json")) - before
        found.append(json.loads(written.read_text())["auroc"])
    assert found[0] + found[1] == pytest.approx(1)


def test_inspect_counts_the_classes(data, capsys):
    assert main(["inspect", str(data)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stamps ")]
    assert line.split()[1:] == ["50", "50"]


def test_inspect_tells_the_pixel_scale_and_the_zero_point_or_that_they_are_unknown(data, tmp_path, capsys):
    fits.writeto(tmp_path / "cutout.fits", np.ones((45, 45), np.float32), fits.Header({"PIXSCALE": 0.263}))
    for folder, expected in ((data, ["0.18", "30"]), (tmp_path, ["0.263", "unknown"])):
        assert main(["inspect", str(folder)]) == 0
        rows = {line[:32].strip(): line[32:].strip() for line in capsys.readouterr().out.splitlines()}
        assert [rows["pixel scale [arcsec]"], rows["zero-point [mag]"]] == expected


def test_simulate_makes_a_data_set_that_inspect_reads(tmp_path, capsys):
    assert main(["simulate", "--mocks", "4", "--seed", "3", "--out", str(tmp_path / "mocks")]) == 0
    assert main(["inspect", str(tmp_path / "mocks")]) == 0
    assert "4 stamps of 1 band(s)" in capsys.readouterr().out


def test_a_finished_run_is_not_trained_again(run, data, capsys):
    before = (run / "weights.npz").read_bytes()
    assert main([*TRAIN, "--data", str(data), "--out", str(run)]) == 0
    assert "epoch 1/2" not in capsys.readouterr().err
    assert (run / "weights.npz").read_bytes() == before


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_training_continues_to_the_same_weights(signum, status, run, data, tmp_path):
    stopped = tmp_path / "run"
    command = [*TRAIN, "--data", data, "--out", stopped]
    process = start(command)
    while not (stopped / "checkpoint.npz").exists() and process.poll() is None:  # written after the first epoch
        time.sleep(0.001)
    process.send_signal(signum)
    errors = process.communicate()[1]
    assert process.returncode == status
    assert "Traceback" not in errors
    assert not (stopped / "weights.npz").exists()
    continued = start(command)
    assert "epoch 1/2" not in continued.communicate()[1]
    whole, parts = load_weights(run / "weights.npz"), load_weights(stopped / "weights.npz")
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_a_full_disk_while_saving_is_a_sentence_and_the_checkpoint_before_survives(data, tmp_path, capsys):
    run = tmp_path / "run"
    command = [*TRAIN, "--data", data, "--out", run]
    first = start(command)
    while not (run / "checkpoint.npz").exists() and first.poll() is None:
        time.sleep(0.001)
    first.kill()
    first.communicate()
    kept = (run / "checkpoint.npz").read_bytes()
    # No file may grow beyond 40 kB: the checkpoint of 57 kB breaks off in the middle, as on a full disk.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        status, line = error_of(capsys, *command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    assert "checkpoint.npz" in line and "is kept" in line
    assert (run / "checkpoint.npz").read_bytes() == kept
    assert main([str(argument) for argument in command]) == 0


def test_an_empty_folder_is_refused(tmp_path, capsys):
    assert error_of(capsys, *TRAIN, "--data", tmp_path, "--out", tmp_path / "run")[0] == 2


def test_one_class_only_is_refused(data, tmp_path, capsys):
    shutil.copytree(data / "lensed_outputs", tmp_path / "lenses" / "lensed_outputs")
    status, line = error_of(capsys, *TRAIN, "--data", tmp_path / "lenses", "--out", tmp_path / "run")
    assert status == 2 and "both classes" in line


def test_unlabelled_stamps_alone_cannot_be_trained_on(tmp_path, capsys):
    fits.writeto(tmp_path / "cutout.fits", np.ones((45, 45), np.float32))
    status, line = error_of(capsys, *TRAIN, "--data", tmp_path, "--out", tmp_path / "run")
    assert status == 2 and "no labels" in line


def test_a_batch_larger_than_the_data_is_refused(data, tmp_path, capsys):
    arguments = ["train", "--model", "cnn", "--batch-size", 500, "--data", data, "--out", tmp_path / "run"]
    status, line = error_of(capsys, *arguments)
    assert status == 2 and "500" in line


def test_no_epochs_are_refused(data, tmp_path, capsys):
    status, line = error_of(capsys, "train", "--model", "cnn", "--epochs", 0, "--data", data, "--out", tmp_path / "run")
    assert status == 2 and "epochs must be 1 or more, got 0" in line


def test_an_unknown_preset_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--preset", "nonsense"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "nonsense" in line and "demo" in line


def test_a_flag_of_the_other_side_is_not_taken_for_the_beginning_of_one_of_ours(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--mode", "idiomatic"])
    assert ended.value.code == 2 and "unrecognized arguments: --mode idiomatic" in capsys.readouterr().err


def test_an_unknown_defect_is_one_sentence(data, tmp_path, capsys):
    status, line = error_of(capsys, *TRAIN, "--defects", "bad_luck", "--data", data, "--out", tmp_path / "run")
    assert status == 2 and "bad_luck" in line and "class_overwrite" in line


def test_a_run_with_other_settings_is_not_continued(run, data, capsys):
    status, line = error_of(capsys, *TRAIN, "--seed", 2, "--data", data, "--out", run)
    assert status == 2 and "other seed" in line


def test_a_run_of_another_model_is_refused(run, data, tmp_path, capsys):
    status, line = error_of(capsys, "score", data, "--run", run, "--model", "resnet", "--out", tmp_path / "s.csv")
    assert status == 2 and "holds a cnn" in line


def test_a_run_of_the_first_format_still_gives_its_scores(tmp_path):
    stamps = np.random.RandomState(1).normal(0, 3, (3, 45, 45)).astype(np.float32)
    stamps[0, 20:25, 20:25] += 20
    for number, stamp in enumerate(stamps):
        fits.writeto(tmp_path / f"{number}.fits", stamp)
    old = Path(__file__).parents[1] / "fixtures" / "run-format-1"
    assert main(["score", str(tmp_path), "--run", str(old), "--out", str(tmp_path / "s.csv")]) == 0
    with open(tmp_path / "s.csv") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    # As version 0.1.0 printed them, when the run was made.
    assert scores == pytest.approx([0.652563, 0.295605, 0.376378], abs=1e-5)


def test_a_run_of_a_newer_version_is_refused(run, tmp_path, capsys):
    newer = tmp_path / "newer"
    shutil.copytree(run, newer)
    config = json.loads((newer / "config.json").read_text())
    (newer / "config.json").write_text(json.dumps({**config, "format": 99, "version": "9.1"}))
    status, line = error_of(capsys, "evaluate", newer)
    assert status == 2 and "format 99, by version 9.1" in line


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert error_of(capsys, "evaluate", tmp_path)[0] == 2


def test_a_folder_with_other_files_is_not_written_into(data, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    status, _ = error_of(capsys, *TRAIN, "--data", data, "--out", tmp_path)
    assert status == 2
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_stamps_of_another_size_are_refused_with_both_sizes(run, tmp_path, capsys):
    small = write_stamps(tmp_path / "small", n_stamps=4, side=41)
    status, line = error_of(capsys, "score", small, "--run", run, "--out", tmp_path / "s.csv")
    assert status == 2 and "45" in line and "41" in line


def test_a_bad_file_among_good_ones_is_reported_and_set_aside(run, tmp_path, capsys):
    folder = write_stamps(tmp_path / "data", n_stamps=4)
    (folder / "lensed_outputs" / "0" / "broken.fits.gz").write_bytes(b"\x1f\x8b broken")
    assert main(["score", str(folder), "--run", str(run), "--out", str(tmp_path / "s.csv")]) == 0
    assert "1 files set aside" in capsys.readouterr().err
    (row,) = csv.DictReader(open(tmp_path / "s-rejected.csv"))
    assert row["path"].endswith("broken.fits.gz") and "gzip" in row["reason"]


def test_the_pics_mocks_are_scored(run, pics_mocks, tmp_path):
    assert main(["score", str(pics_mocks), "--run", str(run), "--out", str(tmp_path / "s.csv")]) == 0
    with open(tmp_path / "s.csv") as file:
        labels = [row["is_lens"] for row in csv.DictReader(file)]
    assert (labels.count("1"), labels.count("0")) == (50, 50)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """One hundred stamps, ten of them without a detectable object: five of each class."""
    folder = write_stamps(tmp_path_factory.mktemp("mixed"))
    paths = sorted(folder.rglob("*.fits.gz"))
    for path in paths:
        stamp = fits.getdata(path)
        stamp[8:12, 8:12] += 20  # an object in every stamp ...
        fits.writeto(path, stamp, overwrite=True)
    for path in [*paths[:5], *paths[-5:]]:  # ... but in these
        fits.writeto(path, np.random.RandomState(1).normal(0, 3, (45, 45)).astype(np.float32), overwrite=True)
    return folder


def test_inspect_counts_what_the_filter_would_drop_by_class(mixed, tmp_path, capsys):
    assert main(["inspect", str(mixed), "--out", str(tmp_path / "sheet.png")]) == 0
    rows = {line[:32].strip(): line[32:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows["filter drops: signal"] == rows["filter drops: any of these"] == ["5", "5"]
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_score_sets_flagged_stamps_aside_with_the_reason(mixed, run, tmp_path):
    out = tmp_path / "scores.csv"
    assert main(["score", str(mixed), "--run", str(run), "--filter", "signal=5", "--out", str(out)]) == 0
    with open(out) as file:
        assert len(list(csv.DictReader(file))) == 90
    with open(tmp_path / "scores-rejected.csv") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert len(reasons) == 10 and all(reason.startswith("filter: signal ") for reason in reasons)


def test_a_filter_that_leaves_nothing_is_refused(mixed, run, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    status, message = error_of(capsys, "score", mixed, "--run", run, "--filter", "noise=0", "--out", out)
    assert status == 2 and "the filter leaves no stamp" in message
    assert not out.exists()


def test_train_with_a_filter_learns_from_no_flagged_stamp_and_keeps_the_test_fold_whole(mixed, tmp_path):
    fold = {}
    for name, options in (("whole", []), ("filtered", ["--filter", "signal=5"])):
        assert main([*TRAIN, "--data", str(mixed), "--out", str(tmp_path / name), *options]) == 0
        with open(tmp_path / name / "stamps.csv") as file:
            fold[name] = {row["path"]: row["fold"] for row in csv.DictReader(file)}
    with open(tmp_path / "filtered" / "rejected.csv") as file:
        rejected = {row["path"] for row in csv.DictReader(file)}
    flagged = {*sorted(fold["whole"])[:5], *sorted(fold["whole"])[-5:]}
    expected = {
        path: "dropped" if path in flagged and where != "test" else where for path, where in fold["whole"].items()
    }
    assert fold["filtered"] == expected and "dropped" in expected.values()
    assert rejected == {path for path, where in expected.items() if where == "dropped"}


def test_evaluate_with_a_filter_counts_a_flagged_lens_as_missed(mixed, run, capsys):
    assert main(["evaluate", str(run), "--data", str(mixed), "--filter", "signal=5", "--threshold", "0"]) == 0
    printed = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if " " in line.strip())
    # At a threshold of 0 all is called a lens but what the filter drops: 45 of 50 in either class.
    assert float(printed["completeness"]) == 1
    assert float(printed["filtered_completeness"]) == float(printed["filtered_false_positive_rate"]) == 0.9
    assert (printed["n_flagged_lenses"], printed["n_flagged_non_lenses"]) == ("5", "5")
