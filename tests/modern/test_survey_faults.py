"""What happens to a long scoring: killed workers, a killed command, full disks, damaged shards, two at once."""

import csv
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from lens_common.files import exclusive
from lens_common.mocks.simulator import simulate_stamp
from lens_modern.cli import main

N_STAMPS = 1200
N_KILLS = 20
# Children of a process that has imported everything: what is killed at random points is the work.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["lens_modern.survey.verb", "lens_modern.cli"])


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def arguments(data, out, *options):
    return ["score", *map(str, data), "--model", "cnn", "--out", str(out), *map(str, options)]


@pytest.fixture(scope="module")
def stamps():
    """Mocks with a noise of their own each."""
    random = np.random.default_rng(0)
    mocks = np.stack([simulate_stamp(seed, seed % 2 == 0).stamp for seed in range(100)])
    return (mocks[np.arange(N_STAMPS) % 100] + random.normal(0, 1, (N_STAMPS, 45, 45))).astype(np.float32)


def write(path, stamps, **columns):
    with h5py.File(path, "w") as file:
        file["stamps"] = stamps
        for name, values in columns.items():
            file[name] = values
    return path


@pytest.fixture(scope="module")
def data(stamps, tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "stamps.h5", stamps)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """Rows, and the seconds that they took."""
    out = tmp_path_factory.mktemp("undisturbed") / "s.csv"
    main(arguments([data], out, "--shard-size", 100, "--workers", 1))
    start = time.monotonic()
    assert main(arguments([data], out, "--shard-size", 100, "--workers", 1)) == 0
    return read_rows(out), time.monotonic() - start


@pytest.mark.thorough
def test_killed_at_twenty_points_and_begun_again_it_ends_as_undisturbed(data, undisturbed, tmp_path):
    rows, seconds = undisturbed
    command = arguments([data], tmp_path / "s.csv", "--shard-size", 100, "--workers", 1)
    random, killed, kept = np.random.default_rng(1), 0, set()
    for _ in range(N_KILLS):
        child = CHILDREN.Process(target=main, args=(command,))
        child.start()
        child.join(random.uniform(0.1, 0.9 * seconds + 0.3))
        killed += child.is_alive()
        child.kill()
        child.join()
        kept.add(len(list((tmp_path / "s.csv.parts").glob("[0-9]*.parquet"))))
    assert killed >= N_KILLS / 2 and len(kept) > 1  # at different points of the work
    assert main(command) == 0
    assert read_rows(tmp_path / "s.csv") == rows
    assert not (tmp_path / "s.csv.parts").exists()


def test_what_is_done_is_not_done_twice(data, undisturbed, tmp_path, capsys):
    command = arguments([data], tmp_path / "s.csv", "--shard-size", 100, "--workers", 1)
    limit = CHILDREN.Process(target=limited, args=(command, 40_000))
    limit.start()
    limit.join()
    assert limit.exitcode == 2
    parts = sorted((tmp_path / "s.csv.parts").glob("[0-9]*.parquet"))
    assert len(parts) == 12  # the table itself did not fit
    for number in (3, 7):
        parts[number].unlink()
    kept = pq.read_table(parts[5])
    marked = kept.set_column(kept.schema.get_field_index("score"), "score", pa.array([0.25] * 100))
    pq.write_table(marked.replace_schema_metadata(kept.schema.metadata), parts[5])
    assert main(command) == 0
    assert "going on: 1000 of 1200 cutouts are done" in capsys.readouterr().err
    rows = read_rows(tmp_path / "s.csv")
    assert {row["score"] for row in rows[500:600]} == {"0.25"}
    assert rows[:500] + rows[600:] == undisturbed[0][:500] + undisturbed[0][600:]


