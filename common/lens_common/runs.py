"""Run directories: all that a training leaves behind, readable years later without the code that wrote it.

=================  =========================================================
config.json        format, model, framework, settings, scaling, data, defects
environment.json   versions, commit, data hash, hardware; peak memory
history.csv        one row an epoch
weights.npz        canonical weights
checkpoint.npz     network, optimiser and progress, to go on from
stamps.csv         id, path, fold, is_lens and digest of each stamp
rejected.csv       files that were set aside or repaired
scores.csv, .json  scores of the validation and test folds
metrics.json       metrics of the test fold, or of the validation stamps where none was kept
=================  =========================================================
"""

import hashlib
import json
import logging
import math
import os
import platform
import subprocess
from dataclasses import MISSING, asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Union, get_type_hints

import numpy as np

from ._version import __version__
from .data.decoding import Rejection
from .data.domain import NOISE_QUANTILES, Domain
from .data.layout import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG, parse_name
from .errors import UserError
from .files import read_csv, write_csv
from .learning.training import TrainingSettings
from .memory import usable_cores
from .mocks.prior import PRIOR

LOG = logging.getLogger(__name__)

RUN_FORMAT = 1
STAMP_COLUMNS = ("id", "path", "fold", "is_lens", "digest")
# Sky levels of 2,000 mocks of the prior lsst-2017 (seed 1), which runs older than this entry were trained on.
SKY_OF_MOCKS, RESIDUAL_OF_MOCKS = (-0.018, 0.096, 0.299), 0.087
# Run directories of the networks that come with this package, by model; see docs/model-card.md.
SHIPPED = Path(__file__).parent / "shipped"
# Networks that shipped earlier, by `model_hash`; they had learned from lsst-2017 alone.
REPLACED = {
    "8293bf5fb4845b90c0b723bfefd7eee6447bf0b3917ef886e7b587f8fbeba0ee": "resnet",
    "25ca83c935716f50e730130a1841c2872bad7488e7f75e3983e4d38cda7c9325": "cnn",
    "f82dc483c84988951ff6f92988d966d570894e5f8d0cb4df0fc82d5032269253": "cnn",
}
# Metrics that every run has stored since format 1; others came later, and are computed from the scores.
FIRST_METRICS = (
    *("auroc", "auroc_low", "auroc_high", "auroc_level", "accuracy", "completeness", "purity", "contamination"),
    *("false_positive_rate", "tpr_at_fpr_0.01", "tpr_at_fpr_0.001", "threshold"),
    *("n_stamps", "n_lenses", "n_non_lenses"),
    *("true_positives", "false_positives", "true_negatives", "false_negatives"),
)
# What stands in config.json, where it does.
CONFIG_TYPES: Dict[str, type] = {
    **dict.fromkeys(("seed", "shape.n_bands", "shape.side"), int),
    **dict.fromkeys(("model", "mode", "preset", "data.folder", "data.hash", "scaling.name"), str),
    **dict.fromkeys(("settings", "data", "shape", "scaling"), dict),
    **dict.fromkeys(("defects", "bands", "data.noise", "data.sky", "data.chosen_bands"), list),
}
SETTING_TYPES = get_type_hints(TrainingSettings)
PACKAGES = ("numpy", "scipy", "astropy", "scikit-learn", "matplotlib")


def write_rejected(path: Path, rejected: Iterable[Rejection]) -> None:
    """Write ``rejected.csv``: id, path, action, n_nonfinite, reason."""
    write_csv(path, (asdict(row) for row in rejected), [*Rejection.__dataclass_fields__])


def load_weights(path: Path) -> Dict[str, np.ndarray]:
    """Read canonical weights.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise UserError(f"cannot read the weights {path}: {error}; train again or take the file from a copy") from error


def read_settings(config: Mapping[str, Any]) -> TrainingSettings:
    """Training settings of a run, from what `read_config` gives."""
    return TrainingSettings(**config["settings"])


def check_pooling(run: Union[str, Path], config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Refuse a ResNet that pooled its last map in windows of 3x3, which left several of them from 49 pixels up.

    Raises
    ------
    UserError
        Naming the pooling; one pooled value a filter is left today, as in CMU DeepLens.
    """
    dense, last = weights.get("dense.weight"), weights.get("stage5.unit3.conv3.bias")
    if config["model"] != "resnet" or dense is None or last is None or dense.ndim != 2:
        return
    n_inputs, n_filters = dense.shape[1], last.size
    if n_inputs > n_filters and n_inputs % n_filters == 0:
        raise UserError(
            f"{run} holds a ResNet of an older version, whose pooling took windows of 3x3 of the last map: "
            f"{n_inputs} values for {n_filters} filters; today it pools the whole map, as CMU DeepLens does. "
            "Train it again, or score with the version that trained it"
        )


