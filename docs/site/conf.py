"""Sphinx builds the site from the Markdown, notebooks and docstrings where they stand; `make site` runs it."""

import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LAB = ROOT / "runs/lab"
sys.path[:0] = [str(ROOT / folder) for folder in ("common", "modern", "legacy", "")]

from docs import idioms  # noqa: E402
from lab.execute import NOTEBOOKS  # noqa: E402
from lens_common import __version__ as release  # noqa: E402, F401

project, author, language = "Lens twins", "the Lens twins authors", "en"
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
]

# The front page is the README; the pages stay in the folders where GitHub shows them.
root_doc = "README"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/site/*.md",
    "lab/*.md",
    "tests/original/README.md",
]
# Texts from which other pages are made.
exclude_patterns = ["docs/*-intro.md", "docs/*-outro.md", "docs/*-text.md", "docs/site/contents.md", "lab/slides.md"]
# Pages without Sphinx, copied as they are, and their titles in the navigation.
STANDALONE = {
    ROOT / "docs/story.html": "The story in five pictures",
    ROOT / "docs/reproduction.html": "For the referee",
    ROOT / "docs/appendix.html": "Appendix: every table and run",
    ROOT / "docs/lab.html": "The CNN, live",
    LAB / "slides.html": "Slides of the lab",
}

myst_heading_anchors = 6
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"  # `python -m lab.execute` did, and keeps what it wrote
nb_merge_streams = True
nb_custom_formats = {path.name: ("lab.execute.stored_notebook", {"folder": str(LAB)}) for path in NOTEBOOKS}

autodoc_mock_imports = ["theano", "lasagne", "keras"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # names, such as that of a prior, not all that they hold
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = project
templates_path = ["_templates"]
html_sidebars = {"**": ["contents"]}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {
    "default_mode": "auto",
    "standalone": {path.name: title for path, title in STANDALONE.items() if path.exists()},
}
html_theme_options = {
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": [],
    "footer_end": [],
}
html_show_sourcelink = False
html_copy_source = False
# Excerpts below the hits would be fetched, which a browser forbids to a page that was opened from disk.
html_show_search_summary = False


class LinksOfFiles(SphinxTransform):
    """Let a link to a standalone page open that page, where MyST would make it a download."""

    default_priority = 400  # type: ignore[assignment]

    def apply(self, **kwargs: object) -> None:
        """Exchange the nodes."""
        up = "../" * self.env.docname.count("/")
        for node in list(self.document.findall(addnodes.download_reference)):
            name, _, anchor = node["reftarget"].rpartition("/")[2].partition("#")
            if name in {path.name for path in STANDALONE}:
                target = f"{up}{name}" + (f"#{anchor}" if anchor else "")
                node.replace_self(nodes.reference("", "", *node.children, refuri=target, internal=True))


class AnchorsOfGitHub(SphinxTransform):
    """Give each heading the anchor that it has on GitHub, beside its own."""

    default_priority = 880  # type: ignore[assignment]

    def apply(self, **kwargs: object) -> None:
        """Add the anchors."""
        for section in self.document.findall(nodes.section):
            slug = section.get("slug")
            if slug and slug not in section["ids"]:
                section["ids"].append(slug)


# Two pieces of code side by side, as GitHub shows them.
PAIR = re.compile(
    r"<table><tr><th>([^<]+)</th><th>([^<]+)</th></tr>"
    r"<tr><td valign=top>(.+?)</td><td valign=top>(.+?)</td></tr></table>",
    re.S,
)
TABS = r"""
::::{tab-set}
:sync-group: framework

:::{tab-item} \1
:sync: lasagne
\3
:::

:::{tab-item} \2
:sync: torch
\4
:::
::::
"""


def change_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the table of contents to the front page, show code of two frameworks as tabs, and pages by their titles."""
    if docname == root_doc:
        source[0] = re.sub(r"^\| \[[\w/-]+\.md\]", "| []", source[0], flags=re.M) + (HERE / "contents.md").read_text()
    elif docname == "docs/idioms":
        source[0] = idioms.page(tabs=True)
    else:
        source[0] = PAIR.sub(TABS, source[0])


def copy_standalone(app: Sphinx, failure: Exception | None) -> None:
    """Copy the standalone pages; what they call X.md is docs/X.html here."""
    if failure is None:
        for path in filter(Path.exists, STANDALONE):
            text = re.sub(r'href="([\w-]+)\.md', r'href="docs/\1.html', path.read_text())
            (Path(app.outdir) / path.name).write_text(text)
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.add_transform(LinksOfFiles)
    app.add_transform(AnchorsOfGitHub)
    app.connect("source-read", change_source)
    app.connect("build-finished", copy_standalone)
