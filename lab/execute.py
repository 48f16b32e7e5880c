"""Execute the notebooks of the lab and print how long each took.

.venv-modern/bin/python -m lab.execute [--out FOLDER [--missing]] [NAME ...]
"""

import argparse
import os
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
NOTEBOOKS = sorted(HERE.glob("[1-6]_*.md"))
SECONDS = 600  # a notebook may take two minutes; on a machine that others use it takes longer


def execute(path: Path) -> tuple[nbformat.NotebookNode, float]:
    """Run a notebook from the root of the checkout.

    Parameters
    ----------
    path : Path
        jupytext Markdown.

    Returns
    -------
    notebook : NotebookNode
        With its outputs.
    seconds : float
    """
    notebook = jupytext.read(path)
    start = time.monotonic()
    # Python's own warnings on a path of this machine are no part of a lesson.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(HERE.parent)}}).execute()
    return notebook, time.monotonic() - start


def captions_of(text: str) -> list[str]:
    """Captions of the figures of a notebook's Markdown, in order."""
    return re.findall(r"^\*\*Figure \d+\.\*\* (.*)$", text, re.MULTILINE)


def stored_notebook(text: str, folder: str) -> nbformat.NotebookNode:
    """Read a notebook with the outputs that a folder holds for it, or without outputs.

    Parameters
    ----------
    text : str
        jupytext Markdown.
    folder : str
        Where executed notebooks lie. One counts while its cells are those of the text.

    Returns
    -------
    NotebookNode
        A picture's alternative text is its caption.
    """
    notebook = jupytext.reads(text, "md")
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "python"}
    for path in Path(folder).glob("*.ipynb"):
        executed = nbformat.read(path, as_version=4)
        if [cell.source for cell in executed.cells] == [cell.source for cell in notebook.cells]:
            pictures = [
                c for c in executed.cells if any("image/png" in o.get("data", {}) for o in c.get("outputs", []))
            ]
            for cell, caption in zip(pictures, captions_of(text)):
                cell.metadata["mystnb"] = {"image": {"alt": caption}}
            return executed
    return notebook


def is_stored(path: Path, folder: Path) -> bool:
    """Whether a folder holds the outputs of a notebook as it is now."""
    cells = stored_notebook(path.read_text(), str(folder)).cells
    return any(cell.get("outputs") for cell in cells)


def main() -> None:
    """Execute the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 1 or 1_a_program_that_is_a_graph")
    parser.add_argument("--out", type=Path, help="folder for the executed notebooks")
    parser.add_argument("--missing", action="store_true", help="only those that the folder lacks or has of other cells")
    options = parser.parse_args()
    if options.missing and not options.out:
        parser.error("--missing needs --out, the folder that may hold executed notebooks")
    for path in NOTEBOOKS:
        if options.names and not any(path.stem.startswith(name) for name in options.names):
            continue
        if options.missing and is_stored(path, options.out):
            continue
        notebook, seconds = execute(path)
        print(f"{path.stem}: {seconds:.0f} s", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, options.out / f"{path.stem}.ipynb")


if __name__ == "__main__":
    main()
