"""How the suite is divided: a file for each module, long tests that take turns, and browser tests that stay together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "vitviz"
# Folders whose files are named after what they check, and files about the repository itself.
BY_SUBJECT = {"browser", "docs", "scripts", "benchmarks", "integration"}
OF_THE_REPOSITORY = {"test_deployment", "test_packaging", "test_repository", "test_suite", "test_walls"}


def has_module(file: Path) -> bool:
    """Whether a test file is named after a module or package of vitviz beside it, and further words."""
    words = file.stem.removeprefix("test_").split("_")
    folder = PACKAGE / file.relative_to(TESTS).parent
    names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    return any((folder / f"{name}{end}").exists() for name in names for end in ("", ".py", ".js"))


def test_a_module_has_its_tests_in_the_file_of_its_name() -> None:
    files = [file for file in TESTS.rglob("test_*.py") if not BY_SUBJECT & set(file.relative_to(TESTS).parts)]
    assert len(files) > 100
    astray = [str(file.relative_to(TESTS)) for file in files if not has_module(file)]
    assert [name for name in astray if Path(name).stem not in OF_THE_REPOSITORY] == []


def test_every_long_test_has_one_turn_in_sixteen_and_no_turn_has_many_of_one_file() -> None:
    names = [f"tests/{file}.py::test_{number}[{number}]" for number in range(25) for file in "cab"]
    turns = [conftest.those_of_turn(names, 16, turn) for turn in range(7, 23)]
    assert sorted(name for turn in turns for name in turn) == sorted(names)
    assert {len(turn) for turn in turns} == {4, 5}
    assert all(sum(name.startswith(f"tests/{file}") for name in turn) <= 2 for turn in turns for file in "abc")


class Item:
    def __init__(self, nodeid: str, *marks: str) -> None:
        self.nodeid, self.marks = nodeid, marks

    def get_closest_marker(self, name: str) -> bool:
        return name in self.marks


@pytest.mark.parametrize("every", [1, 4])
def test_only_long_tests_take_turns_and_browsers_come_first(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "commit", lambda: "0" * 40)
    items = [Item(f"tests/a.py::{n}", *(["long"] if n % 2 else [])) for n in range(40)] + [
        Item("tests/browser/b.py::b")
    ]
    gone: list[Item] = []
    hook = SimpleNamespace(pytest_deselected=lambda items: gone.extend(items))
    config = SimpleNamespace(getoption=lambda _: every, hook=hook)
    kept = list(items)
    conftest.pytest_collection_modifyitems(config, kept)  # type: ignore[arg-type]
    assert kept[0] is items[-1]
    assert kept[1:] == [item for item in items[:-1] if item not in gone]
    assert bool(gone) == (every > 1) and all(item.marks for item in gone)
    assert any(item.marks for item in kept)
