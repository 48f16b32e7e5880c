"""What ends a command early: the user's mistake, and the user's wish."""

import signal


class UserError(ValueError):
    """A mistake that the user can mend: what was wrong, the value, what to do.

    The command line prints it as one sentence and exits with 2.
    """


class Interrupted(Exception):
    """A signal asked for the end; what was done so far is kept.

    Parameters
    ----------
    signum : int
        The signal; the command line exits with 128 + signum.
    kept : str
        Where the work can be continued from.
    """

    def __init__(self, signum: int, kept: str) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}; {kept}")
        self.signum = signum
