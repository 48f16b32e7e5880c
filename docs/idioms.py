"""Write docs/idioms.md from idioms.toml; run every cell of one side and keep its numbers.

.venv-modern/bin/python docs/idioms.py              the page
PYTHON docs/idioms.py legacy|torch ROWS.json OUT.npz    the numbers of one side, in its own interpreter
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
COLUMNS = {"lasagne": "Lasagne", "keras": "Keras", "torch": "PyTorch"}


def arrays() -> "dict[str, Any]":
    """What all cells compute with."""
    random = np.random.RandomState(0)
    logits, labels = random.normal(size=(4, 2)), np.array([0, 1, 1, 0])
    return {
        "np": np,
        "stamps": random.normal(size=(4, 2, 6, 6)),
        "kernels": random.normal(size=(3, 2, 3, 3)),
        "dense": random.normal(size=(72, 2)),
        "bias2": np.array([0.5, -1.0]),
        "vector": np.array([0.3, -2.0, 1e-2]),
        "ties": np.array([[[[3.0, 1.0], [3.0, 3.0]]]]),
        "logits": logits,
        "labels": labels,
        "truth": np.eye(2)[labels],
        "probabilities": 1 / (1 + np.exp(-logits)),
        "last": lambda values: np.moveaxis(values, 1, 3),
    }


def legacy() -> "dict[str, Any]":
    """Names for the cells of Lasagne and Keras."""
    from lens_legacy import backend

    backend.prepare("float64")
    import keras
    import lasagne
    import theano
    import theano.tensor as T
    from keras import backend as K

    from lens_legacy import layers

    names = {**arrays(), "T": T, "K": K, "theano": theano, "lasagne": lasagne, "keras": keras}
    names.update(
        {name: getattr(lasagne.layers, name) for name in dir(lasagne.layers) if callable(getattr(lasagne.layers, name))}
    )
    names.update(BatchNormLayer=layers.BatchNormLayer, elu=layers.elu, identity=lasagne.nonlinearities.identity)
    names["images"] = lasagne.layers.InputLayer((4, 2, 6, 6), input_var=T.as_tensor(names["stamps"]))
    names["tied"] = T.tensor4()
    names["first"] = lambda values: values.dimshuffle(0, 3, 1, 2)

    def loss_of(w: Any) -> Any:
        return 0.5 * (w**2).sum()

    def steps(update: Any, **options: float) -> Any:
        w = theano.shared(names["vector"])
        step = theano.function([], [], updates=update(loss_of(w), [w], **options))
        for _ in range(3):
            step()
        return w.get_value()

    def keras_steps(optimizer: Any) -> Any:
        w = K.variable(names["vector"])
        step = K.function([], [], updates=optimizer.get_updates(loss_of(w), [w]))
        for _ in range(3):
            step([])
        return K.get_value(w)

    def again(values: Any) -> Any:
        file = io.BytesIO()
        np.savez(file, *values)
        file.seek(0)
        stored = np.load(file)
        return [stored[name] for name in stored.files]

    lasagne.random.set_rng(np.random.RandomState(1))
    return {**names, "steps": steps, "keras_steps": keras_steps, "again": again}


def torch() -> "dict[str, Any]":
    """Names for the cells of PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional

    from lens_modern.faithful import Adam, BatchNormLayer, max_pool

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    names = {**arrays(), "torch": torch, "nn": nn, "functional": functional, "tensor": torch.tensor}
    names.update(tensor=lambda values: torch.tensor(np.ascontiguousarray(values), dtype=torch.float64))

    def steps(optimizer: Any, **options: float) -> Any:
        w = names["tensor"](names["vector"]).requires_grad_()
        stepped = optimizer([w], **options)
        for _ in range(3):
            w.grad = w.detach().clone()
            stepped.step()
        return w

    def own_steps(optimizer: Any, rate: float, **options: float) -> Any:
        w = names["tensor"](names["vector"])
        stepped = optimizer({"w": w})
        for _ in range(3):
            w.grad = w.clone()
            stepped.step(rate, **options)
        return w

    def again(state: Any) -> Any:
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        return torch.load(file)

    return {
        **names,
        "steps": steps,
        "own_steps": own_steps,
        "again": again,
        "Adam": Adam,
        "Norm": BatchNormLayer,
        "max_pool": max_pool,
    }


