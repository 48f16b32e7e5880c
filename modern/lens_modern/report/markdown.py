"""Words of others (names of folders and sets, reasons, what a file held) as Markdown that says just them."""

import re


def plain(text: str) -> str:
    """Markdown for a text: nothing in it is markup, a link, a picture or a new line.

    A vertical bar stays, as only a table's cell has to escape it.
    """
    text = " ".join(str(text).split())
    text = re.sub(r"([\\`*~#\[\]]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Markdown for a name, as code; a name that holds backticks stands between more of them."""
    text = " ".join(str(text).split())
    longest = max(map(len, re.findall("`+", text)), default=0)
    return f"{'`' * (longest + 1)} {text} {'`' * (longest + 1)}" if longest else f"`{text}`"
