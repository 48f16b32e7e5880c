"""Malformed files by the ten thousand through every reader, and kills at random moments of every verb.

    python tests/endurance.py --files 100000 --kills 100 --out counts.json

Runs in either interpreter, for an hour or more; each part replaces what the file held of it.  A malformed file must
give cutouts or a reason, within ten seconds and the memory; a killed command must leave nothing that its next run
trips over, and come to the results of one that was left alone.
"""

import argparse
import contextlib
import gzip
import importlib.util
import io
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from astropy.io import fits

from lens_common.data.decoding import decode_stamp, examine_stamp
from lens_common.data.headers import StampError
from lens_common.errors import UserError

SIDE = "modern" if importlib.util.find_spec("lens_modern") else "legacy"
MOST_BYTES, MOST_SECONDS = 6 * 2**30, 10
AT_ONCE = 1000  # files that one process reads
KEYS = "NAXIS NAXIS1 NAXIS2 NAXIS3 BITPIX BSCALE BZERO ZNAXIS1 ZTILE1 PCOUNT GCOUNT TFORM1 TFIELDS XTENSION END SIMPLE"
VALUES = ["0", "-1", "1", "7", "T", "99999", "2147483647", "9" * 19, "1E400", "'x'", ""]


def good_files():
    """Small files of every kind that this interpreter reads, by their name."""
    pixels = np.random.RandomState(0).normal(0, 4, (3, 12, 12)).astype(np.float32)

    def content_of(*units):
        file = io.BytesIO()
        fits.HDUList(list(units)).writeto(file)
        return file.getvalue()

    tiles = content_of(fits.PrimaryHDU(), fits.CompImageHDU(pixels[0], compression_type="RICE_1"))
    files = {"plain.fits": content_of(fits.PrimaryHDU(pixels[0])), "tiles.fits": tiles}
    files["packed.fits.gz"] = gzip.compress(files["plain.fits"])
    if SIDE == "legacy":
        return files
    import h5py
    import pyarrow as pa
    import pyarrow.parquet as pq

    files["cube.fits"] = content_of(fits.PrimaryHDU(pixels))
    files["cube.fits.gz"] = gzip.compress(files["cube.fits"])
    files["extensions.fits"] = content_of(fits.PrimaryHDU(), *map(fits.ImageHDU, pixels))
    files["table.fits"] = content_of(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("a", "E")]))
    for name, chunks in (("plain.h5", None), ("chunks.h5", (1, 12, 12))):
        with io.BytesIO() as file:
            with h5py.File(file, "w") as stored:
                stored.create_dataset("images", data=pixels, chunks=chunks)
                stored["id"], stored["is_lens"] = [b"a", b"b", b"c"], [0, 1, 1]
            files[name] = file.getvalue()
    with io.BytesIO() as file:
        lists = pa.array([list(map(float, row.ravel())) for row in pixels], pa.list_(pa.float32(), 144))
        pq.write_table(pa.table({"id": ["a", "b", "c"], "stamps": lists}), file)
        files["lists.parquet"] = file.getvalue()
    for name, write in (("array.npy", np.save), ("array.npz", lambda file, array: np.savez(file, stamps=array))):
        with io.BytesIO() as file:
            write(file, pixels)
            files[name] = file.getvalue()
    return files


def malformed(content, random):
    """Bytes changed, cards replaced, parts cut out, doubled or zeroed, one to four times."""
    content = bytearray(content)
    for _ in range(random.randint(1, 5)):
        place = random.randint(0, max(len(content), 1))
        length = random.randint(1, 3000)
        kind = random.randint(0, 6)
        if kind == 0:
            content[place : place + 1] = bytes([random.randint(0, 256)])
        elif kind == 1 and content[:6] == b"SIMPLE":
            place = random.randint(0, min(len(content), 8640)) // 80 * 80
            key, value = random.choice(KEYS.split()), random.choice(VALUES)
            content[place : place + 80] = f"{key:8}= {value:>20}".ljust(80).encode()
        elif kind == 2:
            number = random.choice([0, 1, 2**31 - 1, 2**63 - 1]).item().to_bytes(8, "little")
            content[place : place + 8] = number
        elif kind == 3:
            del content[place : place + length]
        elif kind == 4:
            content[place:place] = content[place : place + length]
        elif kind == 5:
            content[place : place + length] = bytes(min(length, len(content) - place))
    return bytes(content)


