"""The runner: a table goes on where it stopped, and a script ends in one sentence."""

from functools import partial

import pytest

from experiments import runner
from lens_common.errors import UserError
from lens_common.runs import read_csv


def test_a_table_goes_on_with_the_rows_that_it_lacks_in_the_order_of_the_jobs(tmp_path):
    path = tmp_path / "table.csv"
    jobs = [{"name": name, "seed": seed} for name in "ab" for seed in (1, 2)]
    runner.fill_table(path, jobs[1:], partial(dict, measured="before"))
    assert runner.fill_table(path, jobs, partial(dict, measured="after")) == f"1 new rows in {path}"
    found = [(row["name"], row["seed"], row["measured"]) for row in read_csv(path)]
    assert found == [("a", "1", "after"), ("a", "2", "before"), ("b", "1", "before"), ("b", "2", "before")]


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (UserError("a row is missing; add it"), "a row is missing; add it"),
        (OSError(28, "No space left on device", "out.csv"), "out.csv: No space left on device"),
    ],
)
def test_a_mistake_ends_a_script_with_2_and_one_sentence(capsys, mistake, sentence):
    def work():
        raise mistake

    assert runner.carry_out("name", "About.", {}, work, []) == 2
    assert capsys.readouterr().err == f"name: {sentence}\n"


def test_a_job_that_fails_names_itself_and_its_log(tmp_path):
    job = runner.Job("a training", "modern", "no_such_module", [])
    with pytest.raises(UserError, match="a training failed with status 1; see .*a training.log"):
        runner.run(job, tmp_path)
    assert "no_such_module" in (tmp_path / "a training.log").read_text()
