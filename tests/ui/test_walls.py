"""The walls inside the app: which of its parts may import which, and what is imported before a page is opened."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_walls import ROOT
from vitviz.ui.shell import main

UI = ROOT / "vitviz" / "ui"

# Part -> the parts it may import beside itself, all further up. A part is a folder or a module directly under vitviz/ui.
MAY_IMPORT: dict[str, set[str]] = {
    "text": set(),
    "escape": set(),
    "selection": set(),
    "params": {"selection"},
    "urls": {"selection", "params"},
    "state": {"selection", "params", "urls"},
    "server": {"text"},
    "compute": {"text", "escape", "selection", "state", "server"},
    "context": {"text", "selection", "params", "server", "compute"},
    "components": {"text", "selection", "state", "server", "context"},
    "controls": {
        "components.mounting",
        "compute",
        "context",
        "escape",
        "selection",
        "server",
        "state",
        "text",
        "urls",
    },
    "pages": {
        "text",
        "escape",
        "selection",
        "params",
        "state",
        "server",
        "compute",
        "context",
        "components",
        "controls",
    },
    "shell": {
        "text",
        "escape",
        "selection",
        "state",
        "server",
        "compute",
        "context",
        "controls",
        "pages.registry",
        "pages.model.text",
    },
}


def part_of(path: Path) -> str:
    return path.relative_to(UI).with_suffix("").parts[0]


def names(path: Path) -> Iterator[str]:
    """What a file imports of the app, with the names that it imports from modules: "compute.queue.Key"."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith("vitviz.ui."):
            yield from (f"{node.module}.{alias.name}".removeprefix("vitviz.ui.") for alias in node.names)


FILES = [path for path in sorted(UI.rglob("*.py")) if path.parent != UI or path.stem != "__init__"]


@pytest.mark.parametrize("part", sorted({part_of(path) for path in FILES}))
def test_a_part_imports_only_what_it_may(part: str) -> None:
    for path in (each for each in FILES if part_of(each) == part):
        for name in names(path):
            allowed = {part} | MAY_IMPORT[part]
            assert any(f"{name}.".startswith(f"{each}.") for each in allowed), f"{path.relative_to(UI)} imports {name}"


def test_imports_go_one_way() -> None:
    order = [*MAY_IMPORT]
    for part, others in MAY_IMPORT.items():
        assert {other.partition(".")[0] for other in others} <= set(order[: order.index(part)]), part


def test_pages_never_import_pages() -> None:
    for path in (UI / "pages").rglob("*/*.py"):
        for name in names(path):
            own = path.parent.name
            if name.startswith("pages."):
                assert name.startswith((f"pages.{own}.", "pages.registry.")), f"{path.relative_to(UI)} imports {name}"


def test_no_folder_of_pages_lies_beside_the_script() -> None:
    """Streamlit would take one for pages of its own, and open each of its files by itself."""
    assert not (Path(main.__file__).parent / "pages").exists()


def test_what_is_known_of_a_page_is_known_without_its_code() -> None:
    code = "import sys; from vitviz.ui.pages.registry import pages; pages(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = [name for name in run.stdout.split() if name.startswith("vitviz.ui.pages.")]
    assert "vitviz.ui.pages.rollout.text" in loaded and not [name for name in loaded if name.endswith(".page")]


def test_no_sentence_is_left_over() -> None:
    """Every constant of a text module is used by the code, by another text, or by the list of all texts."""
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "vitviz").rglob("*.py")}
    texts = [path for path in FILES if path.stem == "text" or path.parent.name == "text"]
    counts = {path: Counter(re.findall(r"\w+", source)) for path, source in sources.items()}
    everywhere = sum(counts.values(), Counter())
    unused = [
        f"{path.relative_to(UI)}: {name}"
        for path in texts
        for name in re.findall(r"^([A-Z][A-Z0-9_]+)\b(?=[:\w\[\], ]* =)", sources[path], re.MULTILINE)
        if everywhere[name] == 1  # its own line
    ]
    assert texts and unused == []
