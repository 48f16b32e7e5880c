"""The training loop that drives a network of either framework, and its checkpoints."""

import contextlib
import hashlib
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Union

import numpy as np

from ..errors import Interrupted, UserError
from ..files import write_arrays
from ..progress import progress_bar
from .augmentation import INTERPOLATIONS
from .batches import count_steps, draw_batches, make_batch
from .protocol import Network

PREDICT_BATCH = 128
SCHEDULES = ("steps", "one-cycle")
# Settings that checkpoints of older versions do not know.
NEW_SETTINGS = ("interpolation", "lens_weight")
_BEST = "best/"
Monitor = Callable[[np.ndarray, np.ndarray], Dict[str, Optional[float]]]
Catching = Callable[[], ContextManager[Sequence[int]]]


def not_catching() -> ContextManager[Sequence[int]]:
    """Collect no signal: each acts as usual."""
    return contextlib.nullcontext(())


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained; the optimiser itself belongs to the network.

    Attributes
    ----------
    epochs : int
        Passes over the training stamps, 1 or more.
    batch_size : int
        Stamps a step; with `drop_tail`, at most as many as there are.
    learning_rate : float
        Of the first epoch.
    rate_steps : int
        The rate drops each ``epochs // rate_steps`` epochs; see `learning_rate_at`.
    rate_drop : float
        Factor of each drop.
    augmented : bool
        Rotate, zoom and flip each stamp of a batch.
    interpolation : {"nearest", "linear"}
        How an augmented pixel is read between the grid points; see `lens_common.learning.augmentation`.
    drop_tail : bool
        Leave out the last, smaller batch of an epoch.
    scaling : str
        Name of the preprocessing.
    schedule : {"steps", "one-cycle"}
        How the rate falls; see `learning_rate_at`.
    patience : int
        End after so many epochs without a lower loss on the validation stamps, and take the weights of the
        epoch with the lowest; 0: train to the last epoch.
    lens_weight : float
        Weight of a lens relative to a non-lens in the ResNet's loss, above 0; CMU DeepLens and the study use 1.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    rate_steps: int = 1
    rate_drop: float = 0.1
    augmented: bool = False
    drop_tail: bool = False
    scaling: str = "sigma"
    schedule: str = "steps"
    patience: int = 0
    interpolation: str = "nearest"
    lens_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "rate_steps"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.schedule not in SCHEDULES:
            raise UserError(f"no schedule named {self.schedule!r}; choose one of {', '.join(SCHEDULES)}")
        if self.patience < 0:
            raise UserError(f"patience must be 0 or more, got {self.patience}")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(f"no interpolation named {self.interpolation!r}; choose one of {', '.join(INTERPOLATIONS)}")
        if not 0 < self.lens_weight < math.inf:
            raise UserError(f"lens_weight must be above 0 and finite, got {self.lens_weight}")


@dataclass
class TrainingData:
    """Arrays that a network learns from and is watched on.

    Attributes
    ----------
    stamps, labels : float32 array (N, bands, H, W), bool array (N,)
        To learn from.
    validation_stamps, validation_labels : the same, (M, ...)
        To be scored after each epoch; M may be 0.
    """

    stamps: np.ndarray
    labels: np.ndarray
    validation_stamps: np.ndarray
    validation_labels: np.ndarray


