"""Verbs that an extra of the package brings, and what stands in their place without it."""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from lens_common.cli import score
from lens_common.cli.options import EXIT_USER_ERROR
from lens_common.errors import UserError

# Module of verbs -> the extra of the package that brings what it imports, and the verbs of its own.
IN_EXTRAS = {
    ".report.verb": ("report", ("report",)),
    ".realism.verb": ("report", ("realism",)),
    ".survey.verb": ("survey", ()),
}
# What `score` takes with the extra only.
SURVEY_FLAGS = ("--workers", "--array", "--engine", "--dask", "--shard-size")


def verbs_of_extras() -> Iterator[Callable[..., None]]:
    """Yield what adds each verb to the command line; see `lens_common.cli.build_parser`."""
    for module, (extra, names) in IN_EXTRAS.items():
        try:
            yield import_module(module, __package__).add_verb
        except ModuleNotFoundError as error:
            if str(error.name).startswith("lens_"):
                raise
            lacking = f"{error.name} is not installed; pip install 'lens-modern[{extra}]' brings it"
            yield partial(_add_score_of_folders if extra == "survey" else _add_lacking_verbs, names, lacking)


def _add_lacking_verbs(names: tuple[str, ...], lacking: str, verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Let each verb, however it is called, end in what it lacks."""
    for name in names:
        parser = verb(name, f"not here: {lacking}", "--help", lambda backend, options: None)

        def parse_known_args(*_: Any, parser: argparse.ArgumentParser = parser) -> Any:
            print(f"{parser.prog}: {lacking}", file=sys.stderr)
            raise SystemExit(EXIT_USER_ERROR)

        parser.parse_known_args = parse_known_args  # type: ignore[assignment, method-assign]


def _add_score_of_folders(_: tuple[str, ...], lacking: str, verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Let ``score`` be the common one, of folders of FITS files, and say what takes the rest."""

    def score_folder(backend: ModuleType, options: argparse.Namespace) -> None:
        flags = [flag for flag in SURVEY_FLAGS if getattr(options, flag[2:].replace("-", "_")) is not None]
        others = [path for path in (options.data, *options.more) if not Path(path).is_dir() and Path(path).exists()]
        beyond = [*flags, *others, *(["several sources"] if options.more else [])]
        if beyond:
            raise UserError(f"{beyond[0]}: without the extra, score takes one folder of FITS files: {lacking}")
        score.score(backend, options)

    parser = verb("score", "score every stamp of a folder", "cutouts/ --out scores.csv", score_folder)
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    for flag in SURVEY_FLAGS:
        parser.add_argument(flag, help=argparse.SUPPRESS)
