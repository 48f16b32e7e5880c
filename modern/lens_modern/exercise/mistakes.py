"""What a port from Lasagne or Keras to PyTorch gets wrong: each mistake as an edit of our own sources.

The parity tests plant every one of them and demand to see it; `sealing` plants some in what a student gets.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Modules that hold what a port consists of, each before those that import it.
SOURCES = {
    "augmentation": "lens_common.learning.augmentation",
    "initial": "lens_common.learning.initial",
    "faithful": "lens_modern.faithful",
    "losses": "lens_modern.losses",
    "cnn": "lens_modern.cnn",
    "resnet": "lens_modern.resnet",
}


@dataclass(frozen=True)
class Edit:
    """A passage of a module and what stands there instead.

    Attributes
    ----------
    module : str
        A key of `SOURCES`.
    right, wrong : str
        The passage, wherever it stands in the module, and what replaces it.
    """

    module: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Mistake:
    """A mistake, and the comparison that sees it first.

    Attributes
    ----------
    network : {"resnet", "cnn"}
    seen_by : str
        One of `comparison.ORDER`.
    edits : tuple of Edit
    """

    network: str
    seen_by: str
    edits: tuple[Edit, ...]


_FLIP = "[:, :, ::-1, ::-1]"
_STEM = "glorot_uniform(random_state, values.shape, gain=np.sqrt(2))"
_HE = "he_normal(random_state, values.shape)"
_NORM = "alpha: float = 0.1, epsilon: float = 1e-4"
_INV_STD = "self.inv_std.lerp_(inv_std.to(self.inv_std.dtype), self.alpha)"
_POOL = "nn.AvgPool2d(side, stride=1)"
_BANDS = """\
    bands = [ndimage.affine_transform(band, matrix[:2, :2], matrix[:2, 2], order=order, mode="wrap") for band in stamp]
"""
_BANDS_OF_GRID = """\
    bands = [
        ndimage.affine_transform(band, matrix[:2, :2], matrix[:2, 2], order=order, mode="grid-wrap") for band in stamp
    ]
