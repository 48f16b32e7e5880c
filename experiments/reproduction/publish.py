"""Keep the small files of finished runs under results/, so that the page can be made again without them.

    python -m experiments reproduction.publish STUDY OUT

STUDY is what `study.py` filled.  Of each run OUT keeps config, environment, history, metrics and all score tables, put
together in one ``scores.csv.gz``; no weights, no paths of the machine, and no pixel of the PICS mocks.  Of each test
set it keeps what the page asks of a stamp: Einstein radius, S/N, and whether the bad-image filter flags it.
"""

import csv
import gzip
import hashlib
import io
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.reproduction.study import Run, read_plan, runs_of_all, train_command
from experiments.runner import carry_out
from lens_common.data.catalogue import read_catalogue
from lens_common.data.quality import THRESHOLDS, flag_stamps, measure_quality
from lens_common.data.stamps import load_stamps
from lens_common.errors import UserError
from lens_common.files import write_json
from lens_common.runs import read_config
from lens_common.scores.tables import read_provenance, read_scores
from lens_modern.report.reading import PARAMETERS

EXTRAS = (
    "probe-*.json", "pixels.json", "panels.npz", "shown.npz", "radial/scores-*.csv", "radial/scores-*.json",
    "radial/coefficients.csv",
)  # fmt: skip


def publish(study: Path, out: Path) -> str:
    """Write the small files of all finished runs of the plan; say how many there are.

    Raises
    ------
    UserError
        If none is finished.
    """
    plan = read_plan()
    finished = [run for run in runs_of_all(plan).values() if (study / run.name / "metrics.json").exists()]
    if not finished:
        raise UserError(f"{study} holds no finished run of this plan; make reproduce PROFILE=quick runs the study")
    out.mkdir(parents=True, exist_ok=True)
    for run in finished:
        publish_run(run, study, out / run.name)
    publish_stamps(study, plan, out)
    for pattern in EXTRAS:
        for path in sorted(study.glob(pattern)):
            target = out / path.relative_to(study)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                write_json(target, without_paths(json.loads(path.read_text())))
            elif path.name.startswith("scores-"):
                _write_gzip(target.with_suffix(".csv.gz"), _rows_of_table(path, path.stem.removeprefix("scores-")))
            else:
                shutil.copyfile(path, target)
    return f"{len(finished)} runs in {out}"


def publish_run(run: Run, study: Path, out: Path) -> None:
    """Write the small files of one run."""
    out.mkdir(exist_ok=True)
    source = study / run.name
    command = f"lens-{run.framework} " + " ".join(train_command(run, "runs/reproduction", run.data and f"{run.data}/"))
    write_json(out / "config.json", {**without_paths(read_config(source)), "command": command})
    for name in ("environment.json", "metrics.json"):
        write_json(out / name, without_paths(json.loads((source / name).read_text())))
    shutil.copyfile(source / "history.csv", out / "history.csv")
    rows, sets, own = [], {}, read_provenance(source / "scores.json")
    for name in ("", *run.sets):
        path = source / (f"scores-{name}.csv" if name else "scores.csv")
        if not path.exists():
            continue
        provenance = read_provenance(path)
        if provenance["model_hash"] != own["model_hash"]:
            raise UserError(
                f"{path} was scored by another model than {source / 'scores.csv'}; remove it and score again"
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if provenance.get("sha256", digest) != digest:
            raise UserError(f"{path} is not the table that its JSON was written beside; remove it and score again")
        scored = _rows_of_table(path, name)
        rows += scored
        about = {key: provenance[key] for key in ("data_hash", "n_stamps")}
        sets.update(dict.fromkeys((row["set"] for row in scored), about))
    digest = _write_gzip(out / "scores.csv.gz", rows)
    network = {key: own[key] for key in ("model", "model_hash")}
    write_json(out / "scores.json", {**network, "sha256": digest, "sets": sets})


def _rows_of_table(path: Path, name: str) -> list[dict[str, str]]:
    """Labelled rows of a score table, by set; those of the own data by fold."""
    return [
        # float32, as the networks give them, in the fewest digits that tell it from the next.
        {"set": name or row["fold"], "id": row["id"], "is_lens": row["is_lens"], "score": str(np.float32(row["score"]))}
        for row in read_scores(path).values()
        if row["is_lens"] and not (name and row["fold"] in ("train", "validation"))
    ]


def _write_gzip(path: Path, rows: list[dict[str, str]]) -> str:
    """Write CSV, compressed to the same bytes each time; return the SHA-256 of the CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0))
    return hashlib.sha256(content).hexdigest()


def without_paths(content: Any) -> Any:
    """Cut absolute paths to their last part, and leave out the linker flags of the BLAS, which hold some."""
    if isinstance(content, dict):
        return {key: without_paths(value) for key, value in content.items() if key != "blas"}
    if isinstance(content, list):
        return [without_paths(value) for value in content]
    if isinstance(content, str) and content.startswith("/"):
        return Path(content).name
    return content


def publish_stamps(study: Path, plan: dict[str, Any], out: Path) -> None:
    """Write what the page asks of each stamp of the test sets that are at hand; what is known of others stays."""
    kept = out / "stamps.csv.gz"
    known = list(csv.DictReader(io.StringIO(gzip.decompress(kept.read_bytes()).decode()))) if kept.exists() else []
    rows = []
    for name in {**plan["sets"], **plan["mocks"]}:
        scored = sorted(study.glob(f"*/scores-{name}.json"))
        if not scored:
            rows += [row for row in known if row["set"] == name]
            continue
        folder = Path(read_provenance(scored[0])["data"])
        data = load_stamps(folder, verbose=True)
        flagged = np.any([*flag_stamps(measure_quality(data), THRESHOLDS).values()], axis=0)
        catalogue = read_catalogue(folder)
        entries = {str(row["id"]): row for row in catalogue}
        for stamp_id, label, flag in zip(map(str, data.ids), data.labels, flagged):
            row = {"set": name, "id": stamp_id, "is_lens": str(int(label)), "flagged": str(int(flag))}
            for key in PARAMETERS:
                present = key in catalogue.colnames and not np.ma.is_masked(entries[stamp_id][key])
                row[key] = f"{float(entries[stamp_id][key]):.5g}" if present else ""
            rows.append(row)
    _write_gzip(kept, rows)


main = partial(carry_out, "publish", __doc__, {"study": {"type": Path}, "out": {"type": Path}}, publish)
