"""Compare environment.yml with the lock and the Dockerfile, without conda; `make lint` runs it.

    python requirements/check_environment.py [ROOT]

Exit code 1, and one sentence on stderr for each difference.
"""

import re
import sys
from pathlib import Path

import yaml

CHANNELS = ["conda-forge", "nodefaults"]
LOCKS = ["requirements/build.txt", "requirements/legacy.txt"]
# What pip needs before it can install the lock, and what no lock holds.
NEEDED = ["python", "pip", "setuptools", "wheel", "cxx-compiler"]


def differences(root: Path) -> list[str]:
    """Sentences about what differs in the checkout at `root`; none if all is well."""
    environment = yaml.safe_load((root / "environment.yml").read_text())
    found = []
    if environment["channels"] != CHANNELS:
        found.append(f"the channels are {environment['channels']}; name {CHANNELS}, in this order")
    pip_lines = [line for part in environment["dependencies"] if isinstance(part, dict) for line in part["pip"]]
    if pip_lines != [f"-r {lock}" for lock in LOCKS]:
        found.append(f"the pip section is {pip_lines}; it must install {' and '.join(LOCKS)}, and nothing beside them")
    missing = [lock for lock in LOCKS if not (root / lock).is_file()]
    if missing:
        return [*found, f"there is no {' and no '.join(missing)}; run `make lock`"]

    expected = {"python": _image_python(root), **{name: pin for lock in LOCKS for name, pin in _pins(root / lock)}}
    named = {}
    for dependency in (part for part in environment["dependencies"] if isinstance(part, str)):
        match = re.fullmatch(r"([a-z0-9-]+)=(\d+(?:\.\d+)+)", dependency)
        if not match:
            found.append(f"{dependency!r} is not an exact pin; write name=version")
            continue
        name, version = named_pin = match.groups()
        named.update([named_pin])
        if name in expected and version != expected[name]:
            where = "the Dockerfile" if name == "python" else "the lock"
            found.append(f"{name} is {version}, but {expected[name]} in {where}; make them equal")
    if sorted(named) != sorted(NEEDED):
        found.append(f"conda installs {sorted(named)}; it must be {sorted(NEEDED)}, and pip does the rest")
    return found


def _image_python(root: Path) -> str:
    """Version in the Dockerfile's base image."""
    match = re.search(r"^ARG BASE_IMAGE=python:([\d.]+)", (root / "Dockerfile").read_text(), re.MULTILINE)
    return match.group(1) if match else "unknown"


def _pins(lock: Path) -> list[tuple[str, ...]]:
    return [match.groups() for match in re.finditer(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE)]


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    sentences = differences(root)
    for sentence in sentences:
        print(f"environment.yml: {sentence}", file=sys.stderr)
    sys.exit(1 if sentences else 0)