"""
_IMPORTED = "from torch import Tensor\n"
_CLIPPED = """clipped = probabilities.clamp(1e-7, 1 - 1e-7)
    return -(one_hot * torch.log(clipped) + (1 - one_hot) * torch.log(1 - clipped)).mean(dim=1)"""

MISTAKES: dict[str, Mistake] = {
    "kernels_not_flipped": Mistake(
        "resnet",
        "initial",
        (Edit("initial", _STEM + _FLIP, _STEM), Edit("initial", _HE + _FLIP, _HE)),
    ),
    "stem_with_he": Mistake("resnet", "initial", (Edit("initial", _STEM, _HE),)),
    "he_truncated": Mistake(
        "resnet",
        "initial",
        (
            Edit(
                "initial",
                "return random_state.normal(0, np.sqrt(2) * np.sqrt(1 / np.prod(shape[1:])), shape)",
                "sigma = np.sqrt(2 / np.prod(shape[1:]))\n"
                "    return np.clip(random_state.normal(0, sigma, shape), -2 * sigma, 2 * sigma)",
            ),
        ),
    ),
    "dense_with_gain_of_relu": Mistake(
        "resnet",
        "initial",
        (Edit("initial", "values.shape[::-1]).T", "values.shape[::-1], gain=np.sqrt(2)).T"),),
    ),
    "bias_kept_before_a_norm": Mistake("resnet", "initial", (Edit("resnet", ", bias=False)", ")"),)),
    "bias_dropped_before_the_sum": Mistake(
        "resnet",
        "initial",
        (
            Edit("resnet", "nn.Conv2d(inner, outer, 1)", "nn.Conv2d(inner, outer, 1, bias=False)"),
            Edit(
                "resnet", "nn.Conv2d(incoming, outer, 1, stride)", "nn.Conv2d(incoming, outer, 1, stride, bias=False)"
            ),
        ),
    ),
    "norm_before_the_first_unit": Mistake(
        "resnet", "initial", (Edit("resnet", "activated=stage == 1", "activated=False"),)
    ),
    "elu_before_the_norm": Mistake(
        "resnet",
        "first",
        (
            Edit("resnet", "elu(self.norm1(self.conv1(entry)))", "self.norm1(elu(self.conv1(entry)))"),
            Edit("resnet", "elu(self.norm2(self.conv2(path)))", "self.norm2(elu(self.conv2(path)))"),
        ),
    ),
    "shortcut_of_the_raw_input": Mistake(
        "resnet", "first", (Edit("resnet", "self.shortcut(entry)", "self.shortcut(net)"),)
    ),
    "norm_before_the_pooling": Mistake(
        "resnet",
        "first",
        (
            Edit(
                "resnet",
                _POOL,
                f"nn.Sequential(nn.BatchNorm2d(outer, affine=False, track_running_stats=False), {_POOL})",
            ),
        ),
    ),
    "norm_epsilon_of_torch": Mistake(
        "resnet", "after1", (Edit("faithful", _NORM, "alpha: float = 0.1, epsilon: float = 1e-5"),)
    ),
    "norm_momentum_of_keras": Mistake(
        "resnet", "after1", (Edit("faithful", _NORM, "alpha: float = 0.01, epsilon: float = 1e-4"),)
    ),
    "norm_averages_the_variance": Mistake(
        "resnet",
        "after1",
        (
            Edit(
                "faithful",
                _INV_STD,
                "variance = (self.inv_std**-2).lerp_(inv_std.to(self.inv_std.dtype) ** -2, self.alpha)\n"
                "                self.inv_std.copy_(variance.rsqrt())",
            ),
        ),
    ),
    "adam_of_torch": Mistake(
        "resnet",
        "after1",
        (
            Edit(
                "faithful",
                "torch._foreach_add_(denominators, epsilon)",
                "torch._foreach_add_(denominators, epsilon * (1 - beta2 ** float(self.t)) ** 0.5)",
            ),
        ),
    ),
    "adam_faster_by_a_thousandth": Mistake(
        "resnet", "after1", (Edit("faithful", "rate = learning_rate *", "rate = 1.001 * learning_rate *"),)
    ),
    "rmsprop_of_torch": Mistake(
        "cnn",
        "after1",
        (Edit("faithful", "rho: float = 0.9, epsilon: float = 1e-7", "rho: float = 0.99, epsilon: float = 1e-8"),),
    ),
    "flattened_channels_last": Mistake(
        "cnn",
        "first",
        (Edit("cnn", "(features * mask).flatten(1)", "(features * mask).flatten(2).mT.flatten(1)"),),
    ),
    "pooling_of_torch": Mistake(
        "cnn",
        "after1",
        (Edit("cnn", "return max_pool(maps, 4)", "return torch.nn.functional.max_pool2d(maps, 4)"),),
    ),
    "loss_clipped_as_torch_does": Mistake(
        "cnn",
        "saturated",
        (
            Edit(
                "losses",
                f"{_IMPORTED}\n",
                f"{_IMPORTED}from torch.nn.functional import binary_cross_entropy\n\n",
            ),
            Edit(
                "losses", _CLIPPED, 'return binary_cross_entropy(probabilities, one_hot, reduction="none").mean(dim=1)'
            ),
        ),
    ),
    "augmentation_wraps_at_the_side": Mistake("cnn", "augmented", (Edit("augmentation", _BANDS, _BANDS_OF_GRID),)),
}


def edited_source(module: str, edits: Sequence[Edit] = ()) -> str:
    """Source of a module with edits in it.

    Parameters
    ----------
    module : str
        A key of `SOURCES`.
    edits : sequence of Edit
        Those of other modules are passed over.

    Raises
    ------
    ValueError
        If the source no longer holds what an edit replaces.
    """
    spec = importlib.util.find_spec(SOURCES[module])
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).read_text()
    for edit in edits:
        if edit.module == module:
            if edit.right not in source:
                raise ValueError(f"{SOURCES[module]} does not hold {edit.right!r}; bring the edit up to date")
            source = source.replace(edit.right, edit.wrong)
    return source


def plant(name: str) -> None:
    """Set a mistake into the networks of this process, for the rest of its life.

    Parameters
    ----------
    name : str
        A key of `MISTAKES`.
    """
    edits = MISTAKES[name].edits
    edited = {edit.module for edit in edits}
    begun = False
    for module, path in SOURCES.items():
        loaded = importlib.import_module(path)
        begun = begun or module in edited
        if begun:  # those that import an edited one anew, too
            exec(compile(edited_source(module, edits), str(loaded.__file__), "exec"), vars(loaded))