def read_all(path):
    """Read a file as its user would, and say what came of it."""
    if SIDE == "legacy":
        outcomes = [examine_stamp("a", "a", lambda: decode_stamp(path.read_bytes()))]
    else:
        from lens_modern.survey.readers import READERS, find_reader

        try:
            reader = READERS[find_reader(path)]
            cutouts = [cutout for _, rows in reader.plan(path, 2) for cutout in reader.read(path, rows)]
            outcomes = [examine_stamp(cutout.id, cutout.path, cutout.read) for cutout in cutouts]
        except (StampError, UserError):
            return "refused"
    if any("cannot be decoded" in row.rejection.reason for row in outcomes if row.rejection):
        return "set aside by the last resort"
    return "set aside" if all(row.stamp is None for row in outcomes) else "read"


def read_some(folder, numbers, seed):
    """In a process of its own: read malformed files, and report each before and after."""
    files = good_files()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with open(folder / "report", "ab", buffering=0) as report:
        for number in numbers:
            random = np.random.RandomState([seed, number])
            name = sorted(files)[random.randint(len(files))]
            path = folder / name
            path.write_bytes(malformed(files[name], random))
            report.write(pickle.dumps((number, name)))
            try:
                what = read_all(path)
            except BaseException as error:
                what = f"fault: {type(error).__name__}: {error}"[:200]
            report.write(pickle.dumps(what))


def watch(folder, numbers, seed):
    """Have files read, and end the process that takes too long over one; pairs of (number, name) and outcome."""
    report = folder / "report"
    report.write_bytes(b"")
    process = get_context("spawn").Process(target=read_some, args=(folder, numbers, seed))
    process.start()
    size, since = 0, time.monotonic()
    try:
        # Longer for the imports before the first, on a busy machine.
        while process.is_alive() and time.monotonic() - since < MOST_SECONDS * (2 if size else 30):
            process.join(0.5)
            if report.stat().st_size > size:
                size, since = report.stat().st_size, time.monotonic()
        is_hung = process.is_alive()
    finally:
        process.kill()
        process.join()
    told = []
    with open(report, "rb") as file:
        while file.peek(1):
            told.append(pickle.load(file))
    end = "hangs: for ever, as it seems" if is_hung else f"fault: the process ended with {process.exitcode}"
    return list(zip(told[::2], [*told[1::2], end]))


def fuzz(n_files, seed):
    """Counts by kind of file and outcome; faults with the seed that makes them again."""
    counts, faults, done = Counter(), [], 0
    with tempfile.TemporaryDirectory() as place:
        with contextlib.suppress(KeyboardInterrupt):  # what was counted until then is kept
            while done < n_files:
                read = watch(Path(place), range(done, min(done + AT_ONCE, n_files)), seed)
                for (number, name), what in read:
                    counts[name, what.split(":")[0]] += 1
                    if what.startswith(("fault", "hangs")):
                        faults.append([seed, number, name, what])
                        print(f"{seed}, {number}, {name}: {what}", file=sys.stderr, flush=True)
                if not read:
                    raise SystemExit("no file was read: see above")
                done += len(read)
                print(f"{done} of {n_files} files, {len(faults)} faults", file=sys.stderr, flush=True)
    return counts, faults


def verbs(folder):
    """Command lines by verb, each with the files that two runs of it must have alike."""
    stamps, run = folder / "stamps", folder / "run"
    train = ["--model", "cnn", "--mocks", "60", "--epochs", "3", "--batch-size", "20", "--preset", "demo"]
    found = {
        "simulate": (["simulate", "--mocks", "400", "--out", "OUT"], ["**/*.fits.gz", "**/catalogue.ecsv"]),
        "train": (["train", *train, "--out", "OUT"], ["weights.npz", "metrics.json", "scores.csv"]),
        "score": (["score", str(stamps), "--model", "cnn", "--out", "OUT/s.csv"], ["s.csv"]),
        "evaluate": (["evaluate", str(run), "--data", str(stamps)], [f"{run}/metrics-*.json"]),
        "inspect": (["inspect", str(stamps), "--out", "OUT/i.png"], ["i.png"]),
        "pairs": (["pairs", f"{folder}/pairs", "--model", "cnn", "--out", "OUT/p.png"], ["p.json", "p.png"]),
        "maps": (["maps", str(stamps), "--model", "cnn", "--most", "2", "--out", "OUT/m.png"], ["m.png"]),
        "compare": (["compare", f"{folder}/a.csv", f"{folder}/b.csv", "--out", "OUT/c.png"], ["c.json"]),
    }
    if SIDE == "modern":
        found["report"] = (["report", str(run), "--out", "OUT/r.html"], ["r.html"])
        found["export"] = (["export", str(run), "--out", "OUT/n.onnx"], ["n.onnx"])
    return found


