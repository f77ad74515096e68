"""Docstrings in Google style: public functions name their arguments and results, items are sentences, lines are full."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vitviz
from vitviz import plot

PACKAGE = Path(vitviz.__file__).parent
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
ITEM = re.compile(r"[\w*., `|/]+: ")
# Names and formulas that an item may begin with.
NAMES = re.compile(r"(timm|torch|transformers|scikit-image|sha256|k-means)\b|\w*[_.(]")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: thing
    for prefix, module, names in (("", vitviz, vitviz._PUBLIC), ("plot.", plot, plot.__all__))
    for name, thing in ((prefix + each, getattr(module, each)) for each in names)
    if inspect.isfunction(thing)
}


def sections(text: str) -> dict[str, list[str]]:
    """Name -> indented lines of each section of a docstring without its own indentation."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        header = SECTION.fullmatch(line)
        if header:
            lines = found.setdefault(header[1], [])
        elif line.startswith("    "):
            lines.append(line.removeprefix("    "))
        elif line:
            lines = []
    return found


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def names_of(node: Documented) -> list[str]:
    """Arguments of a function, fields of a class."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = node.args
        return [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
    return [each.id for each in fields if isinstance(each, ast.Name)]


def docstrings() -> Iterator[tuple[str, str, list[str]]]:
    """(place, text, names of arguments or fields) of every docstring of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, Documented) else None
            if isinstance(node, Documented) and text:
                yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'name', '')}", text, names_of(node)


def paragraphs(text: str) -> Iterator[list[str]]:
    """Lines of a docstring that are wrapped together: a paragraph, or one item of a section."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        own = line.startswith(" ") and ITEM.match(line.strip())
        if lines and (not line or own or SECTION.fullmatch(lines[-1])):
            yield lines
            lines = []
        if line:
            lines.append(line)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_public_function_names_its_arguments_and_result(name: str) -> None:
    function = FUNCTIONS[name]
    found = sections(inspect.getdoc(function) or "")
    kinds = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    signature = inspect.signature(function)
    wanted = [kinds.get(each.kind, "") + each.name for each in signature.parameters.values()]
    named = [line.partition(":")[0].partition(" (")[0] for line in found.get("Args", []) if ITEM.match(line)]
    assert [each for item in named for each in item.split(", ")] == wanted
    if signature.return_annotation not in (None, "None"):
        assert found.get("Returns") or found.get("Yields")


def test_items_are_sentences() -> None:
    """They begin with a capital letter, unless with a name or a number, and end with a full stop."""
    wrong = []
    for place, text, _ in docstrings():
        for section, lines in sections(text).items():
            items = re.split(r"\n(?! )", "\n".join(lines))
            if section in ("Returns", "Yields"):
                items = ["\n".join(lines)]
            for item in items:
                said = item if section in ("Returns", "Yields") else ITEM.sub("", item, count=1)
                if (said[:1].islower() and not NAMES.match(said)) or said[-1:] not in tuple(".?!:"):
                    wrong.append(f"{place}: {item}")
    assert not wrong


def test_arguments_stand_in_sections() -> None:
    """Not in running text, as in "The number of patches. grid: rows and columns."."""
    wrong = []
    for place, text, names in docstrings():
        for lines in paragraphs(text):
            said = " ".join(line.strip() for line in lines)
            said = ITEM.sub("", said, count=1) if lines[0].startswith(" ") else said
            wrong += [f"{place}: {name}" for name in names if re.search(rf"(^|[.;] ){name}: ", said)]
    assert not wrong


def test_no_last_line_of_one_word() -> None:
    wrong = [
        f"{place}: {' / '.join(lines[-2:])}"
        for place, text, _ in docstrings()
        for lines in paragraphs(text)
        if len(lines) > 1 and len(lines[-1].split()) == 1 and len(lines[-2]) > 70
    ]
    assert not wrong