def limited(command, n_bytes):
    """Let no file grow beyond `n_bytes`, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    sys.exit(main(command))


def run(command, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "lens_modern.cli", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stderr


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(data, undisturbed, tmp_path):
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
        "from lens_modern.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = arguments([data], tmp_path / "s.csv", "--shard-size", 100, "--workers", 1)
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=300)
    (sentence,) = [line for line in done.stderr.splitlines() if line and "pixel scale" not in line]
    assert done.returncode == 2 and "File too large" in sentence and "s.csv" in sentence
    assert not (tmp_path / "s.csv").exists()
    assert main(command) == 0 and read_rows(tmp_path / "s.csv") == undisturbed[0]


def run_mortal(data, folder, shard_size, row, n_kills):
    """Score with two workers, of which `n_kills` die on the block that begins with a row; say how many died."""
    (folder / "marks").mkdir()
    status, _ = run(
        arguments([data], folder / "s.csv", "--shard-size", shard_size, "--workers", 2),
        DASK_DISTRIBUTED__WORKER__PRELOAD=str(Path(__file__).with_name("survey_preload.py")),
        LENS_TEST_MARKS=str(folder / "marks"),
        LENS_TEST_ROW=str(row),
        LENS_TEST_KILLS=str(n_kills),
    )
    assert status == 0
    return len(list((folder / "marks").iterdir()))


@pytest.mark.thorough
def test_a_worker_that_is_killed_in_mid_shard_is_replaced(data, undisturbed, tmp_path):
    assert run_mortal(data, tmp_path, 300, 556, 1) == 1  # the second block of the second shard
    # Two workers and shards of another size give the same scores to the last bit.
    assert read_rows(tmp_path / "s.csv") == undisturbed[0]


@pytest.mark.thorough
def test_a_shard_that_every_worker_dies_on_is_reported_and_the_rest_goes_on(data, undisturbed, tmp_path):
    # Many short shards: others wait at the workers that die, and must not be lost with this one.
    n_died = run_mortal(data, tmp_path, 50, 500, 1000)
    assert 3 < n_died <= 6  # it got its second chance
    (row,) = read_rows(tmp_path / "s-rejected.csv")
    assert row["id"] == "stamps.h5#shard10"
    assert row["reason"] == "50 of the 50 cutouts of shard 10 are lost: the workers that had it died"
    assert read_rows(tmp_path / "s.csv") == undisturbed[0][:500] + undisturbed[0][550:]


@pytest.mark.thorough
def test_a_dask_cluster_gives_the_same_scores(data, undisturbed, tmp_path, capsys):
    import distributed

    with distributed.LocalCluster(1, threads_per_worker=1, memory_limit=0, dashboard_address=None) as cluster:
        command = arguments([data], tmp_path / "s.csv", "--shard-size", 300, "--dask", cluster.scheduler_address)
        assert main(command) == 0
    assert read_rows(tmp_path / "s.csv") == undisturbed[0]
    assert main(arguments([data], tmp_path / "t.csv", "--dask", "tcp://127.0.0.1:1")) == 2
    assert "no work can be done at tcp://127.0.0.1:1" in capsys.readouterr().err


@pytest.fixture
def others(stamps, tmp_path):
    """Two good files and what a damaged one between them is made of."""
    first, third = (write(tmp_path / f"{name}.h5", stamps[:50], id=[f"{name}{k}" for k in range(50)]) for name in "ac")
    return first, tmp_path / "b", third


def check_set_aside(others, name, words, capsys, n_lost_rows=1, n_good=100):
    first, damaged, third = others
    damaged = damaged.with_name(name)
    out = damaged.with_name("s.csv")
    assert main(arguments([first, damaged, third], out)) == 0
    assert len(read_rows(out)) == n_good
    rejected = read_rows(out.with_name("s-rejected.csv"))
    assert len(rejected) == n_lost_rows and words in rejected[0]["reason"]
    assert f"{n_lost_rows} cutouts set aside or repaired" in capsys.readouterr().err
    if n_good == 100:  # nothing of it: alone it is refused
        assert main(arguments([damaged], damaged.with_name("alone.csv"))) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def truncate(path, share=0.6):
    os.truncate(path, int(path.stat().st_size * share))


def test_a_truncated_hdf5_file_is_set_aside(others, stamps, tmp_path, capsys):
    truncate(write(tmp_path / "b.h5", stamps[:50]))
    check_set_aside(others, "b.h5", "truncated file", capsys)


def test_a_truncated_parquet_file_is_set_aside(others, stamps, tmp_path, capsys):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(stamps[:50].ravel()), 2025)
    pq.write_table(pa.table({"stamps": lists}), tmp_path / "b.parquet")
    truncate(tmp_path / "b.parquet")
    check_set_aside(others, "b.parquet", "Parquet", capsys)


def test_the_rows_before_a_break_are_scored(others, stamps, tmp_path, capsys):
    fits.writeto(tmp_path / "b.fits", stamps[:600])
    truncate(tmp_path / "b.fits", 0.6)
    check_set_aside(others, "b.fits", "344 of the 600 cutouts of shard 1 are lost", capsys, n_good=100 + 256)


def test_a_damaged_chunk_costs_the_rest_of_its_shard(others, stamps, tmp_path, capsys):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        pixels = file.create_dataset("stamps", data=stamps[:600], chunks=(100, 45, 45), compression="gzip")
        place = pixels.id.get_chunk_info(4).byte_offset
    content = bytearray((tmp_path / "b.h5").read_bytes())
    content[place : place + 200] = bytes(200)
    (tmp_path / "b.h5").write_bytes(content)
    check_set_aside(others, "b.h5", "344 of the 600 cutouts of shard 1 are lost", capsys, n_good=100 + 256)


def test_stamps_of_another_type_are_set_aside(others, stamps, tmp_path, capsys):
    write(tmp_path / "b.h5", np.full((50, 45, 45), b"text"))
    check_set_aside(others, "b.h5", "holds no array of numbers that could be cutouts", capsys)


def test_stamps_of_another_size_are_set_aside_one_by_one(others, stamps, tmp_path, capsys):
    write(tmp_path / "b.h5", stamps[:2, :40])
    check_set_aside(others, "b.h5", "shape (1, 40, 45); the other stamps have (1, 45, 45)", capsys, n_lost_rows=2)


def test_rows_of_a_parquet_file_that_are_missing_or_too_short_are_set_aside(stamps, tmp_path):
    lists = [stamps[0].ravel(), None, stamps[1].ravel()[:7], stamps[2].ravel()]
    column = pa.array(lists, pa.list_(pa.float32()))
    pq.write_table(pa.table({"stamps": column}).replace_schema_metadata({"shape": "[45, 45]"}), tmp_path / "p.parquet")
    assert main(arguments([tmp_path / "p.parquet"], tmp_path / "s.csv")) == 0
    assert [row["id"] for row in read_rows(tmp_path / "s.csv")] == ["p.parquet#0", "p.parquet#3"]
    reasons = [row["reason"] for row in read_rows(tmp_path / "s-rejected.csv")]
    assert reasons == ["no pixels", "7 pixels; (45, 45) needs 2025"]


def test_lists_without_a_shape_are_refused(stamps, tmp_path, capsys):
    column = pa.array([stamps[0].ravel()], pa.list_(pa.float32()))
    pq.write_table(pa.table({"stamps": column}), tmp_path / "p.parquet")
    assert main(arguments([tmp_path / "p.parquet"], tmp_path / "s.csv")) == 2
    assert "write metadata shape" in capsys.readouterr().err


def test_two_commands_into_one_table_are_refused(data, tmp_path, capsys):
    parts = tmp_path / "s.csv.parts"
    parts.mkdir()
    with exclusive(parts / ".lock", wait=False):
        assert main(arguments([data], tmp_path / "s.csv")) == 2
    assert "another process is at work" in capsys.readouterr().err and parts.exists()


def test_parts_of_another_task_are_not_gone_on_with(data, tmp_path, capsys):
    parts = tmp_path / "s.csv.parts"
    parts.mkdir()
    (parts / "job.json").write_text(json.dumps({"digest": "of other data"}))
    assert main(arguments([data], tmp_path / "s.csv")) == 2
    assert "holds the beginning of another task" in capsys.readouterr().err
    assert (parts / "job.json").exists()


@pytest.mark.parametrize(
    ("out", "words"),
    [("/proc/s.csv", "/proc/s.csv.parts"), ("s.txt", "--out must end in .parquet, .fits, .ecsv, .csv, got s.txt")],
)
def test_an_output_that_cannot_be_written_is_refused(out, words, data, capsys):
    assert main(arguments([data], out)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("name", ["nothing.h5", "notes.txt", "empty.h5"])
def test_a_source_without_cutouts_is_refused(name, tmp_path, capsys):
    if name == "empty.h5":
        write(tmp_path / name, np.zeros((0, 45, 45), np.float32))
    elif name == "notes.txt":
        (tmp_path / name).write_text("no stamp")
    assert main(arguments([tmp_path / name], tmp_path / "s.csv")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line and not list(tmp_path.glob("*.parts"))


def test_bfloat16_is_used_once_it_has_shown_that_it_moves_nothing(data, undisturbed, tmp_path, capsys, monkeypatch):
    assert main(arguments([data], tmp_path / "s.csv", "--precision", "bfloat16", "--workers", 1)) == 0
    about = json.loads((tmp_path / "s.json").read_text())
    assert about["precision"] == "bfloat16" and about["precision_check"]["largest_score_difference"] <= 0.01
    scores = [[float(row["score"]) for row in rows] for rows in (read_rows(tmp_path / "s.csv"), undisturbed[0])]
    assert np.abs(np.subtract(*scores)).max() < 0.02
    monkeypatch.setattr("lens_modern.survey.networks.MOST_SCORE", -1.0)
    assert main(arguments([data], tmp_path / "t.csv", "--precision", "bfloat16")) == 2
    assert "leave out --precision" in capsys.readouterr().err
    assert main(arguments([data], tmp_path / "t.csv")) == 0  # as it says


def test_float64_is_computed_by_torch(data, undisturbed, tmp_path):
    assert main(arguments([data], tmp_path / "s.csv", "--precision", "float64")) == 0
    scores = [[float(row["score"]) for row in rows] for rows in (read_rows(tmp_path / "s.csv"), undisturbed[0])]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)


def test_parts_that_a_killed_clean_up_left_are_not_taken_for_those_of_the_next_job(data, undisturbed, tmp_path):
    out, parts = tmp_path / "s.csv", tmp_path / "s.csv.parts"
    command = arguments([data], out, "--shard-size", 100, "--workers", 1)
    child = CHILDREN.Process(target=main, args=([*command, "--filter", "default"],))
    child.start()
    while child.is_alive() and len([*parts.glob("*.parquet")]) < 2:
        time.sleep(0.01)
    child.kill()
    child.join()
    assert [*parts.glob("*.parquet")] and (parts / "job.json").exists()
    for path in parts.glob("*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 1), path)  # whatever they hold
    (parts / "job.json").unlink()  # which a clean-up removed before it was killed
    assert main(command) == 0
    assert read_rows(out) == undisturbed[0]
