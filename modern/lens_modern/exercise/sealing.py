"""What a student gets: the sources of a port without comments that explain them, one mistake in them."""

import ast
import json
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lens_common.errors import UserError
from lens_common.files import write_json

from .comparison import ORDER
from .mistakes import MISTAKES, Edit, Mistake, edited_source

ABOUT = "exercise.json"
# Files of a port, by network.
FILES = {
    "resnet": ("augmentation", "initial", "faithful", "losses", "resnet"),
    "cnn": ("augmentation", "initial", "faithful", "losses", "cnn"),
}
FRAMEWORKS = {"resnet": "Lasagne on Theano", "cnn": "Keras on Theano"}
_OWN = "|".join(sorted({name for names in FILES.values() for name in names}))


@dataclass(frozen=True)
class Exercise:
    """An exercise: the mistake in it, and what is said of it on request.

    Attributes
    ----------
    mistake : str
        A key of `MISTAKES`.
    symptom : str
        What its user complains of.
    hints : list of str
        Three, each nearer to the place.
    """

    mistake: str
    symptom: str
    hints: list[str]

    @property
    def about(self) -> Mistake:
        """The mistake and who sees it."""
        return MISTAKES[self.mistake]


def read_exercises() -> dict[str, Exercise]:
    """Exercises by name, in their order."""
    text = resources.files(__package__).joinpath("exercises.toml").read_text()
    return {name: Exercise(**fields) for name, fields in tomllib.loads(text).items()}


def find_exercise(name: str) -> Exercise:
    """Return an exercise by name.

    Raises
    ------
    UserError
        If there is none.
    """
    exercises = read_exercises()
    if name not in exercises:
        raise UserError(f"no exercise named {name!r}; choose one of {', '.join(exercises)}")
    return exercises[name]


def sealed_source(module: str, edits: tuple[Edit, ...] = ()) -> str:
    """Source of a module of a port: docstrings cut to what a definition is, no comments but shapes.

    Parameters
    ----------
    module : str
        A key of `mistakes.SOURCES`.
    edits : tuple of Edit
        What is wrong in it.
    """
    source = edited_source(module, edits)
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or ast.get_docstring(node) is None:
            continue
        docstring = node.body[0]
        first, last = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        summary = re.split(r"[:;]|\.(?=\s|$)", lines[first].strip().strip('"'))[0]
        indent = lines[first][: docstring.col_offset]
        lines[first:last] = [f'{indent}"""{summary}."""', *["#"] * (last - first - 1)]
    kept = "\n".join(line for line in lines if not line.lstrip().startswith("#")) + "\n"
    kept = re.sub(rf"from lens_common\.learning\.({_OWN}) import", r"from .\1 import", kept)
    kept = re.sub(r"from \.protocol import", "from lens_common.learning.protocol import", kept)
    return kept.replace("from ..errors import", "from lens_common.errors import")


def write_port(folder: Path, network: str, edits: tuple[Edit, ...] = ()) -> None:
    """Write the files of a port.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    network : {"resnet", "cnn"}
    edits : tuple of Edit
        What is wrong in it; nothing, by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for module in FILES[network]:
        (folder / f"{module}.py").write_text(sealed_source(module, edits))


def make_exercise(name: str, folder: Path) -> Exercise:
    """Write all that a student gets into a new folder.

    Parameters
    ----------
    name : str
        A key of `read_exercises`.
    folder : path
        Missing or empty.

    Raises
    ------
    UserError
        If there is no such exercise, or the folder holds something.
    """
    exercise = find_exercise(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already; name a new folder")
    write_port(folder, exercise.about.network, exercise.about.edits)
    texts = resources.files(__package__)
    handout = texts.joinpath("handout.md").read_text()
    sheet = texts.joinpath(f"{exercise.about.network}.md").read_text()
    rows = [f"| `{comparison}` | {what} |" for comparison, what in ORDER.items()]
    words = {"name": name, "symptom": exercise.symptom, "network": exercise.about.network, "sheet": sheet}
    words["comparisons"] = "\n".join(rows)
    (folder / "README.md").write_text(handout.format(**words, framework=FRAMEWORKS[exercise.about.network]))
    original = Path(__file__).resolve().parents[3] / "legacy/lens_legacy"
    if original.is_dir():  # only in a checkout: the distribution does not hold the legacy side
        (folder / "original").mkdir()
        for module in ("layers", "losses", exercise.about.network):
            lines = (original / f"{module}.py").read_text().splitlines(keepends=True)
            kept = "".join(line for line in lines if "# DIFFERS" not in line or not line.lstrip().startswith("#"))
            (folder / f"original/{module}.py").write_text(re.sub(r"  # DIFFERS.*", "", kept))
    write_json(folder / ABOUT, {"exercise": name, "hints": 0})
    return exercise


def read_exercise(folder: Path) -> tuple[str, int]:
    """Name of the exercise in a folder, and how many hints have been given.

    Raises
    ------
    UserError
        If it holds no exercise.
    """
    try:
        about = json.loads((folder / ABOUT).read_text())
        name, given = about["exercise"], about["hints"]
        find_exercise(name)
        if given not in range(len(find_exercise(name).hints) + 1):
            raise ValueError
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no exercise; make one with `lens-modern exercise new NAME DIR`") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / ABOUT} is damaged; take it from a new folder of the exercise") from error
    return name, given


def next_hint(folder: Path) -> str:
    """Return the next hint of the exercise in a folder, and note that it was given; after the last, say so."""
    name, given = read_exercise(folder)
    hints = find_exercise(name).hints
    if given == len(hints):
        return f"there are no more hints; the last was: {' '.join(hints[-1].split())}"
    write_json(folder / ABOUT, {"exercise": name, "hints": given + 1})
    return f"hint {given + 1} of {len(hints)}: {' '.join(hints[given].split())}"
