"""The walls between the packages: which may import which, in the source and in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import vitviz

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vitviz"
HEAVY = {"torch", "timm", "streamlit", "transformers"}
FOUNDATION = {"errors", "tokens", "heatmap", "outputs", "progress", "references"}
ENGINE = FOUNDATION | {"assets", "images", "models", "capture", "tracing", "analysis"}

# Part -> the parts it may import. A part is a package or a module directly under vitviz.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "tokens": {"errors"},
    "heatmap": {"errors"},
    "outputs": set(),
    "references": set(),
    "glossary": set(),
    "progress": set(),
    "assets": {"errors"},
    "images": {"errors", "assets"},
    "samples": {"errors", "assets", "images"},
    "figure": FOUNDATION,
    "frontend": set(),
    "models": FOUNDATION | {"assets", "capture"},
    "capture": FOUNDATION,
    "analysis": FOUNDATION | {"capture"},
    "draw": FOUNDATION | {"assets", "figure"},
    "tracing": FOUNDATION | {"images", "models", "capture"},
    "explaining": FOUNDATION | {"models", "capture", "analysis"},
    "support": FOUNDATION | {"models", "capture"},
    "survey": ENGINE,
    "figures": ENGINE | {"draw", "figure"},
    "plot": ENGINE | {"draw", "figure", "figures", "explaining"},
    "commands": ENGINE | {"draw", "figure", "figures", "samples", "support", "survey"},
    "__main__": {"commands", "errors"},
}

# Part -> what it must not load, by itself or through anything it imports.
MUST_NOT_LOAD: dict[str, set[str]] = {
    "errors": HEAVY,
    "tokens": HEAVY,
    "heatmap": HEAVY,
    "outputs": HEAVY,
    "references": HEAVY,
    "glossary": HEAVY,
    "progress": HEAVY,
    "assets": HEAVY,
    "figure": HEAVY,
    "frontend": HEAVY,
    "images": HEAVY,
    "samples": HEAVY,
    "draw": HEAVY,
    "__main__": HEAVY,
    "commands": HEAVY,  # "--help" answers at once
    "capture": {"timm", "streamlit", "transformers"},
    "analysis": {"timm", "streamlit", "transformers"},
    "models": {"streamlit", "transformers"},  # an optional extra: loaded when a model of it is asked for
    "tracing": {"streamlit", "transformers"},
    "support": {"streamlit", "transformers"},
    "survey": {"streamlit", "transformers"},
    "figures": {"streamlit", "transformers"},
    "explaining": {"streamlit", "transformers"},
    "plot": {"streamlit", "transformers"},
}

IMPORT_ONE_BY_ONE = """
import importlib, json, sys
import vitviz
assert not {"torch", "timm", "streamlit", "transformers"} & set(sys.modules), "import vitviz is light"
for forbidden, modules in json.loads(sys.argv[1]):
    for module in modules:
        importlib.import_module(module)
        if loaded := sorted(set(forbidden) & set(sys.modules)):
            sys.exit(f"{module} loads {', '.join(loaded)}")
"""


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def sources(part: str) -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if part_of(path) == part]


def parts() -> list[str]:
    return sorted({part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"})


def imported_modules(path: Path) -> Iterator[str]:
    """Every module a source file imports, wherever the import stands: inside functions and type checks too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; the project writes vitviz.package"
            assert node.module is not None
            if node.module == "vitviz":  # a part, or a public name, which stands for the part that defines it
                yield from (vitviz._PUBLIC.get(alias.name, f"vitviz.{alias.name}") for alias in node.names)
            else:
                yield node.module


def test_every_part_has_its_walls() -> None:
    unknown = set(parts()) - set(MAY_IMPORT) - {"ui"}
    assert not unknown, f"say in MAY_IMPORT and MUST_NOT_LOAD what these may import: {sorted(unknown)}"
    assert MAY_IMPORT.keys() == MUST_NOT_LOAD.keys()


@pytest.mark.parametrize("part", [part for part in parts() if part != "ui"])
def test_a_part_imports_only_the_parts_it_may(part: str) -> None:
    for path in sources(part):
        for module in imported_modules(path):
            top, *rest = module.split(".")
            if top == "vitviz" and rest and rest[0] != "__version__":
                assert rest[0] == part or rest[0] in MAY_IMPORT[part], f"{path.name} imports {module}"
            assert top != "streamlit", f"{path.name} imports {module}: only vitviz.ui does"
            assert top != "timm" or part == "models", f"{path.name} imports {module}: only vitviz.models does"
            assert top != "transformers" or path.parent.name == "hugging_face", f"{path.name} imports {module}"
            assert top != "torch" or "torch" not in MUST_NOT_LOAD[part], f"{path.name} imports {module}"


def test_a_part_loads_nothing_heavy_in_a_fresh_interpreter() -> None:
    """One interpreter for all parts: those that may load the least come first, so that nothing loaded is there by right."""
    order = sorted(MUST_NOT_LOAD, key=lambda part: -len(MUST_NOT_LOAD[part]))
    for part, following in pairwise(order):
        assert MUST_NOT_LOAD[part] >= MUST_NOT_LOAD[following], f"{part} and {following} need an interpreter each"
    request = [(sorted(MUST_NOT_LOAD[part]), [module_name(path) for path in sources(part)]) for part in order]
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ONE_BY_ONE, json.dumps(request)], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr


def test_the_user_interface_leaves_timm_to_the_models() -> None:
    for path in sources("ui"):
        assert not {"timm", "transformers"} & {module.partition(".")[0] for module in imported_modules(path)}, path.name


def test_only_the_app_itself_imports_the_user_interface() -> None:
    for path in PACKAGE.rglob("*.py"):
        if part_of(path) != "ui":
            assert not any(module.startswith("vitviz.ui") for module in imported_modules(path)), path.name