def value_of(cell: str, names: "dict[str, Any]") -> np.ndarray:
    """Run the lines of a cell; the last one is an expression."""
    *lines, last = cell.split("\n")
    names = dict(names)
    exec("\n".join(lines), names)
    value = eval(last, names)
    for method in ("detach", "eval"):
        if not isinstance(value, np.ndarray) and hasattr(value, method):
            value = getattr(value, method)()
            break
    return np.asarray(value, dtype=float)


def run(side: str, rows: str, out: str) -> None:
    """Write the numbers of one side: ``K lasagne``, ``K keras`` or ``K torch`` for row K."""
    names = {"legacy": legacy, "torch": torch}[side]()
    columns = ("lasagne", "keras") if side == "legacy" else ("torch",)
    values = {}
    for number, row in enumerate(json.loads(Path(rows).read_text())):
        for column in columns:
            if column in row:
                values[f"{number} {column}"] = value_of(row[column], names)
    np.savez(out, **values)  # type: ignore[arg-type]


def read() -> "list[dict[str, Any]]":
    """Groups of rows."""
    import tomllib

    return tomllib.loads((HERE / "idioms.toml").read_text())["group"]


def table_of(rows: "list[dict[str, Any]]") -> str:
    """Write rows as a table, which GitHub shows."""
    lines = ["| | Lasagne | Keras | PyTorch | trap |", "|---|---|---|---|---|"]
    for row in rows:
        cells = ["<br>".join(f"`{line}`" for line in row.get(c, "").split("\n") if line) or "-" for c in COLUMNS]
        lines.append("| {} | {} | {} |".format(row["what"], " | ".join(cells), row["trap"]))
    return "\n".join(lines)


def tabs_of(rows: "list[dict[str, Any]]") -> str:
    """Write rows as tabs, which the site shows: choose a framework in one, and all others follow."""
    parts = []
    for row in rows:
        items = [
            f":::{{tab-item}} {title}\n:sync: {column}\n```python\n{row[column].strip()}\n```\n:::"
            if column in row
            else f":::{{tab-item}} {title}\n:sync: {column}\nNot compared here.\n:::"
            for column, title in COLUMNS.items()
        ]
        what = row["what"][0].upper() + row["what"][1:]
        parts.append("\n".join([f"**{what}**\n", "::::{tab-set}\n:sync-group: framework\n", *items, "::::\n"]))
        if row["trap"]:
            parts.append(f"*Trap:* {row['trap']}.\n")
    return "\n".join(parts)


def page(tabs: bool = False) -> str:
    """Write the page as Markdown, its rows as tables or as tabs."""
    from lens_common.files import read_csv

    effects = {
        row["planted"]: "AUROC {:+.4f} ± {:.4f}".format(float(row["difference"]), float(row["standard_error"]))
        for row in read_csv(HERE.parent / "results/agreement/planted.csv")
    }
    groups = read()
    count = sum(len(group["row"]) for group in groups)
    parts = [
        "<!-- Made by `make docs` from idioms.toml and results/; edit those. -->",
        "# A table of idioms",
        f"The same computation in Lasagne, Keras and PyTorch: {count} rows in {len(groups)} groups. `make test` runs "
        "every cell in its own interpreter and demands the same numbers of all cells of a row. A trap says what goes "
        "wrong under the same name; where it was planted in the twins, its effect on the AUROC over three seeds stands "
        "beside it ([differences.md](differences.md) explains each).",
        "`T` is `theano.tensor`, `K` is `keras.backend`, `functional` is `torch.nn.functional`. `stamps` is an array "
        "(4, 2, 6, 6), `images` an input layer of it; `last` and `first` move the channels there. `steps` takes three "
        "steps down half the squared length of a vector. [idioms.py](idioms.py) holds all of them.",
    ]
    for group in groups:
        rows = [{**row, "trap": row.get("trap", "").format(**effects)} for row in group["row"]]
        parts += [f"## {group['title']}", (tabs_of if tabs else table_of)(rows)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if sys.argv[1:]:
        run(*sys.argv[1:])
    else:
        (HERE / "idioms.md").write_text(page())
        print("wrote docs/idioms.md")
