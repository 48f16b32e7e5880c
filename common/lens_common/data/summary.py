"""What a data set is like: stamps by class, their noise and brightness, what the filter would drop."""

from dataclasses import dataclass
from typing import Dict, Mapping

import numpy as np
from astropy.table import Table

from .layout import NAMED_PARAMETERS
from .noise import median_and_noise
from .quality import flag_stamps, measure_quality
from .stamps import Stamps

CLASSES = {"lenses": 1, "non-lenses": 0, "unlabelled": -1}


@dataclass(frozen=True)
class Summary:
    """A data set in numbers.

    Attributes
    ----------
    rows_of : dict of str to bool array (N,)
        Stamps of each class that is there: lenses, non-lenses, unlabelled.
    values : dict of str to float array (N,)
        By name and unit: of each stamp, NaN where it is not known.
    flags : dict of str to bool array (N,)
        By what the filter asks for: whether it would drop the stamp.
    quality : dict of str to float32 array (N,)
        See `lens_common.data.quality.measure_quality`.
    """

    rows_of: Dict[str, np.ndarray]
    values: Dict[str, np.ndarray]
    flags: Dict[str, np.ndarray]
    quality: Dict[str, np.ndarray]

    @property
    def flagged(self) -> np.ndarray:
        """Whether the filter would drop each stamp, bool (N,)."""
        return np.any([*self.flags.values()], axis=0)

    def quantiles(self, name: str, kind: str) -> np.ndarray:
        """5, 50 and 95 % quantile of a value over a class; empty where it is not known."""
        values = self.values[name][self.rows_of[kind]]
        values = values[np.isfinite(values)]
        return np.quantile(values, (0.05, 0.5, 0.95)) if len(values) else np.empty(0)


def summarise(stamps: Stamps, catalogue: Table, thresholds: Mapping[str, float]) -> Summary:
    """Summarise a data set.

    Parameters
    ----------
    stamps : Stamps
    catalogue : astropy.table.Table
        Of the same folder, with a row for every file; see `lens_common.data.catalogue.read_catalogue`.
    thresholds : dict
        Of the bad-image filter.

    Returns
    -------
    Summary
    """
    quality = measure_quality(stamps)
    values = {**_values_by_band(stamps), "detected signal / noise": quality["signal"]}
    row_of = {path: row for row, path in enumerate(catalogue["path"])}
    rows = [row_of[path] for path in stamps.paths]
    for key in catalogue.colnames:
        if key in NAMED_PARAMETERS or key == "einstein_radius":
            unit = f" [{catalogue[key].unit}]" if catalogue[key].unit else ""
            values[key + unit] = np.ma.filled(catalogue[key].astype(float), np.nan)[rows]
    rows_of = {name: stamps.labels == label for name, label in CLASSES.items() if (stamps.labels == label).any()}
    return Summary(rows_of, values, flag_stamps(quality, thresholds), quality)


def _values_by_band(stamps: Stamps) -> Dict[str, np.ndarray]:
    """Noise and brightness of each stamp, (N,) by name and, of several bands, by band."""
    medians, noises = median_and_noise(stamps.pixels)
    n_bands = stamps.pixels.shape[1]
    values = {}
    for row in range(n_bands):
        median, noise = medians[:, row], noises[:, row]
        peak = stamps.pixels[:, row].reshape(len(noise), -1).max(axis=1)
        over = np.where(noise > 0, noise, np.nan)
        band = f", {stamps.bands[row] if stamps.bands else f'band {row}'}" if n_bands > 1 else ""
        values[f"noise [counts]{band}"] = noise
        values[f"median [counts]{band}"] = median
        values[f"sky level / noise{band}"] = median / over
        values[f"brightest pixel / noise{band}"] = (peak - median) / over
    return values
