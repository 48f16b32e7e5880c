"""Run a port over stored batches in a process of its own, and write down what it computes.

``python -m lens_modern.exercise.recording FOLDER NETWORK BATCHES.npz OUT.npz SEED``: FOLDER holds the package ``port``.
"""

import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lens_common.learning.protocol import NetworkShape
from lens_common.learning.recording import record_training

from .comparison import ORDER

CLASSES = {"resnet": "ResNet", "cnn": "CNN"}
N_STEPS = 10


def layers_of(network: Any, stamps: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs, in evaluation, of every layer with a canonical name; of the CNN, its probability of a lens as well.

    Parameters
    ----------
    network : Network
        A ResNet or a CNN in PyTorch.
    stamps : float array (N, bands, H, W)
        Scaled.
    """
    floats = torch.tensor(stamps, dtype=torch.get_default_dtype())
    if hasattr(network, "conv"):
        with torch.no_grad():
            convolved = torch.relu(network.conv(floats))
            layers = {"conv": convolved.numpy(), "pool": network._pool(convolved).numpy()}
        return {**layers, "prediction": network.predict(stamps)}
    caught: dict[str, np.ndarray] = {}
    handles = [
        module.register_forward_hook(lambda module, given, output, name=name: caught.update({name: output.numpy()}))
        for name, module in network.graph.named_modules()
    ]
    with torch.inference_mode():
        network.graph.eval()(floats)
    for handle in handles:
        handle.remove()
    return caught


def record_port(name: str, batches: str, seed: int) -> dict[str, np.ndarray]:
    """Record the package ``port`` in float64."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    with np.load(batches) as stored:
        stamps, labels = stored["stamps"], stored["labels"]
    cls = getattr(importlib.import_module(f"port.{name}"), CLASSES[name])
    network = cls(NetworkShape(stamps.shape[2], stamps.shape[3]), seed)
    augmenter = importlib.import_module("port.augmentation").augment
    return record_training(network, stamps, labels, layers_of, N_STEPS, saturate=name == "cnn", augmenter=augmenter)


def explain(error: Exception, folder: Path) -> str:
    """One line on an error: its place in the port, its kind, its message."""
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == folder]
    place = f"{Path(places[-1].filename).name}, line {places[-1].lineno}: " if places else ""
    return f"{place}{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def main(arguments: list[str]) -> None:
    """Write the record; or beside it, as JSON, what stopped the port."""
    folder, name, batches, out, seed = arguments
    sys.path.insert(0, folder)
    try:
        record = record_port(name, batches, int(seed))
    except Exception as error:
        Path(out).with_suffix(".json").write_text(json.dumps(explain(error, Path(folder) / "port")))
        return
    compared = {name: values for name, values in record.items() if name.partition("/")[0] in ORDER}
    np.savez(out, **compared)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
