"""Signals as the command line takes them: a training ends its step and keeps what it has; all else ends at once."""

import contextlib
import os
import signal
import threading
from typing import Any, Iterator, List, Tuple


@contextlib.contextmanager
def collected_signals() -> Iterator[List[int]]:
    """Collect SIGINT and SIGTERM instead of dying of the first; the second acts as usual."""
    caught: List[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before: List[Tuple[int, Any]] = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]

    def remember(signum: int, frame: Any) -> None:
        caught.append(signum)
        for number, handler in before:
            signal.signal(number, handler)

    for number, _ in before:
        signal.signal(number, remember)
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def terminated_as_interrupted(stopped: List[int]) -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, and note it in `stopped`.

    The first process of a container ignores SIGTERM unless it has a handler.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can a handler be set
        yield
        return
    process = os.getpid()

    def interrupt(signum: int, frame: Any) -> None:
        if os.getpid() != process:  # a worker that inherited this by a fork
            os._exit(128 + signum)
        stopped.append(signum)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
