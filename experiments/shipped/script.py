"""What the scripts of this folder share."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from lens_common.data.stamps import Stamps, load_stamps
from lens_common.errors import UserError


def pics_mocks() -> Stamps:
    """Load the PICS mocks that LENS_PICS_MOCKS names.

    Raises
    ------
    UserError
        If it names none.
    """
    folder = os.environ.get("LENS_PICS_MOCKS")
    if not folder:
        raise UserError("LENS_PICS_MOCKS is unset: name the folder of the PICS mocks")
    return load_stamps(folder, verbose=True)


def out_file(path: str) -> Path:
    """Take the argument that names the file to write, and make its folder before the hours of work."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


def carry_out(name: str, work: Callable[[], object]) -> int:
    """Do the work of a script and print what it returns; exit status 0, or 2 and one sentence for a mistake."""
    try:
        print(f"{name}: {work()}")
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0
