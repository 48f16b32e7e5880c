"""Scoring reaches no network beyond this machine and writes nothing but its outputs and the cache."""

import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

# Every name that is looked up and every connection is written down, in this process and in those that it starts.
WATCHED = """
import socket, sys
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect"):
        with open({log!r}, "a") as log:
            print(event, arguments[1:] if event == "socket.connect" else arguments, file=log)
sys.addaudithook(watch)
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_a_cold_score_looks_up_no_host_and_leaves_the_home_directory_as_it_was(tmp_path, home):
    for number in range(4):
        stamp = np.random.RandomState(number).normal(0, 3, (45, 45)).astype(np.float32)
        fits.writeto(tmp_path / f"cutout{number}.fits", stamp)
    log = tmp_path / "network.log"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WATCHED.format(log=str(log)))
    path = os.pathsep.join([str(site), *(os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    command = [sys.executable, "-m", "lens_modern.cli", "score", str(tmp_path), "--model", "cnn", "--workers", "2"]
    done = subprocess.run(
        [*command, "--shard-size", "2", "--out", str(tmp_path / "out" / "scores.csv")],
        env={**os.environ, "HOME": str(home), "LENS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = log.read_text().splitlines() if log.exists() else []
    # Workers are spoken to on this machine alone.
    assert [line for line in lines if "127.0.0.1" not in line and "localhost" not in line] == []
    assert [path for path in home.rglob("*") if path.is_file() and "matplotlib" not in path.parts] == []  # fonts
    assert (tmp_path / "out" / "scores.csv").exists()


def test_the_watch_sees_a_look_up(tmp_path):
    log = tmp_path / "network.log"
    (tmp_path / "sitecustomize.py").write_text(WATCHED.format(log=str(log)))
    code = "import socket\ntry: socket.getaddrinfo('example.invalid', 80)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)
    assert "example.invalid" in log.read_text()


def test_openvino_is_given_no_telemetry():
    code = (
        "import lens_modern.survey.networks; from openvino.tools.ovc import telemetry_utils; "
        "print(telemetry_utils.tm.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
