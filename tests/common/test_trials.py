"""A training that is killed between any two files of its beginning is continued by the same command."""

from types import SimpleNamespace

import pytest

from lens_common import make_mocks, trials
from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.models import MODELS, Model
from lens_common.learning.training import TrainingSettings


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    return load_stamps(make_mocks(tmp_path_factory.mktemp("trials") / "mocks", 60, seed=5))


@pytest.fixture
def classifier(monkeypatch, build_tiny_network):
    settings = {"demo": TrainingSettings(epochs=2, batch_size=10, learning_rate=1e-3)}
    monkeypatch.setitem(MODELS, "tiny", Model("Tiny", "", {}, settings))
    backend = SimpleNamespace(
        NAME="test", ENGINE="none", build_network=build_tiny_network, mode=lambda: "faithful", describe=dict
    )
    return LensClassifier.of(backend)("tiny")


@pytest.mark.parametrize("number", range(7))
def test_a_run_killed_before_any_of_its_files_goes_on(classifier, stamps, tmp_path, monkeypatch, number):
    run, written = tmp_path / "run", []

    def killed_at(writer):
        def write(path, *arguments):
            if len(written) == number:
                (path.parent / f".{path.name}.123.tmp").write_text("half")
                raise Killed
            written.append(path.name)
            return writer(path, *arguments)

        return write

    with monkeypatch.context() as patch:
        for name in ("write_json", "write_csv", "write_rejected", "write_arrays"):
            patch.setattr(trials, name, killed_at(getattr(trials, name)))
        with pytest.raises(Killed):
            trials.train_run(classifier, stamps, run)
    evaluation = trials.train_run(classifier, stamps, run)
    undisturbed = trials.train_run(classifier, stamps, tmp_path / "other")
    assert evaluation.metrics == undisturbed.metrics
    assert {path.name for path in run.iterdir() if path.name[0] != "."} == {
        path.name for path in (tmp_path / "other").iterdir() if path.name[0] != "."
    }


def test_a_folder_with_somebodys_files_is_refused(classifier, stamps, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files; choose an empty or a new folder for `out`"):
        trials.train_run(classifier, stamps, tmp_path / "run")


def test_a_run_of_other_settings_is_not_continued(classifier, stamps, tmp_path):
    trials.train_run(classifier, stamps, tmp_path / "run")
    with pytest.raises(UserError, match=r"holds a run with other epochs \(2, not 3\); choose another `out`"):
        trials.train_run(classifier.set_params(epochs=3), stamps, tmp_path / "run")
