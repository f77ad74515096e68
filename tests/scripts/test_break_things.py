"""The script that breaks lines: its changes against ones written out, and the same places for the same seed."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "break_things.py"


@pytest.fixture(scope="module")
def breaking():
    spec = importlib.util.spec_from_file_location("break_things", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["break_things"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["break_things"]


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("comparison turned", "ä = a < b != c", ["ä = a >= b != c", "ä = a < b == c"]),
        ("operator swapped", "y = a * b - c ** 2", ["y = a * b + c ** 2", "y = a / b - c ** 2"]),
        ("and for or", "y = a and b or c", ["y = a and b and c", "y = a or b or c"]),
        ("constant changed", "y = x[3] + 0.25", ["y = x[4] + 0.25", "y = x[3] + 0.5"]),
        (
            "axis swapped",
            "y = x.sum(-1) + x.max(dim=0) + x.view(-1)",
            ["y = x.sum(-2) + x.max(dim=0) + x.view(-1)", "y = x.sum(-1) + x.max(dim=1) + x.view(-1)"],
        ),
        ("other extreme", "y = max(x.argmin(), 3)", ["y = min(x.argmin(), 3)", "y = max(x.argmax(), 3)"]),
        ("operator swapped", 'y = "a" + f"{b - 1}"', []),
        ("constant changed", "def f(x: Literal[3]): raise ValueError(3)", []),
    ],
)
def test_changes_of_a_line(breaking, kind, before, after):
    found = [change.apply(before) for change in breaking.changes(Path("x.py"), before) if change.kind == kind]
    assert sorted(found) == sorted(after)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (
            "comparison turned",
            'if (a === "ä < b" && c < d) go((x) => x >= 1); // e < f',
            [
                'if (a !== "ä < b" && c < d) go((x) => x >= 1); // e < f',
                'if (a === "ä < b" && c >= d) go((x) => x >= 1); // e < f',
                'if (a === "ä < b" && c < d) go((x) => x < 1); // e < f',
            ],
        ),
        (
            "operator swapped",
            "y += `a - b` ** 2 - (i++ * -k);",
            ["y += `a - b` ** 2 + (i++ * -k);", "y += `a - b` ** 2 - (i++ / -k);"],
        ),
        ("and for or", "/* a || b\n*/ const y = a ?? (b || c);", ["/* a || b\n*/ const y = a ?? (b && c);"]),
        (
            "constant changed",
            'x2.y[3] = /1/.test("4") ? 0.5 : "#fff0";',
            ['x2.y[4] = /1/.test("4") ? 0.5 : "#fff0";', 'x2.y[3] = /1/.test("4") ? 1.0 : "#fff0";'],
        ),
        ("other extreme", "Math.max(min, 1)", ["Math.min(min, 1)"]),
    ],
)
def test_changes_of_a_line_of_javascript(breaking, kind, before, after):
    found = [change.apply(before) for change in breaking.script_changes(Path("x.js"), before) if change.kind == kind]
    assert sorted(found) == sorted(after)


def test_other_parts_are_broken_where_they_are_named(breaking):
    for part, suffix in (("frontend/core", ".js"), ("ui/compute", ".py")):
        found = breaking.chosen(0, 4, (part,))
        assert len({change.file for change in found}) == 4
        assert all(
            change.file.parts[:3] == ("vitviz", *part.split("/")) and change.file.suffix == suffix for change in found
        )
    assert len(breaking.chosen(0, 5, ("tokens.py",))) == 1, "all files that there are"
    with pytest.raises(FileNotFoundError, match="nowhere is neither"):
        breaking.chosen(0, 1, ("nowhere",))


def test_the_same_seed_chooses_the_same_ten_lines(breaking):
    one, again, other = (breaking.chosen(seed, 10) for seed in (0, 0, 1))
    assert one == again != other
    assert len({change.file for change in one}) == 10
    for change in one:
        text = (breaking.ROOT / change.file).read_text(encoding="utf-8")
        assert ast.dump(ast.parse(change.apply(text))) != ast.dump(ast.parse(text))


def test_tests_of_a_module_are_those_of_its_name_first(breaking):
    found = breaking.mirrored_tests(Path("vitviz/draw/matrix.py"))
    assert found[0].startswith("tests/draw/") and len(found) > 3
    assert not any("browser" in name or "/ui/" in name for name in found)
    for script, first in (("core/timeline", "core/test_timeline"), ("views/journey_data", "views/test_journey")):
        found = breaking.mirrored_tests(Path(f"vitviz/frontend/{script}.js"))
        assert found[0] == f"tests/frontend/{first}.py"
    queue = breaking.mirrored_tests(Path("vitviz/ui/compute/queue.py"))
    assert queue[0].startswith("tests/ui/compute/test_queue") and not any("/shell/" in name for name in queue[-5:])