@dataclass
class Progress:
    """Where a training stands: enough, with the network's state, to go on from there.

    `best_weights` are those of the epoch with the lowest validation loss, where patience asks for them.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: List[Dict[str, Any]] = field(default_factory=list)
    best_weights: Dict[str, np.ndarray] = field(default_factory=dict)


def learning_rate_at(epoch: int, settings: TrainingSettings, step: int = 0, n_steps: int = 1) -> float:
    """Learning rate of a step.

    Parameters
    ----------
    epoch : int
        From 0.
    settings : TrainingSettings
        ``steps`` is CMU DeepLens' schedule, written for Python 2: the rate is lowered at the end of epoch i (from 0)
        if i > 0 and i is a multiple of ``epochs // rate_steps``, so the first stretch is one epoch longer; 120 epochs
        in 3 steps give 41, 40 and 39 epochs.  Python 3 divides to a fraction there, and where that is no whole
        number the rate never drops (the defect ``rate_never_drops``).  ``one-cycle`` rises along a cosine over 30 %
        of all steps from 1/25 of `learning_rate` to it, then falls along another to 4e-6 of it.
    step : int
        Of the epoch, from 0.
    n_steps : int
        Steps an epoch.

    Returns
    -------
    float
        Above 0.

    References
    ----------
    Smith & Topin 2018, arXiv:1708.07120; the numbers are those of torch's OneCycleLR.
    """
    rate = settings.learning_rate
    if settings.schedule == "one-cycle":
        last = settings.epochs * n_steps - 1
        top = 0.3 * (last + 1) - 1
        position = epoch * n_steps + step
        if position <= top:
            return _along_cosine(rate / 25, rate, position / top)
        return _along_cosine(rate, rate / 25 / 1e4, (position - top) / (last - top))
    stretch = max(1, settings.epochs // settings.rate_steps)
    drops = max(0, epoch - 1) // stretch
    for _ in range(drops):  # multiplied one by one, as the original does: the last bit agrees
        rate *= settings.rate_drop
    return rate


def _along_cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


def train_network(
    network: Network,
    data: TrainingData,
    settings: TrainingSettings,
    seed: int,
    checkpoint: Optional["Checkpoint"] = None,
    monitor: Optional[Monitor] = None,
    verbose: bool = False,
    catching: Catching = not_catching,
) -> List[Dict[str, Any]]:
    """Train to the last epoch, from the checkpoint where there is one.

    Parameters
    ----------
    network : Network
        With its initial weights.
    data : TrainingData
        Already scaled.
    settings : TrainingSettings
        Epochs, batches and rates.
    seed : int
        Fixes the order of the stamps, their transforms and the dropped features.
    checkpoint : Checkpoint, optional
        Written after each epoch and once a minute; without it nothing is kept.
    monitor : callable, optional
        From labels (M,) and scores (M,) of the validation stamps to named numbers for the history.
    verbose : bool
        Show a bar, and a line an epoch, on stderr.
    catching : callable, optional
        Gives a context in which signals are collected instead of ending the process; by default none are.

    Returns
    -------
    list of dict
        One row an epoch: epoch, loss (mean over the stamps), learning_rate (of its last step), seconds, and
        validation_* where there are validation stamps.

    Raises
    ------
    UserError
        If no batch can be filled, a class is missing, or the checkpoint is of another training.
    Interrupted
        Once a signal is collected: after the step under way, the checkpoint written.
    """
    _check_data(data, settings)
    progress = Progress()
    if checkpoint:
        network.get_weights(training_state=True)  # builds what a checkpoint holds before signals are caught
        progress = checkpoint.load(network) or progress
    n_steps = count_steps(len(data.labels), settings.batch_size, settings.drop_tail)
    total, done = settings.epochs * n_steps, progress.epoch * n_steps + progress.step
    with catching() as caught, progress_bar("training", total, "step", done, shown=verbose) as bar:

        def after_step() -> None:
            bar.update()
            loss = progress.loss_sum / min(progress.step * settings.batch_size, len(data.labels))
            bar.set_postfix(epoch=progress.epoch + 1, loss=f"{loss:.4f}", refresh=False)
            stopping = bool(caught) and progress.step < n_steps
            if checkpoint and (stopping or checkpoint.due()):
                checkpoint.save(network, progress)
            if stopping:
                raise Interrupted(caught[0], _what_is_kept(checkpoint))

        while progress.epoch < settings.epochs and not _stalled(progress, settings):
            row = _train_epoch(network, data, settings, seed, progress, monitor, after_step)
            best = progress.best_weights
            if settings.patience and _is_best(row, progress.history):
                best = network.get_weights()
            progress = Progress(epoch=progress.epoch + 1, history=[*progress.history, row], best_weights=best)
            if verbose:
                bar.write(_describe(row, settings.epochs), file=sys.stderr)
            if checkpoint:
                checkpoint.save(network, progress)
            if caught and progress.epoch < settings.epochs:
                raise Interrupted(caught[0], _what_is_kept(checkpoint))
    if progress.best_weights:
        network.set_weights(progress.best_weights)
    return progress.history


def _train_epoch(
    network: Network,
    data: TrainingData,
    settings: TrainingSettings,
    seed: int,
    progress: Progress,
    monitor: Optional[Monitor],
    after_step: Callable[[], None],
) -> Dict[str, Any]:
    """Take the steps of an epoch that are left, score the validation stamps, and return its row of the history."""
    labels = data.labels.astype(np.float32)
    n_steps = count_steps(len(labels), settings.batch_size, settings.drop_tail)
    rate, since = learning_rate_at(progress.epoch, settings, n_steps - 1, n_steps), time.monotonic()
    batches = draw_batches(len(labels), settings.batch_size, seed, progress.epoch, settings.drop_tail, progress.step)
    for step, rows, random_state in batches:
        stamps = make_batch(data.stamps[rows], random_state, settings.augmented, settings.interpolation)
        rate = learning_rate_at(progress.epoch, settings, step, n_steps)
        progress.loss_sum += network.train_step(stamps, labels[rows], rate, random_state) * len(rows)
        progress.step = step + 1
        now = time.monotonic()
        progress.seconds, since = progress.seconds + now - since, now
        after_step()
    n_seen = min(n_steps * settings.batch_size, len(labels))
    row = {"epoch": progress.epoch + 1, "loss": progress.loss_sum / n_seen, "learning_rate": rate}
    row.update(_validate(network, data, monitor))
    row["seconds"] = round(progress.seconds + time.monotonic() - since, 3)
    return row


def _what_is_kept(checkpoint: Optional["Checkpoint"]) -> str:
    return "the same command continues from the checkpoint" if checkpoint else "nothing is kept"


def _is_best(row: Dict[str, Any], history: List[Dict[str, Any]]) -> bool:
    """Whether no epoch before had as low a loss on the validation stamps."""
    return all(row["validation_loss"] < earlier["validation_loss"] for earlier in history)


def _stalled(progress: Progress, settings: TrainingSettings) -> bool:
    """Whether patience has run out; a training continued from its end has stalled before."""
    if not settings.patience or not progress.history:
        return False
    losses = [row["validation_loss"] for row in progress.history]
    return len(losses) - 1 - losses.index(min(losses)) >= settings.patience


def predict_in_batches(network: Network, stamps: np.ndarray, verbose: bool = False) -> np.ndarray:
    """Score stamps, float32 (N, bands, H, W), 128 at a time: probabilities float64 (N,)."""
    scores = np.empty(len(stamps))
    with progress_bar("scoring", len(stamps), "stamp", shown=verbose) as bar:
        for start in range(0, len(stamps), PREDICT_BATCH):
            part = slice(start, start + PREDICT_BATCH)
            scores[part] = network.predict(np.ascontiguousarray(stamps[part]))
            bar.update(len(scores[part]))
    return scores


class Checkpoint:
    """The file from which a stopped training goes on to the same weights.

    Parameters
    ----------
    path : str or Path
        An ``.npz`` file; replaced as a whole, so the last good one survives a failed write.
    settings, seed, data
        What the training stands on; a checkpoint of another is refused.  The stamps are to be in counts: once
        scaled, they may differ in the last bits between the interpreters that continue each other's trainings.
    seconds_between : float
        Least time between two checkpoints within an epoch.
    """

    def __init__(
        self,
        path: Union[str, Path],
        settings: TrainingSettings,
        seed: int,
        data: TrainingData,
        seconds_between: float = 60.0,
    ) -> None:
        self.path, self.seconds_between = Path(path), seconds_between
        self.settings = asdict(settings)
        digest = hashlib.sha256(json.dumps([asdict(settings), seed], sort_keys=True).encode())
        digest.update(np.ascontiguousarray(data.stamps).tobytes())
        digest.update(np.ascontiguousarray(data.labels).tobytes())
        self.fingerprint = digest.hexdigest()
        self._written = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._written >= self.seconds_between

    def save(self, network: Network, progress: Progress) -> None:
        """Write network, optimiser and progress.

        Raises
        ------
        UserError
            If the file cannot be written; the one before stays.
        """
        about = {"fingerprint": self.fingerprint, "settings": self.settings}
        header = json.dumps({**about, **asdict(replace(progress, best_weights={}))})
        best = {f"{_BEST}{name}": values for name, values in progress.best_weights.items()}
        arrays = {"__header__": np.array(header), **best, **network.get_weights(training_state=True)}
        try:
            write_arrays(self.path, arrays)
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}; the checkpoint before it is kept, "
                "and the same command continues from there once there is room"
            ) from error
        self._written = time.monotonic()

    def load(self, network: Network) -> Optional[Progress]:
        """Put the network back to where the checkpoint was written; ``None`` where there is none.

        Raises
        ------
        UserError
            If the file is damaged or of another training.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                header = json.loads(str(stored["__header__"]))
                weights = {name: stored[name] for name in stored.files if name != "__header__"}
            best = {name[len(_BEST) :]: weights.pop(name) for name in [*weights] if name.startswith(_BEST)}
            fingerprint, settings = header.pop("fingerprint"), header.pop("settings", {})
            progress = replace(Progress(**header), best_weights=best)
        except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
            raise UserError(f"{self.path} is not a checkpoint of ours ({error}); remove it to start anew") from error
        if fingerprint != self.fingerprint:
            raise UserError(f"{self.path} belongs to a training {self._tell_apart(settings)}; choose another folder")
        network.set_weights(weights)
        return progress

    def _tell_apart(self, stored: Dict[str, Any]) -> str:
        """Say what differs from the training that wrote the checkpoint, which kept no settings in older versions."""
        if not stored:
            return f"of an older version, which had no {' and no '.join(NEW_SETTINGS)}"
        changed = [key for key in self.settings if stored.get(key) != self.settings[key]]
        if changed:
            return "with another " + ", ".join(f"{key}: {stored.get(key)}, not {self.settings[key]}" for key in changed)
        return "with another seed or other data"


