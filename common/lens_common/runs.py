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

import csv
import hashlib
import json
import os
import platform
import subprocess
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

import numpy as np

from . import __version__
from .data.decoding import Rejection
from .errors import UserError
from .files import replacing
from .learning.training import TrainingSettings

RUN_FORMAT = 1
# Run directories of the networks that come with this package, by model; see docs/model-card.md.
SHIPPED = Path(__file__).parent / "shipped"
PACKAGES = ("numpy", "scipy", "astropy", "scikit-learn", "matplotlib")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, indented, as a whole or not at all; NaN is refused."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Optional[Sequence[str]] = None) -> None:
    """Write rows as CSV, as a whole or not at all; the rows name the columns unless these are given."""
    if columns is None:
        rows = list(rows)
    names = list(columns or dict.fromkeys(key for row in rows for key in row))
    with replacing(path) as file:
        writer = csv.DictWriter(file, names, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)


def read_csv(path: Path) -> List[Dict[str, str]]:
    """Rows of a CSV file as dicts of strings."""
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


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
    """Training settings of a run; one that could not be chosen when it was written has the value that it had then."""
    settings = dict(config["settings"])
    settings.setdefault("interpolation", "linear" if settings.get("augmented") else "nearest")
    return TrainingSettings(**settings)


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


def read_config(run: Union[str, Path]) -> Dict[str, Any]:
    """Settings of a run.

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
    return config


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
        "cores": len(os.sched_getaffinity(0)),
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
