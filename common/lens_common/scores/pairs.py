"""Does a network answer to lensing? Scores of lenses, and of the same stamps with the mass of the lens taken away."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np
from astropy.table import Table
from scipy.stats import binomtest

from ..errors import UserError
from .metrics import AUROC_LEVEL, area_interval, structural_components

RADIUS_EDGES_ARCSEC = (0.0, 0.5, 1.0, 1.4, 2.0, 3.5)
SNR_EDGES = (0.0, 5.0, 10.0, 20.0, 40.0, np.inf)
# Of the row that asks whether lensing is seen where it should be.
PLAIN_RADIUS_ARCSEC, PLAIN_SNR = 1.0, 20.0


def find_pairs(
    ids: Union[np.ndarray, Sequence[str]], catalogue: Table
) -> Tuple[np.ndarray, np.ndarray, Dict[str, np.ndarray]]:
    """Find each lens and the stamp that is the same without lensing.

    Parameters
    ----------
    ids : sequence of str (M,)
        Of the stamps at hand.
    catalogue : astropy.table.Table
        Of mocks in pairs (`make_mocks` with `pairs`): both stamps of a pair have one seed.

    Returns
    -------
    lenses, unlensed : int arrays (N,)
        Where in `ids` the stamps of each pair stand.
    known : dict of float arrays (N,)
        ``einstein_radius`` (arcsec) and ``snr`` of the lenses.

    Raises
    ------
    UserError
        If no stamp has its like without lensing.
    """
    row_of = {stamp_id: row for row, stamp_id in enumerate(ids)}
    sides: List[Dict[int, Any]] = [{}, {}]
    if "seed" in catalogue.colnames:
        for entry in catalogue[np.isin(catalogue["is_lens"], (0, 1)) & np.isin(catalogue["id"], list(ids))]:
            sides[int(entry["is_lens"])][int(entry["seed"])] = entry
    seeds = sorted(set(sides[0]) & set(sides[1]))
    if not seeds:
        raise UserError("no lens has its like without lensing; make mocks with `simulate --pairs`")
    lenses, unlensed = (np.array([row_of[str(sides[side][seed]["id"])] for seed in seeds]) for side in (1, 0))
    known = {key: np.array([float(sides[1][seed][key]) for seed in seeds]) for key in ("einstein_radius", "snr")}
    return lenses, unlensed, known


def judge_pairs(lensed: np.ndarray, unlensed: np.ndarray, known: Mapping[str, np.ndarray]) -> List[Dict[str, Any]]:
    """How often a lens outranks itself without lensing, and the AUROC of both sides of the pairs.

    Near 0.5 a network answers to something else than lensing.

    Parameters
    ----------
    lensed, unlensed : float arrays (N,), in [0, 1]
        Scores of the stamps of each pair, N of 1 or more.
    known : mapping of float arrays (N,)
        ``einstein_radius`` (arcsec) and ``snr`` of the lenses.

    Returns
    -------
    list of dict
        Of all pairs, of those with a wide and bright lens, and by radius and S/N: ``pairs`` in words, ``n``, ``ties``
        (equal scores, which do not count as outranked), ``outranks`` and ``auroc``, each with ``_low`` and ``_high``.
        Rows without a pair are left out.

    References
    ----------
    Wilson 1927, JASA 22, 209 (the interval of the share).
    Obuchowski 1997, Biometrics 53, 567 (the variance of an AUROC whose stamps come in pairs).
    """
    radius, snr = known["einstein_radius"], known["snr"]
    plain = (radius > PLAIN_RADIUS_ARCSEC) & (snr > PLAIN_SNR)
    rows = [
        ("all", np.ones(len(radius), bool)),
        (f"radius > {PLAIN_RADIUS_ARCSEC:g} arcsec and S/N > {PLAIN_SNR:g}", plain),
        *_bins("radius {} arcsec", radius, RADIUS_EDGES_ARCSEC),
        *_bins("S/N {}", snr, SNR_EDGES),
    ]
    return [{"pairs": words, **_judge(lensed[inside], unlensed[inside])} for words, inside in rows if inside.any()]


def _bins(words: str, values: np.ndarray, edges: Sequence[float]) -> List[Tuple[str, np.ndarray]]:
    ranges = [f"{low:g} to {high:g}" if high < np.inf else f"from {low:g}" for low, high in zip(edges, edges[1:])]
    inside = [(values >= low) & (values < high) for low, high in zip(edges, edges[1:])]
    return [(words.format(name), chosen) for name, chosen in zip(ranges, inside)]


def _judge(lensed: np.ndarray, unlensed: np.ndarray) -> Dict[str, Any]:
    n, wins = len(lensed), int(np.sum(lensed > unlensed))
    interval = binomtest(wins, n).proportion_ci(AUROC_LEVEL, method="wilson")
    labels = np.repeat([True, False], n)
    unlensed_below, lensed_below = structural_components(labels, np.concatenate([lensed, unlensed]))
    parts = (unlensed_below + n - lensed_below) / n  # what each pair adds to twice the AUROC
    area = float(unlensed_below.sum() / n**2)
    # Both stamps of a pair go into the sum together, so that what they share is counted.
    variance = float(np.var(parts, ddof=1) / n) if n > 1 else 0.0
    low, high = area_interval(area, variance, n)
    return {
        "n": n,
        "ties": int(np.sum(lensed == unlensed)),
        "outranks": wins / n,
        "outranks_low": float(interval.low),
        "outranks_high": float(interval.high),
        "auroc": area,
        "auroc_low": low,
        "auroc_high": high,
    }
