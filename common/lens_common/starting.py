"""The first and the last moments of a command: what goes wrong in those ends in a sentence, too."""

import atexit
import importlib
import os
import signal
import sys
from typing import Any


def run(module: str, program: str) -> int:
    """Import the module of a command line and carry out its `main`.

    Imports take seconds, and so does the end of a process with threads; a signal then would print a traceback.

    Parameters
    ----------
    module : str
        Dotted; has a function ``main`` that returns an exit status.
    program : str
        Name of the command, for the sentence.

    Returns
    -------
    int
        Exit status; 2 if the module cannot be imported.
    """

    def end(signum: int, frame: Any) -> None:
        os.write(2, f"{program}: stopped by {'Ctrl-C' if signum == signal.SIGINT else 'SIGTERM'}\n".encode())
        os._exit(128 + signum)

    def end_on_signals() -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, end)

    def pass_over_signals() -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)

    end_on_signals()
    atexit.register(pass_over_signals)  # the last to be called; then Python takes handlers away, and the work is done
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # a name that the terminal cannot show
    try:
        main = importlib.import_module(module).main
    except (ImportError, OSError) as error:  # a package that is missing, or too few files that may be open
        print(f"{program}: cannot start: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return int(main())
    except KeyboardInterrupt:
        end(signal.SIGINT, None)
        raise
    finally:
        end_on_signals()
