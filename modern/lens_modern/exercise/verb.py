"""The verb ``exercise``: hand out a port with one mistake, and check what a student made of it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from .checking import check_port
from .comparison import ORDER, SHAPES
from .sealing import make_exercise, next_hint, read_exercise, read_exercises

WRONG = 1  # exit status of `check` where a comparison breaks

_SHAPES = "names or shapes of the weights or of the optimiser's state differ, so nothing else is compared"


def add_verb(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Add ``exercise`` to the command line."""
    parser = verb("exercise", "find the mistake in a port: exercises for a class", "new altair altair/", exercise)
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    actions.add_parser("list", help="name the exercises")
    new = actions.add_parser("new", help="write an exercise into a new folder; its README.md says what to do")
    new.add_argument("exercise", metavar="NAME", help="as `list` names it")
    new.add_argument("folder", metavar="DIR", help="a new folder")
    check = actions.add_parser("check", help="name the first comparison that breaks; exit status 1 where one does")
    check.add_argument("folder", metavar="DIR", help="as `new` made it")
    check.add_argument("--hint", action="store_true", help="check nothing, but give the next of three hints")


def exercise(backend: ModuleType, options: argparse.Namespace) -> None:
    """Carry out one action."""
    if options.action == "list":
        for name, listed in read_exercises().items():
            print(f"{name:<10} {listed.about.network:<6}  {' '.join(listed.symptom.split())}")
        return
    folder = Path(options.folder)
    if options.action == "new":
        make_exercise(options.exercise, folder)
        print(f"{folder}: read README.md, mend the port, then: lens-modern exercise check {folder}")
    elif options.hint:
        print(next_hint(folder))
    else:
        _check(folder)


def _check(folder: Path) -> None:
    name, given = read_exercise(folder)
    print(f"{name}: two ports are run, which takes about 20 s of processor time", file=sys.stderr, flush=True)
    broken = check_port(folder)
    hints = f"{given} hint{'' if given == 1 else 's'} taken"
    if broken:
        breaks = f"`{broken}` breaks, which compares {ORDER[broken]}" if broken != SHAPES else _SHAPES
        print(f"{name}: {breaks} ({hints})")
        raise SystemExit(WRONG)
    print(f"{name}: solved, every comparison holds ({hints})")
