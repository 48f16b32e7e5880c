"""Make one page of slides from slides.md and the figures of the executed notebooks; a browser prints it.

.venv-modern/bin/python -m lab.slides FOLDER    where lab.execute has left the executed notebooks
"""

import sys
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

from lab.execute import HERE, NOTEBOOKS, captions_of

STYLE = """
@page { size: 297mm 167mm; margin: 0 }
body { margin: 0; font: 26px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #ddd }
section { position: relative; box-sizing: border-box;
  width: min(100vw, 297mm); min-height: 167mm; margin: 1em auto; padding: 10mm 16mm;
  background: #fff; break-after: page; overflow: hidden }
h1 { font-size: 44px; line-height: 1.15; margin: 0 0 .5em; color: #123a5c }
img { display: block; max-width: 100%; max-height: 88mm; margin: 0 auto }
table { border-collapse: collapse } td, th { border-bottom: 1px solid #aaa; padding: .25em .8em; text-align: left }
pre { background: #f2f2f2; padding: .6em; overflow: auto }
footer { position: absolute; right: 8mm; bottom: 5mm; font-size: 14px; color: #595959 }
@media print { body { background: #fff } section { margin: 0; height: 167mm } }
"""


def figures(folder: Path) -> dict[str, tuple[str, str]]:
    """Figures of the executed notebooks by ``notebook.figure``: (PNG in base64, caption)."""
    found: dict[str, tuple[str, str]] = {}
    for path in NOTEBOOKS:
        notebook = nbformat.read(folder / f"{path.stem}.ipynb", as_version=4)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
        pairs = enumerate(zip(pictures, captions_of(path.read_text())), start=1)
        found.update((f"{path.stem[0]}.{number}", pair) for number, pair in pairs)
    return found


def page(pictures: dict[str, tuple[str, str]]) -> str:
    """Compose the whole page."""
    markdown = MarkdownIt("commonmark").enable("table")
    slides = (HERE / "slides.md").read_text().split("\n---\n")
    sections = []
    for number, slide in enumerate(slides, start=1):
        html = markdown.render(slide)
        for name, (picture, caption) in pictures.items():
            alt = caption.replace('"', "&quot;")
            html = html.replace(f"{{figure {name}}}", f'<img alt="{alt}" src="data:image/png;base64,{picture}">')
        sections.append(f"<section>{html}<footer>{number} / {len(slides)}</footer></section>")
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return f"{head}<title>Find the bug</title><style>{STYLE}</style>{''.join(sections)}</html>\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "slides.html").write_text(page(figures(folder)))
    print(f"wrote {folder / 'slides.html'}")