def start_of(command, out):
    """Begin a command, its output in a file."""
    line = [sys.executable, "-m", f"lens_{SIDE}", *(word.replace("OUT", str(out)) for word in command)]
    said = open(out.with_suffix(".said"), "wb")
    return subprocess.Popen(line, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)


def contents(out, patterns):
    """Bytes of what a command made; of archives the arrays."""
    found = {}
    for pattern in patterns:
        base, pattern = (Path(pattern).parent, Path(pattern).name) if pattern.startswith("/") else (out, pattern)
        for path in sorted(base.glob(pattern)):
            content = path.read_bytes()
            if path.suffix == ".npz":
                with np.load(path) as stored:
                    content = b"".join(stored[name].tobytes() for name in sorted(stored.files))
            found[path.name] = content.replace(str(out).encode(), b"OUT")
    return found


def kill(n_kills, seed):
    """Counts by verb and phase of what came of kills; of those that left a mark what was said."""
    random, counts, faults = np.random.RandomState(seed), Counter(), []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, command in (
            ("stamps", ["simulate", "--mocks", "60", "--seed", "5", "--out", "OUT"]),
            ("pairs", ["simulate", "--pairs", "--mocks", "60", "--seed", "6", "--out", "OUT"]),
            ("run", [*verbs(folder)["train"][0]]),
            ("a", ["score", f"{folder}/stamps", "--model", "cnn", "--out", f"{folder}/a.csv"]),
            ("b", ["score", f"{folder}/stamps", "--model", "resnet", "--out", f"{folder}/b.csv"]),
        ):
            if start_of(command, folder / name).wait():
                raise SystemExit((folder / name).with_suffix(".said").read_text())
        expected, seconds = {}, {}
        for verb, (command, patterns) in verbs(folder).items():
            out = folder / f"{verb}-undisturbed"
            out.mkdir() if verb not in ("simulate", "train") else None
            since = time.monotonic()
            if start_of(command, out).wait():
                raise SystemExit(out.with_suffix(".said").read_text())
            seconds[verb], expected[verb] = time.monotonic() - since, contents(out, patterns)
            if not expected[verb]:
                raise SystemExit(f"{verb} made nothing that matches {patterns}")
        for number in range(n_kills):
            verb = list(expected)[number % len(expected)]
            signum = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT][random.randint(3)]
            command, patterns = verbs(folder)[verb]
            out = folder / f"{verb}-{number}"
            out.mkdir() if verb not in ("simulate", "train") else None
            process = start_of(command, out)
            time.sleep(random.uniform(0.02, 1.1) * seconds[verb])
            phase = _phase(process, out)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signum)
            process.wait()
            said = out.with_suffix(".said").read_text(errors="replace")
            problem = "a traceback" if "Traceback" in said else ""
            status = start_of(command, out).wait()
            after = out.with_suffix(".said").read_text(errors="replace")
            if not problem and (status or contents(out, patterns) != expected[verb]):
                problem = f"status {status} of the next run" if status else "other results"
            counts[verb, phase, problem or "as if left alone"] += 1
            if problem:
                faults.append(
                    [seed, number, verb, signal.Signals(signum).name, phase, problem, said[-600:], after[-600:]]
                )
            shutil.rmtree(out, ignore_errors=True)
            print(f"kill {number + 1} of {n_kills}: {verb}, {phase}: {problem or 'well'}", file=sys.stderr, flush=True)
    return counts, faults


def _phase(process, out):
    """What a command was at when it was killed: read off what is on the disk and what it said."""
    if process.poll() is not None:
        return "ended"
    if out.with_suffix(".said").stat().st_size:
        return "at work"
    return "at work" if out.exists() and any(out.iterdir()) else "imports"


def main():
    """Count, and write the counts down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    table = json.loads(options.out.read_text()) if options.out.exists() else {}
    for part, number, go in (("files", options.files, fuzz), ("kills", options.kills, kill)):
        if number:
            counts, faults = go(number, options.seed)
            table[part] = {"counts": [[*key, count] for key, count in sorted(counts.items())], "faults": faults}
            options.out.write_text(json.dumps(table, indent=1) + "\n")
            print(f"{sum(counts.values())} {part}, {len(faults)} faults: {options.out}")


if __name__ == "__main__":
    main()
