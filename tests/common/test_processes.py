"""Work shared out over processes."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest

from lens_common.errors import UserError
from lens_common.processes import map_in_order


def doubled(number):
    time.sleep(0.02 * (number % 3))
    return 2 * number


def last_of_three(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize(
    ("function", "workers", "method"), [(doubled, 1, "fork"), (doubled, 2, "fork"), (math.sqrt, 3, "spawn")]
)
def test_results_come_in_order(function, workers, method):
    assert list(map_in_order(function, range(10), workers, method)) == [function(number) for number in range(10)]


def test_no_more_is_begun_than_the_workers_and_one_need():
    taken = []
    results = map_in_order(doubled, (taken.append(number) or number for number in range(100)), 2, "fork")
    next(results)
    results.close()
    assert len(taken) <= 4


def test_a_process_that_is_killed_is_one_sentence():
    with pytest.raises(UserError, match="for want of memory"):
        list(map_in_order(last_of_three, range(6), 2, "fork"))


@pytest.mark.parametrize("moment", [0.2, 0.5, 0.8])
def test_a_signal_to_the_whole_group_prints_no_traceback(tmp_path, moment):
    code = f"import sys; sys.path[:0] = {sys.path!r}; from lens_common.cli import run_command_line as run; "
    code += f"from lens_{'modern' if sys.version_info > (3, 9) else 'legacy'} import backend; sys.exit(run(backend))"
    command = [sys.executable, "-c", code, "simulate", "--mocks", "4000", "--out", str(tmp_path / "mocks")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    pieces = tmp_path / "mocks.partial/pieces"
    while process.poll() is None and not (pieces.exists() and any(pieces.iterdir())):
        time.sleep(0.05)
    time.sleep(moment)
    os.killpg(process.pid, signal.SIGTERM)
    said = process.communicate()[1].decode()
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in said and "stopped by SIGTERM" in said
