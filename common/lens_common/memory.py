"""What of the machine a process may use: cores, and memory that it has freed."""

import contextlib
import ctypes
import gc
import os
from typing import Iterator


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next array instead of giving it back to the system.

    Both frameworks free every intermediate result, hundreds of MB a step; fetching zeroed pages
    anew each time costs the ResNet half of its speed in Theano and a tenth in torch.  Other C
    libraries have no such switch.
    """
    with contextlib.suppress(AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(-4, 0)  # M_MMAP_MAX: take large arrays from the heap, too
        set_option(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap
        set_option(-2, 2**28)  # M_TOP_PAD: grow it by 256 MB at a time


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Let Python search for garbage later, around or above what makes a million objects and leaves them all in use."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def usable_cores() -> int:
    """Count the cores that this process may use: a container can make them fewer; macOS tells only all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
