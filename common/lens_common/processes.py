"""Work shared out over processes, which an interrupt or a lost process ends in order."""

import contextlib
import signal
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Callable, Deque, Iterable, Iterator

from .errors import UserError


def map_in_order(function: Callable[[Any], Any], items: Iterable[Any], workers: int, method: str) -> Iterator[Any]:
    """Results in the order of the items; no more are under way than the workers and one.

    After an error or an interrupt those under way end, and nothing else begins: futures that wait, and would have
    to be cancelled, make Python 3.8 print a traceback where a signal has ended the workers, too.

    Parameters
    ----------
    function : callable
        Of a module, as processes need it.
    items : iterable
    workers : int
        Processes; with 1 all is done in this one.
    method : {"fork", "spawn"}
        How they begin.

    Raises
    ------
    UserError
        If a process has ended before its work.
    """
    if workers == 1:
        yield from map(function, items)
        return
    executor = ProcessPoolExecutor(workers, get_context(method))
    under_way: Deque[Future[Any]] = deque()
    try:
        for item in items:
            with _interrupts_ignored():  # workers begin in here, and leave Ctrl-C to this process
                under_way.append(executor.submit(function, item))
            if len(under_way) > workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that shared the work was ended from outside, perhaps for want of memory; run the command again"
        ) from error
    finally:
        executor.shutdown()


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only there can a handler be set
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
