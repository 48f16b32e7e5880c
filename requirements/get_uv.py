"""Fetch the uv that modern.txt pins, where there is no pip to do so: a wheel of PyPI, checked against the hashes.

    get_uv.py FOLDER

Any Python 3.6 or newer runs it.  What pip is told of an index and of certificates holds here, too.
"""

import configparser
import hashlib
import html
import io
import os
import platform
import re
import ssl
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

PINS = Path(__file__).resolve().with_name("modern.txt")
SECONDS = 60


def setting(name, default=None):
    """Value of a setting of pip: its environment variable comes before its files."""
    if os.environ.get("PIP_" + name.upper().replace("-", "_")):
        return os.environ["PIP_" + name.upper().replace("-", "_")]
    files = configparser.RawConfigParser()
    home = Path.home()
    places = ["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf", os.environ.get("PIP_CONFIG_FILE")]
    files.read([str(place) for place in places if place])
    return files.get("global", name, fallback=default)


def suits_this_machine(wheel):
    """Whether a wheel's last part names this system and processor."""
    system, processor = platform.system(), platform.machine()
    if system == "Darwin":
        return re.search(rf"macosx_\w+_{processor}\.whl$", wheel)
    library = "manylinux" if platform.libc_ver()[0] else "musllinux"
    return system == "Linux" and re.search(rf"{library}_\w+_{processor}(\.\w+)?\.whl$", wheel)


def fetch(address):
    """Content at an address."""
    certificates = setting("cert") or os.environ.get("SSL_CERT_FILE")
    context = ssl.create_default_context(cafile=certificates)
    with urllib.request.urlopen(address, timeout=SECONDS, context=context) as answer:
        return answer.read()


def fetch_uv(folder):
    """Write the program into a folder, whole or not at all."""
    version, hashes = re.search(r"^uv==(\S+)((?:\s+(?:\\\s+)?--hash=\S+)+)", PINS.read_text(), re.MULTILINE).groups()
    page = setting("index-url", "https://pypi.org/simple").rstrip("/") + "/uv/"
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', fetch(page).decode())]
    named = {urllib.parse.urlparse(link).path.rpartition("/")[2]: urllib.parse.urljoin(page, link) for link in links}
    fitting = sorted(name for name in named if name.startswith(f"uv-{version}-") and suits_this_machine(name))
    if not fitting:
        raise OSError(f"{page} has no uv {version} for {platform.system()} on {platform.machine()}")
    wheel = fetch(named[fitting[0]])
    if f"sha256:{hashlib.sha256(wheel).hexdigest()}" not in hashes:
        raise OSError(f"{fitting[0]} has none of the hashes in {PINS.name}")
    program = zipfile.ZipFile(io.BytesIO(wheel)).read(f"uv-{version}.data/scripts/uv")
    partial = folder / "uv.partial"
    try:
        partial.write_bytes(program)
        partial.chmod(0o755)
        partial.replace(folder / "uv")
    finally:
        if partial.exists():
            partial.unlink()


if __name__ == "__main__":
    try:
        fetch_uv(Path(sys.argv[1]))
    except OSError as error:
        sys.exit(f"uv was not fetched: {getattr(error, 'reason', None) or error}")
