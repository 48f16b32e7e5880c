"""The settings of the study, and of our own runs, as data: presets and defects."""

from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from ..errors import UserError
from .models import MODELS, find_model
from .training import TrainingData, TrainingSettings


def overwrite_class(data: TrainingData) -> TrainingData:
    """Give every non-lens the pixels of a lens, labels kept: both classes hold the same pictures."""
    return replace(
        data,
        stamps=_overwrite(data.stamps, data.labels),
        validation_stamps=_overwrite(data.validation_stamps, data.validation_labels),
    )


def _overwrite(stamps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    lenses, others = np.flatnonzero(labels), np.flatnonzero(~labels)
    if len(lenses) == 0:
        return stamps
    overwritten = np.array(stamps)
    overwritten[others] = stamps[np.resize(lenses, len(others))]
    return overwritten


def validate_on_train(data: TrainingData) -> TrainingData:
    """Train on the validation stamps too, and go on watching them."""
    stamps = np.concatenate([data.stamps, data.validation_stamps])
    labels = np.concatenate([data.labels, data.validation_labels])
    return replace(data, stamps=stamps, labels=labels)


def without_test_fold(folds: np.ndarray) -> np.ndarray:
    """Count the test fold as validation stamps: a fifth of all, as the study watched, and nothing held out."""
    return np.where(folds == "test", "validation", folds)


@dataclass(frozen=True)
class Defect:
    """Something that was wrong with a run of the study.

    Attributes
    ----------
    what : str
        In words.
    settings : dict
        Training settings that it replaces.
    data : callable, optional
        What it does to the arrays that a network learns from.  Test stamps stay clean.
    folds : callable, optional
        What it does to the folds, str (N,); without a test fold a run is judged by its validation stamps.
    """

    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Optional[Callable[[TrainingData], TrainingData]] = None
    folds: Optional[Callable[[np.ndarray], np.ndarray]] = None


# In the order in which they take effect.
DEFECTS: Dict[str, Defect] = {
    "class_overwrite": Defect("non-lenses were overwritten by lenses", data=overwrite_class),
    "validate_on_train": Defect(
        "all stamps were trained on, those of the validation too", data=validate_on_train, folds=without_test_fold
    ),
    "sign_clip": Defect("clip limits left only the sign of each pixel", {"scaling": "sign-clip"}),
    # The study ran on Python 3.6, where 50 epochs / 3 steps is 16.67 and no epoch a multiple of it.
    "rate_never_drops": Defect("the learning rate stayed what it was at first", {"rate_drop": 1.0}),
    # What was set in 2018, without effect: Python 2 would have come to a rate of 1e-7 after a third of the epochs.
    "rate_collapse": Defect(
        "had it run on Python 2: the learning rate fell by 1000 at each step", {"rate_drop": 0.001}
    ),
    "raw_pixels": Defect("counts were not scaled", {"scaling": "raw"}),
}


@dataclass(frozen=True)
class Preset:
    """A named way to train; what it means for each model stands in `MODELS`.

    Attributes
    ----------
    name : str
    what : str
        In words, for ``--help``.
    n_stamps : int
        Mocks that are made where no data are given, half of them lenses.
    at_most : bool
        Take no more than `n_stamps` of the data given.
    """

    name: str
    what: str
    n_stamps: int
    at_most: bool = False

    @property
    def settings(self) -> Dict[str, TrainingSettings]:
        """Training settings for each model."""
        return {name: model.settings[self.name] for name, model in MODELS.items() if self.name in model.settings}

    @property
    def defects(self) -> Dict[str, Tuple[str, ...]]:
        """What was wrong with that run of the study, for each model."""
        return {name: model.defects[self.name] for name, model in MODELS.items() if self.name in model.defects}


PRESETS: Dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("demo", "minutes on two cores", 2000),
        Preset("deeplens", "CMU DeepLens' published recipe, a day on two cores", 20000),
        Preset("study-200", "the study's runs on 200 stamps, mended", 200, at_most=True),
        Preset("study-2000", "the study's runs on 2,000 stamps, mended", 2000, at_most=True),
        Preset("study-20000", "the study's runs on 20,000 stamps, mended", 20000, at_most=True),
    )
}


def preset_settings(preset: str, model: str) -> TrainingSettings:
    """Training settings of a model by the name of a preset.

    Raises
    ------
    UserError
        If there is no such model, no such preset, or the model has no settings for it.

    Examples
    --------
    >>> settings = preset_settings("study-2000", "cnn")
    >>> settings.epochs, settings.batch_size
    (30, 194)
    """
    settings = find_model(model).settings
    if preset not in settings:
        raise UserError(f"no preset named {preset!r} for the {model}; choose one of {', '.join(settings)}")
    return settings[preset]


def resolve_defects(names: Sequence[str], preset: Preset, model: str) -> Tuple[str, ...]:
    """Defects by name; ``study`` stands for all that was wrong with the preset's own run.

    Returns
    -------
    tuple of str
        Each once, in the order in which they take effect.

    Raises
    ------
    UserError
        For a name that is not known, ``study`` with a preset that is not the study's,
        or two defects that set the same thing.
    """
    chosen: Set[str] = set()
    for name in names:
        if name == "study":
            if model not in preset.defects:
                raise UserError(
                    "`defects` study goes with a preset of the study; choose `preset` study-200, -2000 or -20000"
                )
            chosen.update(preset.defects[model])
        elif name in DEFECTS:
            chosen.add(name)
        else:
            raise UserError(f"no defect named {name!r}; choose study or any of {', '.join(DEFECTS)}")
    for setting in {key for name in chosen for key in DEFECTS[name].settings}:
        setting_it = sorted(name for name in chosen if setting in DEFECTS[name].settings)
        if len(setting_it) > 1:
            raise UserError(f"{' and '.join(setting_it)} each choose the {setting}; keep one of them")
    return tuple(name for name in DEFECTS if name in chosen)


def defective_settings(settings: TrainingSettings, defects: Sequence[str]) -> TrainingSettings:
    """Training settings with those of the defects in their place."""
    for name in defects:
        settings = replace(settings, **DEFECTS[name].settings)
    return settings


def defective_folds(folds: np.ndarray, defects: Sequence[str]) -> np.ndarray:
    """Folds, str (N,), as the defects leave them."""
    for name in defects:
        change = DEFECTS[name].folds
        folds = change(folds) if change else folds
    return folds


def defective_data(data: TrainingData, defects: Sequence[str]) -> TrainingData:
    """Training arrays as the defects leave them."""
    for name in defects:
        change = DEFECTS[name].data
        data = change(data) if change else data
    return data
