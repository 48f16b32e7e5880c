"""Links from a page to a glossary: each term once, where it is first used."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lens_common.errors import UserError

from .page import Report, Section

# Code, links and addresses: nothing in them is a term.
_APART = re.compile(r"(`[^`]*`|!?\[[^\]]*\]\([^)]*\)|<[^>]*>|https?://\S+)")


def read_glossary(path: Path) -> dict[str, str]:
    """Terms of a glossary.

    Parameters
    ----------
    path : Path
        Markdown: each term is a heading of level 3, other words for it stand in parentheses behind it.

    Returns
    -------
    dict of str to str
        Anchor by term, longest first.

    Raises
    ------
    UserError
        If there is no such file, or a term stands there twice.
    """
    try:
        headings = re.findall(r"^### (.+)$", path.read_text(), re.MULTILINE)
    except OSError as error:
        raise UserError(f"cannot read the glossary {path}: {error.strerror}") from error
    terms: dict[str, str] = {}
    for heading in headings:
        words, _, others = heading.partition(" (")
        for term in [words, *others.rstrip(")").split(", ")] if others else [words]:
            if term.lower() in {known.lower() for known in terms}:
                raise UserError(f"the glossary {path} explains {term!r} twice; keep one")
            terms[term] = anchor_of(heading)
    return dict(sorted(terms.items(), key=lambda entry: -len(entry[0])))


def anchor_of(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class Linker:
    """Links terms in the Markdown of one page, each anchor once.

    Parameters
    ----------
    terms : dict of str to str
        Anchor by term.
    address : str
        Of the glossary, from the page.
    """

    def __init__(self, terms: Mapping[str, str], address: str) -> None:
        self.terms, self.address = terms, address
        self.linked: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text with links at the terms that no text before it had."""
        self.linked |= set(re.findall(rf"\]\({re.escape(self.address)}#([^)]*)\)", text))
        for term, anchor in self.terms.items():
            if anchor not in self.linked:
                text = self._link(text, term, anchor)
        return text

    def _link(self, text: str, term: str, anchor: str) -> str:
        # A capital in the term is part of it; other terms may begin a sentence.
        first = re.escape(term[0]) if term[0].isupper() else f"[{term[0]}{term[0].upper()}]"
        pattern = re.compile(rf"(?<![\w-]){first}{re.escape(term[1:])}s?(?![\w-])")
        parts = _APART.split(text)
        for i in range(0, len(parts), 2):
            match = pattern.search(parts[i])
            if match:
                link = f"[{match[0]}]({self.address}#{anchor})"
                parts[i] = parts[i][: match.start()] + link + parts[i][match.end() :]
                self.linked.add(anchor)
                break
        return "".join(parts)


def link_markdown(text: str, terms: Mapping[str, str], address: str) -> str:
    """A Markdown page whose prose links each term where it is first used; code, tables and headings stay."""
    linker, lines, fenced = Linker(terms, address), [], False
    linker.linked |= set(re.findall(rf"\]\({re.escape(address)}#([^)]*)\)", text))
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        apart = fenced or line.startswith(("#", "|", "<", "    ", "```", "!", "[", ">"))
        lines.append(line if apart else linker(line))
    return "\n".join(lines)


def link_terms(report: Report, terms: Mapping[str, str], address: str) -> Report:
    """A report whose lead, paragraphs and notes link each term where it is first used."""
    linker = Linker(terms, address)
    opening = _linked(report.opening, linker) if report.opening else None
    lead = linker(report.lead)
    return replace(
        report, opening=opening, lead=lead, sections=[_link_section(part, linker) for part in report.sections]
    )


def _link_section(section: Section, linker: Callable[[str], str]) -> Section:
    blocks = [linker(block) if isinstance(block, str) else _linked(block, linker) for block in section.blocks]
    return replace(section, blocks=blocks, sections=[_link_section(part, linker) for part in section.sections])


def _linked(block: Any, linker: Callable[[str], str]) -> Any:
    return replace(block, note=linker(block.note)) if block.note else block
