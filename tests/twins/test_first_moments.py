"""A signal at any moment, the seconds of the imports included, ends a command in a sentence."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits

try:
    import lens_modern  # noqa: F401

    SIDE = "modern"
except ImportError:
    SIDE = "legacy"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.05, 0.4, 0.8, 1.2, 2.0, 3.0])
def test_a_signal_ends_it_in_a_sentence(seconds, signum, tmp_path):
    for number in range(3):
        stamp = np.random.RandomState(number).normal(0, 3.6, (45, 45)).astype(np.float32)
        fits.PrimaryHDU(stamp).writeto(tmp_path / f"cutout{number}.fits")
    command = [sys.executable, "-m", f"lens_{SIDE}", "score", str(tmp_path), "--model", "cnn"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "s.csv")], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and _seconds(process.pid) < 0.1:  # the start of Python itself is not ours
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signum)
    said = process.communicate(timeout=120)[1]
    assert "Traceback" not in said and process.returncode in (0, 128 + signum), said
    if process.returncode:
        assert said.splitlines()[-1].startswith(f"lens-{SIDE}: stopped by ")


def _seconds(pid):
    """Seconds of processor that a process has taken."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shell(command, folder, **environment):
    """Run a line of a shell in a folder; `$LENS` in it is the command."""
    lens = f"{sys.executable} -m lens_{SIDE}"
    done = subprocess.run(
        ["bash", "-c", command.replace("$LENS", lens)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


@pytest.mark.parametrize(
    ("command", "environment", "status", "words"),
    [
        ("$LENS inspect nowhere 2>&-", {}, 2, ""),
        ("$LENS inspect nowhere >&- 2>&-", {}, 2, ""),
        ("$LENS inspect \u2605nowhere", {"PYTHONIOENCODING": "ascii"}, 2, "\\u2605nowhere"),
        ("ulimit -n 8; $LENS inspect nowhere", {}, 2, f"lens-{SIDE}: "),
        ("$LENS score nowhere --model cnn --out s.csv", {"OMP_NUM_THREADS": "1,2"}, 2, "nowhere"),
    ],
)
def test_an_odd_place_to_run_in_is_one_sentence(command, environment, status, words, tmp_path):
    found, said, complained = shell(command, tmp_path, **environment)
    assert found == status and "Traceback" not in said + complained, complained
    assert words in complained and len(complained.splitlines()) <= 1
