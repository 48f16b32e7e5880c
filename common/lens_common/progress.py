"""Progress of long work, on stderr."""

import sys
from typing import Any

from tqdm import tqdm


def progress_bar(what: str, total: int, unit: str, done: int = 0, shown: bool = True) -> Any:
    """Bar with rate and time left; a log file, where no bar can move, gets a line now and then.

    Parameters
    ----------
    what : str
        What is being done.
    total : int
        Units in all.
    unit : str
        To what it is being done.
    done : int
        Units done before.
    shown : bool
        False for none.

    Returns
    -------
    tqdm.tqdm
        Advanced with ``update``, a context manager.
    """
    moving = sys.stderr.isatty()
    return tqdm(
        desc=what,
        total=total,
        initial=done,
        unit=unit,
        disable=not shown,
        mininterval=0.5 if moving else 30,
        delay=1,
        leave=not moving,  # in a log file the last line stays, and what follows begins a new one
    )
