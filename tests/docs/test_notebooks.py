"""The notebooks run from the first cell to the last, without a network and in one process, and are kept without outputs."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import vitviz

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def run_cell(source: str, names: dict[str, Any], where: str) -> Any:
    """Runs a cell as a notebook does, and gives the value of a last line that is an expression."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body, value = [*body, last], None
    exec(compile(ast.Module(body, []), where, "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), where, "eval"), names)
    return value


def shown(value: Any) -> None:
    """What a notebook does with a cell's value: a picture where there is one, otherwise its repr, which has to be short."""
    if hasattr(value, "_repr_png_"):
        assert value._repr_png_().startswith(b"\x89PNG")
    elif hasattr(value, "savefig"):
        value.canvas.draw()
    else:
        assert len(repr(value)) < 1000


@pytest.mark.parametrize("name", ["test_vit", "swin_tiny_patch4_window7_224"])
def test_models_traces_and_their_parts_are_one_short_line(name: str) -> None:
    model = vitviz.load_model(name, weights="random")
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    for value in (model, trace, trace.layers[0]):
        assert len(repr(value)) < 160 and "\n" not in repr(value)
    assert f"{trace.num_layers} layers of attention" in repr(trace)


def test_there_are_four_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["compare_methods", "first_look", "heads_over_layers", "own_model"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(path)):
        if cell["cell_type"] == "code":
            shown(run_cell("".join(cell["source"]), names, f"{path.name}, cell {number}"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    for cell in notebook["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None
    first = notebook["cells"][0]
    assert first["cell_type"] == "markdown" and first["source"][0].startswith("# ")