def _check_data(data: TrainingData, settings: TrainingSettings) -> None:
    n_stamps, n_lenses = len(data.labels), int(np.sum(data.labels))
    if settings.patience and len(data.validation_labels) == 0:
        raise UserError("patience needs validation stamps to watch; add stamps, or leave it at 0")
    if n_lenses in (0, n_stamps):
        kind = "lenses" if n_lenses else "non-lenses"
        raise UserError(f"training needs both classes, got {n_stamps} stamps, all {kind}; add the other class")
    if settings.drop_tail and settings.batch_size > n_stamps:
        raise UserError(
            f"no batch of {settings.batch_size} can be filled from {n_stamps} training stamps; "
            "lower `batch_size` or add stamps"
        )


def _validate(network: Network, data: TrainingData, monitor: Optional[Monitor]) -> Dict[str, Any]:
    labels = data.validation_labels
    if len(labels) == 0:
        return {}
    scores = predict_in_batches(network, data.validation_stamps)
    named: Dict[str, Optional[float]] = {"loss": clipped_loss(labels, scores)}
    named["accuracy"] = float(np.mean((scores > 0.5) == labels))
    named.update(monitor(labels, scores) if monitor else {})
    return {f"validation_{key}": value for key, value in named.items()}


def clipped_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """Keras' clipped binary cross-entropy of the outputs non-lens and lens, from the score of the lens alone.

    The scores of some networks are 0 or 1 to the last digit.  Clipped in float32, a wrong stamp then costs 16.0302,
    the mean of -log(1e-7) and of -log(2^-23), which is what float32 leaves of 1 - (1 - 1e-7).

    Parameters
    ----------
    labels : bool array (N,)
        True for a lens.
    scores : float array (N,)
        In [0, 1].

    Returns
    -------
    float
        Mean over the stamps, from 0 to 16.0302.
    """
    lens = np.asarray(scores, np.float32)
    low, high = np.float32(1e-7), np.float32(1 - 1e-7)
    of_truth = np.clip(np.where(labels, lens, 1 - lens), low, high)
    of_other = np.clip(np.where(labels, 1 - lens, lens), low, high)
    return float(-(np.log(of_truth) + np.log(1 - of_other)).mean(dtype=np.float64) / 2)


def _describe(row: Dict[str, Any], epochs: int) -> str:
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['loss']:.4f}", f"rate {row['learning_rate']:.1e}"]
    parts += [
        f"{key[len('validation_') :]} {value:.3f}"
        for key, value in row.items()
        if key.startswith("validation_") and value is not None
    ]
    return "  ".join([*parts, f"{row['seconds']:.0f} s"])
