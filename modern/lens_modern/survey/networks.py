"""A trained network as OpenVINO runs it: float32 as exact as torch and faster, or in bfloat16."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch

from lens_common.errors import UserError
from lens_common.files import cache_folder, exclusive, replacing
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.scaling import Raw
from lens_common.scores.metrics import auroc

from ..export import Scorer

BATCH = 32  # stamps; of one shape, so that a stamp's score does not depend on its neighbours
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
# What a reduced precision may move: a score, and the AUROC of stamps with labels.
MOST_SCORE, MOST_AUROC = 0.01, 0.001


def write_network(path: Path, estimator: LensClassifier, name: str) -> None:
    """Convert a network, less its scaling, for `CompiledNetwork`.

    Parameters
    ----------
    path : Path
        Ends in ``.xml``; the weights, float32, go into a ``.bin`` beside it.
    estimator : LensClassifier
        Restored in torch, on the CPU.
    name : str
        Hash of the weights, under which the conversion is kept for the next time.
    """
    kept = cache_folder("networks") / f"{name[:16]}-{BATCH}-{openvino.__version__[:8]}"
    with exclusive(kept.with_suffix(".lock"), wait=True):
        if not kept.exists():
            stamp = (estimator.shape_.n_bands, estimator.shape_.side, estimator.shape_.side)
            scorer = Scorer(estimator.network_, Raw()).float().eval()
            with torch.inference_mode():
                traced = torch.jit.trace(scorer, torch.zeros(2, *stamp), check_trace=False)
            converted = openvino.convert_model(traced, input=[BATCH, *stamp])
            building = kept.with_suffix(".partial")
            openvino.save_model(converted, building / "network.xml", compress_to_fp16=False)
            os.replace(building, kept)
    for ending in (".bin", ".xml"):  # whoever sees the .xml finds the weights
        with replacing(path.with_suffix(ending), "wb") as file:
            file.write((kept / f"network{ending}").read_bytes())


class CompiledNetwork:
    """A network that `write_network` wrote, compiled for this processor; computes on one core.

    Parameters
    ----------
    path : Path
        The ``.xml``.
    precision : {"float32", "bfloat16"}
        Of convolutions and matrix products.

    References
    ----------
    docs.openvino.ai, "Precision Control": float32 is only computed in where it is asked for.
    """

    def __init__(self, path: Path, precision: str) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # else the threads of all workers are bound to the same core
        }
        self._request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()
        self._batch = np.zeros(tuple(self._request.model_inputs[0].shape), np.float32)

    def predict(self, stamps: np.ndarray) -> np.ndarray:
        """Probability that each stamp holds a lens, (N,) in [0, 1]; N at will, the last batch is filled up."""
        scores = np.empty(len(stamps), np.float32)
        size = len(self._batch)
        for start in range(0, len(stamps), size):
            part = stamps[start : start + size]
            self._batch[: len(part)] = part
            self._request.infer(self._batch, share_inputs=True)
            scores[start : start + size] = self._request.get_output_tensor(0).data[: len(part)]
        return scores


def check_precision(exact: Any, reduced: Any, stamps: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """See what a reduced precision does to scores before it is used.

    Parameters
    ----------
    exact, reduced : object with ``predict``
        Networks.
    stamps : float32 array (N, bands, H, W)
        Scaled.
    labels : int array (N,)
        1 lens, 0 non-lens, -1 unknown.

    Returns
    -------
    dict
        ``n_stamps``, ``largest_score_difference`` and, where both classes are there, ``auroc_difference``.

    Raises
    ------
    UserError
        If either is more than may be.
    """
    scores = [network.predict(stamps) for network in (exact, reduced)]
    found = {"n_stamps": len(stamps), "largest_score_difference": float(np.abs(scores[1] - scores[0]).max())}
    known = labels >= 0
    if {0, 1} <= set(labels[known].tolist()):
        areas = [auroc(labels[known] == 1, values[known]) for values in scores]
        found["auroc_difference"] = abs(areas[1] - areas[0])
    if found["largest_score_difference"] > MOST_SCORE or found.get("auroc_difference", 0) > MOST_AUROC:
        raise UserError(
            f"in the reduced precision a score of {len(stamps)} stamps moves by "
            f"{found['largest_score_difference']:.2g} and the AUROC by {found.get('auroc_difference', 0):.2g}; "
            f"{MOST_SCORE} and {MOST_AUROC} are allowed: leave out --precision"
        )
    return found
