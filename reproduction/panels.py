"""Score some stamps with a run, and map by occlusion what each score rests on.

panels.py legacy|modern RUN DATA IDS OUT.npz

IDS is a text file of one id a line; OUT.npz gets, in its order, ids, stamps float32 (n, H, W) of the first band in
counts, scores float64 (n,) in [0, 1] and maps float32 (n, H, W); see `lens_common.occlusion`.
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import List, Optional

import numpy as np

from lens_common.commands import restore_run
from lens_common.errors import UserError
from lens_common.folders import write_arrays
from lens_common.occlusion import occlusion_maps
from lens_common.progress import progress_bar
from lens_common.stamps import Dataset, load_dataset


def read_ids(path: Path) -> List[str]:
    """Read one id a line; empty lines do not count.

    Raises
    ------
    UserError
        If the file cannot be read, or names none.
    """
    try:
        ids = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the ids in {path}: {error}; write one id a line") from error
    ids = [line.strip() for line in ids if line.strip()]
    if not ids:
        raise UserError(f"{path} names no stamp; write one id a line, such as lensed_outputs/0/lensed_0")
    return ids


def pick_stamps(data: Dataset, ids: List[str]) -> Dataset:
    """Keep the stamps of these ids, in their order.

    Raises
    ------
    UserError
        Naming the first that the data set lacks.
    """
    row_of = {stamp_id: row for row, stamp_id in enumerate(data.ids)}
    unknown = [stamp_id for stamp_id in ids if stamp_id not in row_of]
    if unknown:
        raise UserError(
            f"{len(unknown)} of {len(ids)} ids are not in {data.folder}, {unknown[0]!r} the first; "
            f"write them as {data.ids[0]}, or name the data set they are from"
        )
    return data.take(np.array([row_of[stamp_id] for stamp_id in ids]))


def write_panels(framework: str, run: str, folder: str, ids_file: str, out: str) -> None:
    """Restore the run, and write the arrays that the module's docstring lists."""
    if not out.endswith(".npz"):
        raise UserError(f"the output must end in .npz, got {out}")
    ids = read_ids(Path(ids_file))
    chosen = pick_stamps(load_dataset(folder), ids)
    estimator, _ = restore_run(importlib.import_module(f"lens_{framework}.backend"), run)

    def score(stamps: np.ndarray) -> np.ndarray:
        return estimator.predict_proba(stamps)[:, 1]

    scores = score(chosen.stamps)
    maps = np.empty((len(ids), *chosen.stamps.shape[2:]), np.float32)
    with progress_bar("occlusion maps", len(ids), "stamp") as bar:
        for row in range(len(ids)):
            maps[row] = occlusion_maps(score, chosen.stamps[row : row + 1])[0]
            bar.update()
    arrays = {"ids": chosen.ids, "stamps": np.array(chosen.stamps[:, 0]), "scores": scores, "maps": maps}
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_arrays(out, arrays)
    print(f"{len(ids)} stamps scored and mapped: {out}")


def main(arguments: Optional[List[str]] = None) -> int:
    """Write the panels; 0, or 2 for a mistake."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("framework", choices=["legacy", "modern"])
    parser.add_argument("run", help="run directory of either framework")
    parser.add_argument("data", help="folder of the stamps")
    parser.add_argument("ids", help="text file of one id a line")
    parser.add_argument("out", metavar="OUT.npz")
    options = parser.parse_args(arguments)
    try:
        write_panels(options.framework, options.run, options.data, options.ids, options.out)
    except UserError as error:
        print(f"panels: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"panels: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
