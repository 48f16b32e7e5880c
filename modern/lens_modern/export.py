"""A trained run as one ONNX file, from counts to probabilities, for those without this project."""

import argparse
import importlib
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lens_common.cli.outputs import add_out
from lens_common.data.noise import SIGMA_PER_MAD
from lens_common.errors import UserError
from lens_common.files import replacing
from lens_common.learning import scaling as scalings
from lens_common.learning.classifier import LensClassifier
from lens_common.learning.protocol import NetworkShape
from lens_common.runs import read_config

N_CHECKED = 64
CLIP_SIGMA, CLIPPINGS = 3.0, 5  # of astropy's sigma_clipped_stats
TOLERANCE = 1e-5  # of a probability; float32 sums in another order differ by about 1e-7
PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def add_verb(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``export`` to a command line; see `lens_common.cli.build_parser`."""
    exported = verb("export", "write a trained network as one ONNX file", "runs/cnn --out cnn.onnx", export)
    exported.add_argument("run", metavar="RUN", help="run directory of a training")
    add_out(exported, "from stamps in counts to the probability of a lens", [".onnx"])


def export(backend: ModuleType, options: argparse.Namespace) -> None:
    """Write scaling and network of a run as ONNX, once onnxruntime has given the same scores as torch.

    Raises
    ------
    UserError
        If the run is damaged, a package is missing, the scaling has no form in ONNX, or a
        probability differs by more than `TOLERANCE`.  No file is written then.
    """
    out = Path(options.out)
    onnx, onnxruntime = _import_packages()
    backend.prepare(device="cpu")  # what onnxruntime is compared with
    classifier = LensClassifier.of(backend).load(options.run)
    stamps = draw_stamps(classifier.shape_)
    expected = classifier.predict_proba(stamps)[:, 1]
    config = read_config(options.run)
    scorer = Scorer(classifier.network_, classifier.scaling_)
    model = _to_onnx(scorer, torch.from_numpy(stamps[:2]))
    model.doc_string = (
        "Input: stamps in counts, finite, float32 (N, bands, side, side), any N. "
        "Output: probability that each holds a lens, float32 (N,)."
    )
    about = {"model": config["model"], "model_hash": classifier.model_hash_, "bands": json.dumps(config["bands"])}
    onnx.helper.set_model_props(model, {**about, "scaling": json.dumps(config["scaling"]), "input_unit": "counts"})
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out, "wb") as file:
        file.write(model.SerializeToString())
        file.flush()
        difference = _largest_difference(onnxruntime.InferenceSession(file.name), stamps, expected)
        if not difference <= TOLERANCE:
            raise UserError(
                f"onnxruntime and torch differ by {difference:.1e} in a probability, {TOLERANCE:.0e} is allowed; "
                f"{out} is not written; train the run further, or use `score`"
            )
    print(f"{out}: onnxruntime and torch differ by {difference:.1e} at most, over {N_CHECKED} stamps")


class Scorer(nn.Module):
    """Scaling, network and the last sigmoid or softmax of a run, in one graph.

    Parameters
    ----------
    network : Network
        Trained, of this framework.
    scaling : Scaling
        Fitted.

    Raises
    ------
    UserError
        If the scaling has no form in torch.
    """

    def __init__(self, network: Any, scaling: scalings.Scaling) -> None:
        super().__init__()
        if type(scaling) not in SCALED:
            name = scalings.scaling_to_dict(scaling)["name"]
            raise UserError(f"the scaling {name} cannot be written as ONNX; use `score` instead")
        # Not self.graph: the exporter has a graph of its own under that name.
        self.layers, self.network, self.scaling, self.scale = network.graph, network, scaling, SCALED[type(scaling)]

    def forward(self, stamps: Tensor) -> Tensor:
        """Counts (N, bands, H, W) to the probability of a lens (N,)."""
        with torch.no_grad():
            return self.network.probability(self.scale(self.scaling, stamps))


def draw_stamps(shape: NetworkShape) -> np.ndarray:
    """Draw stamps to compare scores on: sky noise of 4 counts, and a source of 0 to 300 counts in the middle.

    Returns
    -------
    float32 array (64, bands, side, side)
        Counts.
    """
    random_state = np.random.RandomState(0)
    offset = np.arange(shape.side) - (shape.side - 1) / 2
    source = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 2.5**2))  # (H, W), 2.5 pixels wide
    sky = random_state.normal(0, 4, (N_CHECKED, shape.n_bands, shape.side, shape.side))
    return (sky + np.linspace(0, 300, N_CHECKED)[:, None, None, None] * source).astype(np.float32)


def _sigma(scaling: Any, stamps: Tensor) -> Tensor:
    return _over_noise(stamps).clamp(scaling.low, scaling.high)


def _sky_sigma(scaling: Any, stamps: Tensor) -> Tensor:
    return _sigma(scaling, _without_sky(stamps))


def _without_sky(stamps: Tensor) -> Tensor:
    return (stamps.double() - _sky(stamps)).to(stamps.dtype)


def _sign_clip(scaling: Any, stamps: Tensor) -> Tensor:
    clipped = stamps.clamp(-scaling.limit, scaling.limit) / scaling.limit * scaling.scale
    return torch.where(stamps == scaling.masked, 0.0, clipped)


def _deeplens(scaling: Any, stamps: Tensor) -> Tensor:
    mean, noise = (stamps.new_tensor(values)[:, None, None] for values in (scaling.mean, scaling.noise))
    return ((stamps - mean) / noise).clamp(-scaling.limit, scaling.limit)


# What `transform` of each scaling does in NumPy, in torch.
SCALED: dict[type, Callable[[Any, Tensor], Tensor]] = {
    scalings.Raw: lambda scaling, stamps: stamps,
    scalings.Sigma: _sigma,
    scalings.SkySigma: _sky_sigma,
    scalings.Arcsinh: lambda scaling, stamps: _over_noise(stamps).asinh(),
    scalings.SkyArcsinh: lambda scaling, stamps: _over_noise(_without_sky(stamps)).asinh(),
    scalings.SignClip: _sign_clip,
    scalings.DeepLens: _deeplens,
}


def _over_noise(stamps: Tensor) -> Tensor:
    pixels = stamps.flatten(2)  # (N, bands, H * W)
    noise = SIGMA_PER_MAD * _median((pixels - _median(pixels)).abs())
    return stamps / torch.where(noise > 0, noise, 1.0)[:, :, :, None]


def _sky(stamps: Tensor) -> Tensor:
    """`lens_common.data.noise.sky_of`, (N, bands, 1, 1) in float64; what is kept of sorted pixels lies side by side."""
    ordered = stamps.flatten(2).double().sort(dim=2).values
    kept = torch.ones_like(ordered)  # 1 or 0
    for _ in range(CLIPPINGS):
        middle, mean = _kept_median(ordered, kept), (ordered * kept).sum(2, keepdim=True) / kept.sum(2, keepdim=True)
        spread = (((ordered - mean) ** 2 * kept).sum(2, keepdim=True) / kept.sum(2, keepdim=True)).sqrt()
        kept = kept * ((ordered - middle).abs() <= CLIP_SIGMA * spread)
    return _kept_median(ordered, kept)[:, :, :, None]


def _kept_median(ordered: Tensor, kept: Tensor) -> Tensor:
    n_kept = kept.sum(2, keepdim=True).long()
    first = (kept.cumsum(2) == 0).sum(2, keepdim=True)
    return (ordered.gather(2, first + (n_kept - 1) // 2) + ordered.gather(2, first + n_kept // 2)) / 2


def _median(pixels: Tensor) -> Tensor:
    """NumPy's median, (N, bands, 1): torch's own takes the lower of the middle two, and ONNX has none."""
    ordered, n_pixels = pixels.sort(dim=2).values, pixels.shape[2]
    return (ordered[:, :, (n_pixels - 1) // 2, None] + ordered[:, :, n_pixels // 2, None]) / 2


def _import_packages() -> tuple[Any, Any]:
    try:
        onnx, onnxruntime, _ = (importlib.import_module(name) for name in PACKAGES)
    except ImportError as error:
        raise UserError(f"export needs {', '.join(PACKAGES)}: {error}; pip install 'lens-modern[export]'") from error
    return onnx, onnxruntime


def _to_onnx(scorer: Scorer, example: Tensor) -> Any:
    """The graph as an ONNX model for any number of stamps, its weights inside."""
    scorer = scorer.cpu().float().eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            scorer,
            (example,),
            input_names=["stamps"],
            output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # where each line of code lay on this machine
    return model


def _largest_difference(session: Any, stamps: np.ndarray, expected: np.ndarray) -> float:
    """Of the probabilities of all stamps at once, and of the first alone."""
    together = session.run(None, {"stamps": stamps})[0]
    alone = session.run(None, {"stamps": stamps[:1]})[0]
    return float(np.abs(np.concatenate([together - expected, alone - expected[:1]])).max())
