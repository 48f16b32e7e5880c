"""Occlusion maps: which pixels of a stamp a score rests on, found by hiding them."""

from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from ..data.stamps import Stamps
from ..errors import UserError
from ..progress import progress_bar

Score = Callable[[np.ndarray], np.ndarray]

# Occluded stamps scored at a time: 16 MB of pixels for the study's stamps.
CHUNK = 2000


def occlusion_maps(score: Score, stamps: np.ndarray, patch_pixels: int = 5, stride_pixels: int = 2) -> np.ndarray:
    """Loss of score where a square patch of a stamp is hidden.

    A patch slides over the stamp, the last step shortened so that it ends at the edge.  Below it each band becomes
    its median over the whole stamp: that is near the level of the sky, which says nothing about a lens, whereas 0 is
    a hole where the sky is not subtracted.  The noise is gone there too, as on no stamp that the network has learned
    from, so that a small value on empty sky may be the answer to that.  Where the network scales each stamp by its
    own noise, hiding patches lowers that: by 1.5 % for a patch of 5 pixels on pure noise of 45 x 45.

    Parameters
    ----------
    score : callable
        Counts, float32 (N, bands, H, W), to probabilities (N,) of a lens; of any network, such as
        ``lambda stamps: estimator.predict_proba(stamps)[:, 1]``.  It gets at most `CHUNK` stamps at a time.
    stamps : float array (M, bands, H, W)
        Counts, finite.
    patch_pixels : int
        Side of the patch, 1 to the shorter side of the stamps.
    stride_pixels : int
        From one position to the next, 1 to `patch_pixels`: with more, pixels would be left out.

    Returns
    -------
    float32 array (M, H, W)
        For each pixel the mean of ``score(whole) - score(occluded)`` over the patches that cover it, in [-1, 1]:
        positive where hiding its surroundings costs evidence for a lens.

    Raises
    ------
    UserError
        For stamps that are not four-axed, a patch or a stride out of range, or a `score` that gives no (N,).

    References
    ----------
    Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2; they hide with grey, and map the score itself.
    """
    if np.ndim(stamps) != 4:
        raise UserError(f"stamps need shape (N, bands, H, W), got {np.shape(stamps)}; add the missing axes")
    stamps = np.asarray(stamps, np.float32)
    height, width = stamps.shape[2:]
    if not 1 <= patch_pixels <= min(height, width):
        raise UserError(f"patch_pixels must be from 1 to {min(height, width)}, the stamps' side; got {patch_pixels}")
    if not 1 <= stride_pixels <= patch_pixels:
        raise UserError(f"stride_pixels must be from 1 to patch_pixels, here {patch_pixels}; got {stride_pixels}")
    patches = [
        (slice(top, top + patch_pixels), slice(left, left + patch_pixels))
        for top in _starts(height, patch_pixels, stride_pixels)
        for left in _starts(width, patch_pixels, stride_pixels)
    ]
    maps = np.empty((len(stamps), height, width), np.float32)
    for row, stamp in enumerate(stamps):
        maps[row] = _map_of_one(score, stamp, patches)
    return maps


def map_stamps(
    score: Score, stamps: Stamps, ids: Optional[Sequence[str]] = None, most: int = 12, verbose: bool = False
) -> Tuple[Stamps, np.ndarray, np.ndarray]:
    """Choose some stamps of a data set, score and map them.

    Parameters
    ----------
    score : callable
        As of `occlusion_maps`.
    stamps : Stamps
        Of the network's size.
    ids : sequence of str, optional
        Which stamps; by default those of the highest scores.
    most : int
        How many of the highest.
    verbose : bool
        Show a bar on stderr.

    Returns
    -------
    stamps : Stamps
        The n chosen ones, in the order of `ids`, or by falling score.
    scores : float array (n,), in [0, 1]
    maps : float32 array (n, H, W), in [-1, 1]
        See `occlusion_maps`.

    Raises
    ------
    UserError
        Naming the first id that the data set lacks.
    """
    chosen = stamps if ids is None else pick_stamps(stamps, ids)
    scores = score(chosen.pixels)
    if ids is None:
        rows = np.argsort(-scores, kind="stable")[:most]
        chosen, scores = chosen[rows], scores[rows]
    maps = np.empty((len(chosen), *chosen.pixels.shape[2:]), np.float32)
    with progress_bar("occlusion maps", len(chosen), "stamp", shown=verbose) as bar:
        for row in range(len(chosen)):
            maps[row] = occlusion_maps(score, chosen.pixels[row : row + 1])[0]
            bar.update()
    return chosen, scores, maps


def pick_stamps(stamps: Stamps, ids: Sequence[str]) -> Stamps:
    """Keep the stamps of these ids, in their order.

    Raises
    ------
    UserError
        Naming the first that the data set lacks.
    """
    row_of = {stamp_id: row for row, stamp_id in enumerate(stamps.ids)}
    unknown = [stamp_id for stamp_id in ids if stamp_id not in row_of]
    if unknown:
        raise UserError(
            f"{len(unknown)} of {len(ids)} ids are not in {stamps.folder}, {unknown[0]!r} the first; "
            f"write them as {stamps.ids[0]}, or name the data set they are from"
        )
    return stamps[[row_of[stamp_id] for stamp_id in ids]]


def _map_of_one(score: Score, stamp: np.ndarray, patches: List[tuple]) -> np.ndarray:
    """Map of a stamp (bands, H, W), float64 (H, W)."""
    sky = np.median(stamp, axis=(1, 2))[:, None, None]
    whole = _checked(score, stamp[None])[0]
    losses, covers = np.zeros(stamp.shape[1:]), np.zeros(stamp.shape[1:])
    for start in range(0, len(patches), CHUNK):
        part = patches[start : start + CHUNK]
        occluded = np.repeat(stamp[None], len(part), axis=0)
        for hidden, (rows, columns) in zip(occluded, part):
            hidden[:, rows, columns] = sky
        for loss, patch in zip(whole - _checked(score, occluded), part):
            losses[patch] += loss
            covers[patch] += 1
    return losses / covers


def _checked(score: Score, stamps: np.ndarray) -> np.ndarray:
    """Scores of some stamps, float64 (N,): float32 would round in the sums."""
    scores = np.asarray(score(stamps), np.float64)
    if scores.shape != (len(stamps),):
        raise UserError(
            f"score must give one probability a stamp, shape ({len(stamps)},), got {scores.shape}; "
            "of predict_proba take the column [:, 1]"
        )
    return scores


def _starts(side: int, patch: int, stride: int) -> List[int]:
    """First pixel of each position along an axis; the last ends at the edge."""
    last = side - patch
    return [*range(0, last, stride), last]
