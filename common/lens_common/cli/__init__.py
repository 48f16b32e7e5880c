"""The command line that both twins share; a twin gives it its name and its backend.  One verb, one file."""

import argparse
import contextlib
import logging
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Callable, Iterator, List, Optional, Sequence

from .._version import __version__
from ..errors import Interrupted, UserError
from ..files import cache_folder
from . import compare, evaluate, inspect, maps, pairs, score, simulate, train
from .options import EXIT_USER_ERROR, AddVerb, Parser
from .outputs import check_outputs
from .signals import terminated_as_interrupted

VERBS = (simulate, inspect, train, score, evaluate, maps, pairs, compare)
# Verbs that build a network, and so take the options of its framework.
WITH_NETWORK = ("train", "score", "evaluate", "maps", "pairs")


def run_command_line(
    backend: ModuleType, arguments: Optional[List[str]] = None, extra_verbs: Sequence[Callable[[AddVerb], None]] = ()
) -> int:
    """Parse and carry out one command.

    Parameters
    ----------
    backend : module
        A twin's ``backend``.
    arguments : list of str, optional
        Instead of ``sys.argv[1:]``.
    extra_verbs : sequence of callable
        Of one side only; see `build_parser`.

    Returns
    -------
    int
        0; 2 for the user's mistake, one sentence on stderr; 128 + signal where one stopped it.
    """
    program = f"lens-{backend.NAME}"
    parser = build_parser(backend, extra_verbs)
    options = parser.parse_args(arguments)
    stopped: List[int] = []
    try:
        with terminated_as_interrupted(stopped), _sentences_on_stderr(options):
            check_outputs(options)
            _check_volume(program, options)
            backend.configure(options)
            options.verb(backend, options)
    except UserError as error:
        print(f"{program}: {_with_flags(str(error), options)}", file=sys.stderr)
        return EXIT_USER_ERROR
    except Interrupted as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 128 + error.signum
    except KeyboardInterrupt:
        cause = "SIGTERM" if stopped else "Ctrl-C"
        print(f"{program}: stopped by {cause}; the same command goes on with what is finished", file=sys.stderr)
        return 128 + (signal.SIGTERM if stopped else signal.SIGINT)
    except OSError as error:
        print(f"{program}: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


def _with_flags(sentence: str, options: argparse.Namespace) -> str:
    """Name flags where a library named parameters in backticks: `batch_size` becomes --batch-size."""
    return re.sub(r"`(\w+)`", lambda match: options.flags.get(match[1], match[0]), sentence)


@contextlib.contextmanager
def _sentences_on_stderr(options: argparse.Namespace) -> Iterator[None]:
    """Show on stderr what the libraries log: what they take, set aside, cannot know."""
    handler = logging.StreamHandler(sys.stderr)
    handler.format = lambda record: _with_flags(record.getMessage(), options)  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("lens_common", "lens_legacy", "lens_modern")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


def _check_volume(program: str, options: argparse.Namespace) -> None:
    """In the image, see that results can be written to the volume, and warn where none is mounted.

    ``LENS_VOLUME``, which the Dockerfile sets, names the folder that should be one.
    """
    volume = os.environ.get("LENS_VOLUME")
    if not volume or (options.name in ("inspect", "compare", "pairs") and not options.out):
        return
    target = Path(getattr(options, "out", None) or getattr(options, "run", None) or ".").absolute()
    if Path(volume) not in (target, *target.parents):
        return
    if not os.access(volume, os.W_OK):
        raise UserError(
            f'{volume} cannot be written by user {os.getuid()}; mount a folder there with -v "$PWD/out:{volume}", '
            'and run as its owner with --user "$(id -u)"'
        )
    if not os.path.ismount(volume):
        print(
            f"{program}: {volume} is not a mounted volume, so the results stay in the container; "
            f'-v "$PWD/out:{volume}" keeps them',
            file=sys.stderr,
        )
    if tempfile.gettempdir() == os.getcwd():  # Python's last resort, where nothing else can be written
        os.environ["TMPDIR"] = tempfile.tempdir = str(cache_folder("tmp"))


def build_parser(backend: ModuleType, extra_verbs: Sequence[Callable[[AddVerb], None]] = ()) -> argparse.ArgumentParser:
    """Parser of all verbs of a twin; each sets ``verb`` to its function, and ``flags`` to its flags by parameter.

    An extra verb is a callable that is handed ``verb(name, what, example, function)``, calls
    it for a parser, and adds its arguments to that.  The name of a common verb gives the parser of
    that, to be extended, and `function` takes the place of the common one.
    """
    program = f"lens-{backend.NAME}"
    parser = Parser(
        prog=program,
        description="Find galaxy-galaxy strong lenses on single-band 45x45 stamps.",
        epilog=f"example: {program} train --model cnn --out runs/first && {program} evaluate runs/first",
    )
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="name", required=True, parser_class=Parser)

    def verb(name: str, what: str, example: str, function: Callable[..., None]) -> argparse.ArgumentParser:
        added = verbs.choices.get(name) or verbs.add_parser(name, help=what)
        added.description, added.epilog = f"{what[0].upper()}{what[1:]}.", f"example: {program} {name} {example}"
        added.set_defaults(verb=function)
        return added

    for common in VERBS:
        common.add_verb(verb)
    for name in WITH_NETWORK:
        backend.add_options(verbs.choices[name], training=name == "train")
    for add_verb in extra_verbs:
        add_verb(verb)
    for added in verbs.choices.values():
        flags = {action.dest: action.option_strings[-1] for action in added._actions if action.option_strings}
        added.set_defaults(flags=flags)
    return parser
