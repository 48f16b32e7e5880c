"""A mirror of interpreters for uv, made of those at hand, in the layout of python-build-standalone.

    mirror.py FOLDER PYTHON ... [--seen-as FOLDER]

FOLDER gets the archives and downloads.json, which UV_PYTHON_DOWNLOADS_JSON_URL names; `--seen-as` says where the
machine that reads it finds that folder.
"""

import argparse
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

LEFT_OUT = {"test", "__pycache__", "share", "site-packages"}
ASKED = "import platform, sys; print(sys.base_prefix, platform.python_version())"


def relocatable(path, prefix):
    """Content of a file of an interpreter as the archives that uv takes hold it: no path of the machine it is from."""
    content, old = path.read_bytes(), prefix.encode()
    if content[:4] == b"\x7fELF":
        where_libraries_lie = old + b"/lib\0"
        return content.replace(where_libraries_lie, b"$ORIGIN/../lib\0".ljust(len(where_libraries_lie), b"\0"))
    return content if b"\0" in content else content.replace(old, b"/install")


def pack(prefix, archive):
    """Write the archive of the interpreter that is installed below a prefix."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(Path(prefix).rglob("*")):
            inside = path.relative_to(prefix)
            if LEFT_OUT & set(inside.parts) or path.suffix == ".a":
                continue
            member = tar.gettarinfo(path, f"python/{inside}")
            if member.isreg() or member.islnk():
                content = relocatable(path, prefix)
                member.type, member.size = tarfile.REGTYPE, len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                tar.addfile(member)


def download(version, url, content):
    """What uv's list of downloads says of one archive."""
    major, minor, patch = map(int, version.split("."))
    return {
        **{"name": "cpython", "arch": {"family": platform.machine(), "variant": None}, "os": "linux", "libc": "gnu"},
        **{"major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None, "build": "20241002"},
        **{"url": url, "sha256": hashlib.sha256(content).hexdigest()},
    }


def make_mirror(folder, pythons, seen_as=None):
    """Pack the interpreters behind some Pythons; return the path of the list of downloads.

    Parameters
    ----------
    folder : pathlib.Path
        Where the archives and ``downloads.json`` go.
    pythons : list of path
        Virtual environments' interpreters serve, too; none may be part of the system.
    seen_as : pathlib.Path, optional
        Where the machine that reads the list finds the folder; by default where it is here.

    Raises
    ------
    ValueError
        If a Python is part of the system, and so no folder of its own.
    """
    listed = {}
    for python in pythons:
        done = subprocess.run([str(python), "-c", ASKED], stdout=subprocess.PIPE, text=True, check=True)
        prefix, version = done.stdout.split()
        if Path(prefix) == Path("/usr"):
            raise ValueError(f"{python} is part of the system and cannot be packed: take one of pyenv or uv")
        name = f"cpython-{version}-linux-{platform.machine()}-gnu"
        archive = folder / f"{name}.tar.gz"
        pack(prefix, archive)
        listed[name] = download(version, (Path(seen_as or folder) / archive.name).as_uri(), archive.read_bytes())
    path = folder / "downloads.json"
    path.write_text(json.dumps(listed))
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("pythons", nargs="+", type=Path, metavar="PYTHON")
    parser.add_argument("--seen-as", type=Path)
    options = parser.parse_args()
    try:
        make_mirror(options.folder, options.pythons, options.seen_as)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