def model_hash(weights: Mapping[str, np.ndarray], scaling: Mapping[str, Any]) -> str:
    """SHA-256 over the scaling and over name, shape and float32 values of each weight, by name."""
    digest = hashlib.sha256(json.dumps(scaling, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(f"{name}:{weights[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(weights[name], "<f4").tobytes())
    return digest.hexdigest()


def check_replaced(digest: Any, name: Union[str, Path]) -> None:
    """Log what has replaced a network that shipped earlier, where `name` is such a one or was scored by it.

    Parameters
    ----------
    digest : str
        Its `model_hash`, as it is known; anything else is of no such network.
    name : str or Path
        For the sentence.
    """
    model = REPLACED.get(str(digest))
    if model:
        LOG.warning(
            f"{name} belongs to the {model} that shipped earlier ({digest[:12]}), trained on lsst-2017 alone; "
            f"the {model} that ships now replaces it and ignores a constant sky: score again without `run`"
        )


def read_config(run: Union[str, Path]) -> Dict[str, Any]:
    """Settings of a run; what an older version did not write has the value that it had then.

    Raises
    ------
    UserError
        If the folder is not a run of ours, or one of a newer version.
    """
    path = Path(run) / "config.json"
    try:
        config = json.loads(path.read_text())
        written = config["format"]
        is_newer = written > RUN_FORMAT
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{run} is not a run directory: {path.name} is missing or damaged; name the --out of a training"
        ) from error
    if is_newer:
        raise UserError(
            f"{run} was written in format {written}, by version {config.get('version', 'unknown')}; "
            f"this version reads up to format {RUN_FORMAT}: update lens-twins"
        )
    config = _with_defaults(config)
    _check_types(path, config, CONFIG_TYPES)
    unknown = [name for name in config.get("settings", {}) if name not in SETTING_TYPES]
    if unknown:
        raise UserError(f"{path} has a setting {unknown[0]}, which this version does not know: update lens-twins")
    _check_types(path, config.get("settings", {}), SETTING_TYPES)
    return config


def _check_types(path: Path, stored: Mapping[str, Any], types: Mapping[str, type]) -> None:
    """Refuse a file that was changed by hand to hold values of another type; a whole number may stand for a float."""
    for name, kind in types.items():
        value: Any = stored
        for key in name.split("."):
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
        is_one = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (
            kind is bool
        )
        if value is not MISSING and not is_one:
            raise UserError(f"{path} lacks a good {name}; take it from a copy of the run")


def _with_defaults(config: Dict[str, Any]) -> Dict[str, Any]:
    """Fill in what could not be chosen yet when a run was written."""
    settings = config.get("settings")
    if isinstance(settings, dict):
        then = {"interpolation": "linear" if settings.get("augmented") else "nearest"}
        now = {name: field.default for name, field in TrainingSettings.__dataclass_fields__.items()}
        known = {name: value for name, value in {**now, **then}.items() if value is not MISSING}
        config["settings"] = {**known, **settings}
    return {"mode": "faithful", "bands": [], **config}


def read_domain(run: Union[str, Path]) -> Domain:
    """Read what a run says of the stamps that it was trained on.

    A run older than these entries had, if all its stamps are named as those of 2018 are, their
    pixel scale and zero-point, and else unknown ones; its noise is taken to be that of the mocks.

    Raises
    ------
    UserError
        If the folder is not a run of ours.
    """
    config = read_config(run)
    data = config.get("data", {})
    if "noise" not in data:
        in_layout = all(parse_name(row["path"].rsplit("/", 1)[-1]) for row in read_stamps(run))
        scale = {"pixel_scale_arcsec": PIXEL_SCALE_ARCSEC, "zero_point_mag": ZERO_POINT_MAG} if in_layout else {}
        noise = np.interp(NOISE_QUANTILES, PRIOR.sky_sigma_probabilities, PRIOR.sky_sigma_quantiles_counts)
        data = {**scale, "noise": noise}
    return Domain(
        **config["shape"],
        pixel_scale_arcsec=data.get("pixel_scale_arcsec") or math.nan,
        zero_point_mag=data.get("zero_point_mag") or math.nan,
        noise=tuple(data["noise"]),
        sky=tuple(data.get("sky", SKY_OF_MOCKS)),
        residual_sky=data.get("residual_sky", RESIDUAL_OF_MOCKS),
        scaling=config.get("scaling", {}).get("name", ""),
        bands=tuple(config["bands"]),
    )


def read_stamps(run: Union[str, Path]) -> List[Dict[str, str]]:
    """Rows of a run's ``stamps.csv``: id, path, fold, is_lens, digest; none where it knows no stamp by name."""
    path = Path(run) / "stamps.csv"
    return read_csv(path) if path.exists() else []


def shipped_run(model: str) -> Path:
    """Run directory of the network that ships with the package.

    Raises
    ------
    UserError
        If none of this name ships.
    """
    names = shipped_names()
    if model not in names:
        raise UserError(f"no network named {model!r} ships with the package; choose one of {', '.join(names)}")
    return SHIPPED / model


def shipped_names() -> List[str]:
    """Names of the networks that ship with the package, the default first."""
    names = sorted(path.parent.name for path in SHIPPED.glob("*/config.json"))
    return sorted(names, key=lambda name: name != "resnet")


def is_shipped(run: Union[str, Path]) -> bool:
    """Whether a run directory is that of a network that ships with the package."""
    return Path(run).parent == SHIPPED


def check_model(run: Union[str, Path], model: Optional[str]) -> None:
    """Refuse a run of another model than the one that was asked for; None asks for none.

    Raises
    ------
    UserError
        Naming both, or if the folder is not a run of ours.
    """
    found = read_config(run)["model"]
    if model and model != found and Path(run) != SHIPPED / model:
        raise UserError(f"{run} holds a {found}, not a {model}; leave out `model` or name another run")


def read_environment(run: Union[str, Path]) -> Dict[str, Any]:
    """Versions and hardware of a run; nothing where they are missing or damaged, as none of the results need them."""
    try:
        found = json.loads((Path(run) / "environment.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def describe_environment(framework: Mapping[str, Any]) -> Dict[str, Any]:
    """Versions, commit and hardware, for a run's ``environment.json``.

    Parameters
    ----------
    framework : dict
        What the twin's ``backend.describe`` says.
    """
    return {
        "lens-common": __version__,
        "commit": _commit(),
        "framework": dict(framework),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> Optional[str]:
    """Commit of the checkout that this file lies in, ``+`` behind it where files were changed."""
    folder = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None if described.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
