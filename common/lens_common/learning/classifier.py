"""The classifier: scaling, network and training loop behind scikit-learn's conventions."""

from dataclasses import asdict, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Dict, Optional, Sequence, Tuple, Type, Union

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .._version import __version__
from ..data.decoding import pixel_digest
from ..data.domain import describe_pixels
from ..errors import UserError
from ..files import read_csv, write_arrays, write_csv, write_json
from ..runs import (
    RUN_FORMAT,
    STAMP_COLUMNS,
    check_pooling,
    check_replaced,
    describe_environment,
    load_weights,
    model_hash,
    read_config,
    read_settings,
    read_stamps,
    shipped_run,
)
from .models import find_model
from .presets import PRESETS, defective_data, defective_settings, preset_settings, resolve_defects
from .protocol import NetworkShape, check_probabilities
from .scaling import make_scaling, scaling_from_dict, scaling_to_dict
from .training import (
    Catching,
    Checkpoint,
    Monitor,
    TrainingData,
    TrainingSettings,
    not_catching,
    predict_in_batches,
    train_network,
)

# What `save` writes; a folder that holds anything else is not its to replace.
SAVED = ("config.json", "environment.json", "history.csv", "stamps.csv", "weights.npz")


class LensClassifier(ClassifierMixin, BaseEstimator):
    """Lens or non-lens, from counts, by a network of this framework.

    The parameters from `epochs` to `lens_weight` are the training settings of those names
    (`lens_common.learning.training.TrainingSettings`); None takes the preset's.

    Parameters
    ----------
    model : str
        Which network: ``resnet`` or ``cnn``.
    preset : str
        Where settings that are not given come from: ``demo``, ``deeplens``, ``study-200``, ``study-2000`` or
        ``study-20000``.
    epochs, batch_size, learning_rate, rate_steps, rate_drop
        How long and how fast.
    augmented, drop_tail, scaling
        What is made of the stamps.
    schedule, patience
        How the learning rate falls, and when to end early.
    interpolation, lens_weight
        How augmented stamps are read, and what a lens weighs in the ResNet's loss.
    defects : sequence of str
        What was wrong in 2018, to be wrong again; ``study`` stands for all that was wrong with the preset's own run.
        They replace settings that are given, too.
    seed : int
        Of the initial weights and of everything drawn in training, 0 or more.
    checkpoint : str or Path, optional
        File from which a stopped `fit` continues.
    verbose : bool
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array (2,)
        The two labels that `fit` was given: non-lens, lens.
    n_features_in_ : int
        Bands of the stamps.
    network_ : Network
        Trained.
    scaling_ : Scaling
        Fitted on the training stamps.
    settings_ : TrainingSettings
        What it was trained with.
    shape_ : NetworkShape
        Bands and side of the stamps it takes.
    history_ : list of dict
        One row an epoch.
    model_hash_ : str
        SHA-256 over weights and scaling, which names the model in score tables and metrics.

    Notes
    -----
    Each twin has one of its own: `lens_modern.LensClassifier`, `lens_legacy.LensClassifier`.
    """

    backend: ClassVar[ModuleType]

    def __init__(
        self,
        model: str = "resnet",
        *,
        preset: str = "demo",
        epochs: Optional[int] = None,
        batch_size: Optional[int] = None,
        learning_rate: Optional[float] = None,
        rate_steps: Optional[int] = None,
        rate_drop: Optional[float] = None,
        augmented: Optional[bool] = None,
        drop_tail: Optional[bool] = None,
        scaling: Optional[str] = None,
        schedule: Optional[str] = None,
        patience: Optional[int] = None,
        interpolation: Optional[str] = None,
        lens_weight: Optional[float] = None,
        defects: Sequence[str] = (),
        seed: int = 1,
        checkpoint: Optional[Union[str, Path]] = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.preset = preset
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.rate_steps = rate_steps
        self.rate_drop = rate_drop
        self.augmented = augmented
        self.drop_tail = drop_tail
        self.scaling = scaling
        self.schedule = schedule
        self.patience = patience
        self.interpolation = interpolation
        self.lens_weight = lens_weight
        self.defects = defects
        self.seed = seed
        self.checkpoint = checkpoint
        self.verbose = verbose

    @classmethod
    def of(cls, backend: ModuleType) -> Type["LensClassifier"]:
        """Classifier of a twin by its ``backend``."""
        return type(cls.__name__, (cls,), {"backend": backend})

    @classmethod
    def from_preset(cls, preset: str, model: str = "resnet", **parameters: Any) -> "LensClassifier":
        """Classifier with the settings of a preset; further parameters replace them.

        Raises
        ------
        UserError
            If there is no such preset or model, or a parameter is out of range.
        """
        classifier = cls(model, preset=preset, **parameters)
        classifier.training_settings()
        return classifier

    def resolved_defects(self) -> Tuple[str, ...]:
        """Names of the defects, each once, in the order in which they take effect."""
        preset_settings(self.preset, self.model)
        return resolve_defects(self.defects, PRESETS[self.preset], self.model)

    def training_settings(self) -> TrainingSettings:
        """Settings of the preset, replaced by those of the framework's mode, then the given, then the defects'.

        Raises
        ------
        UserError
            If the preset, the model or a defect is not known, or a setting is out of range.
        """
        settings = preset_settings(self.preset, self.model)
        if self.backend.mode() == "idiomatic":
            settings = replace(settings, **find_model(self.model).idiomatic)
        values = {field.name: getattr(self, field.name) for field in fields(TrainingSettings)}
        settings = replace(settings, **{name: value for name, value in values.items() if value is not None})
        return defective_settings(settings, self.resolved_defects())

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        validation: Optional[Tuple[np.ndarray, np.ndarray]] = None,
        monitor: Optional[Monitor] = None,
        ids: Optional[Sequence[str]] = None,
        catching: Catching = not_catching,
        bands: Sequence[str] = (),
    ) -> "LensClassifier":
        """Fit the scaling on the training stamps, then train.

        Parameters
        ----------
        X : float array (N, bands, H, W)
            Counts.
        y : array (N,)
            1 or True for a lens, 0 or False for a non-lens.
        validation : (X, y), optional
            Stamps that are scored after each epoch.
        monitor : callable, optional
            Labels and scores of the validation stamps to named numbers for the history.
        ids : sequence of str (N,), optional
            Identities of the stamps, which `save` then keeps, so that scoring knows them again.
        catching : callable, optional
            See `lens_common.learning.training.train_network`.
        bands : sequence of str, optional
            Names of the bands, which `save` then keeps, so that scoring knows them again; those of `load_stamps`.

        Returns
        -------
        LensClassifier
            Itself.

        Raises
        ------
        UserError
            For stamps that are not square, not four-axed or not finite, labels, ids or bands of another
            length, one class only, or no batch that can be filled.
        """
        X, shape = _check_stamps(X)
        labels = _check_labels(y, len(X))
        if ids is not None and len(ids) != len(X):
            raise UserError(f"ids need one name a stamp, got {len(ids)} for {len(X)} stamps")
        if len(bands) not in (0, shape.n_bands):
            raise UserError(f"bands need one name each, got {', '.join(bands)} for {shape.n_bands} band(s)")
        settings = self.training_settings()
        held_X, held_y = validation if validation is not None else (X[:0], labels[:0])
        held_X, held_shape = _check_stamps(held_X)
        if held_shape != shape:
            raise UserError(f"validation stamps need the shape of the others, {X.shape[1:]}; got {held_X.shape[1:]}")
        counts = TrainingData(X, labels, held_X, _check_labels(held_y, len(held_X)))
        counts = defective_data(counts, self.resolved_defects())
        scaling = make_scaling(settings.scaling).fit(counts.stamps)
        data = replace(
            counts,
            stamps=scaling.transform(counts.stamps),
            validation_stamps=scaling.transform(counts.validation_stamps),
        )
        network = self._build_network(shape, settings)
        checkpoint = Checkpoint(self.checkpoint, settings, self.seed, counts) if self.checkpoint else None
        history = train_network(network, data, settings, self.seed, checkpoint, monitor, self.verbose, catching)
        self.classes_ = np.unique(y)
        self.n_features_in_ = shape.n_bands
        self.history_, self.settings_, self.scaling_ = history, settings, scaling
        self.network_, self.shape_ = network, shape
        self.model_hash_ = model_hash(network.get_weights(), scaling_to_dict(scaling))
        self._learned = {"n_stamps": len(X), **describe_pixels(X)}
        self._mode, self._bands = self.backend.mode(), list(bands)
        self._stamps = [] if ids is None else _stamp_rows(ids, X, labels)
        return self

    def _build_network(self, shape: NetworkShape, settings: TrainingSettings) -> Any:
        weighted = {} if settings.lens_weight == 1 else {"lens_weight": settings.lens_weight}
        return self.backend.build_network(self.model, shape, self.seed, **weighted)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (N, 2) of non-lens and lens, each in [0, 1], of stamps in counts (N, bands, H, W)."""
        check_is_fitted(self, "network_")
        X, shape = _check_stamps(X)
        if shape != self.shape_:
            raise UserError(
                f"the network takes stamps of {self.shape_.n_bands} band(s) and {self.shape_.side} pixels a side; "
                f"these have {shape.n_bands} and {shape.side}; cut or resample them"
            )
        scores = predict_in_batches(self.network_, self.scaling_.transform(X), self.verbose and len(X) > 2000)
        check_probabilities(scores)
        return np.stack([1 - scores, scores], axis=1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Label (N,) of `classes_`: lens where the probability is above 0.5."""
        is_lens = self.predict_proba(X)[:, 1] > 0.5
        return self.classes_.take(is_lens)

    def save(self, run: Union[str, Path]) -> Path:
        """Write a run directory: config.json, environment.json, history.csv, weights.npz, stamps.csv.

        It holds all that scoring needs, in either twin, and lacks what only the verb ``train`` knows: the folder and
        the hash of the data, scores and metrics of a test fold, figures, and the names of the stamps where `fit` was
        given no ids.

        Parameters
        ----------
        run : str or Path
            A new folder, or one that `save` wrote before and writes again.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UserError
            If the folder holds other files.
        """
        check_is_fitted(self, "network_")
        run = Path(run)
        others = sorted({path.name for path in run.iterdir()} - {*SAVED}) if run.is_dir() else []
        if others:
            raise UserError(f"{run} holds other files, {others[0]} among them; choose an empty or a new folder")
        run.mkdir(parents=True, exist_ok=True)
        write_arrays(run / "weights.npz", self.network_.get_weights())
        write_csv(run / "history.csv", self.history_)
        write_csv(run / "stamps.csv", self._stamps, STAMP_COLUMNS)
        write_json(run / "environment.json", describe_environment(self.backend.describe()))
        config = {
            "format": RUN_FORMAT,
            "version": __version__,
            "framework": self.backend.NAME,
            "model": self.model,
            "seed": self.seed,
            "settings": asdict(self.settings_),
            "defects": list(self.resolved_defects()),
            "filter": None,
            "mode": self._mode,
            "preset": self.preset,
            "data": {"folder": "", "hash": "", **self._learned},
            "shape": asdict(self.shape_),
            "bands": self._bands,
            "scaling": scaling_to_dict(self.scaling_),
        }
        write_json(run / "config.json", config)
        return run

    @classmethod
    def load(cls, run: Union[str, Path]) -> "LensClassifier":
        """Trained classifier of a run directory, written by either twin, by ``train`` or by `save`.

        Parameters
        ----------
        run : str or Path
            Run directory.

        Returns
        -------
        LensClassifier
            Ready to score.

        Raises
        ------
        UserError
            If the folder is not a run, its training has not ended, or the weights do not fit.
        """
        config = read_config(run)
        if "scaling" not in config:
            raise UserError(f"the training in {run} has not ended; run the same train command to end it")
        weights = load_weights(Path(run) / "weights.npz")
        check_pooling(run, config, weights)
        settings, defects = read_settings(config), config.get("defects", ())
        preset = config.get("preset", "demo")
        loaded = cls(config["model"], preset=preset, seed=config["seed"], defects=defects, **asdict(settings))
        loaded.settings_, loaded.shape_ = settings, NetworkShape(**config["shape"])
        loaded.network_ = loaded.backend.build_network(loaded.model, loaded.shape_, loaded.seed)
        try:
            loaded.network_.set_weights(weights)
        except UserError as error:
            raise UserError(f"{Path(run) / 'weights.npz'}: {error}") from error
        loaded.scaling_ = scaling_from_dict(config["scaling"])
        loaded.model_hash_ = model_hash(weights, config["scaling"])
        check_replaced(loaded.model_hash_, run)
        loaded.classes_, loaded.n_features_in_ = np.array([False, True]), loaded.shape_.n_bands
        loaded.history_ = _read_history(Path(run) / "history.csv")
        loaded._learned = {key: value for key, value in config.get("data", {}).items() if key not in ("folder", "hash")}
        loaded._mode, loaded._bands, loaded._stamps = config["mode"], config["bands"], read_stamps(run)
        return loaded

    @classmethod
    def load_shipped(cls, model: str = "resnet") -> "LensClassifier":
        """Network that ships with the package; docs/model-card.md says what it can do.

        Raises
        ------
        UserError
            If none of this name ships.
        """
        return cls.load(shipped_run(model))

    def __getstate__(self) -> Dict[str, Any]:
        """What pickle keeps: of the network its weights, since compiled graphs cannot be pickled."""
        state = dict(super().__getstate__())
        if "network_" in state:
            state["network_"] = state["network_"].get_weights()
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Rebuild the network from its weights."""
        super().__setstate__(state)
        if "network_" in state:
            weights = self.network_
            self.network_ = self._build_network(self.shape_, self.settings_)
            self.network_.set_weights(weights)

    def _more_tags(self) -> Dict[str, Any]:  # scikit-learn up to 1.5
        return {"binary_only": True, "X_types": ["4darray"]}

    def __sklearn_tags__(self) -> Any:  # from 1.6 on
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.two_d_array = False
        return tags


def _check_stamps(X: Any) -> Tuple[np.ndarray, NetworkShape]:
    """Stamps as an array, and their shape; a map from disk is not copied."""
    X = np.asanyarray(X)
    if X.ndim == 3:
        raise UserError(f"stamps need shape (N, bands, H, W), got {X.shape}; add a band axis")
    if X.ndim != 4 or X.shape[2] != X.shape[3] or 0 in X.shape[1:]:
        raise UserError(f"stamps need shape (N, bands, side, side), got {X.shape}; cut them square")
    if X.dtype.kind not in "biuf":
        raise UserError(f"stamps must be real numbers, got type {X.dtype}; give counts")
    if not np.isfinite(X.sum(dtype=np.float64)):  # a sum of this many float32 cannot overflow
        raise UserError("stamps must be finite, and some pixels are NaN or infinite; repair or leave out those stamps")
    return X, NetworkShape(n_bands=X.shape[1], side=X.shape[2])


def _check_labels(y: Any, n_stamps: int) -> np.ndarray:
    """Labels as bool (N,)."""
    y = np.asarray(y)
    if y.shape != (n_stamps,):
        raise UserError(f"labels need shape ({n_stamps},), one a stamp; got {y.shape}")
    if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
        raise UserError("labels must be 1 for a lens and 0 for a non-lens; leave out stamps of unknown class")
    return y.astype(bool)


def _stamp_rows(ids: Sequence[str], X: np.ndarray, labels: np.ndarray) -> Any:
    """Rows of ``stamps.csv`` for stamps that were learned from."""
    rows = zip(ids, ids, ["train"] * len(ids), labels.astype(int), map(pixel_digest, X))
    return [dict(zip(STAMP_COLUMNS, row)) for row in rows]


def _read_history(path: Path) -> Any:
    rows = read_csv(path) if path.exists() else []
    return [{key: float(value) if value else None for key, value in row.items()} for row in rows]
