"""Breaks the code, one line at a time, and says which test notices.

    python scripts/break_things.py [--seed N] [--count N] [--parts PATH ...] [--list] [--only N]

A change is one of KINDS, at a place chosen by the seed, each in another file. It is made in a copy of the repository, in which
the tests of the changed file run until one fails. A change that no test notices is a hole in the tests, or changes nothing that
can be seen (a tolerance, a size of chunks); which of the two it is, somebody has to decide. The parts are by default those that
compute; others are folders or files of vitviz, such as ui/server or frontend/core. Tests in a browser do not run.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPUTING = ("analysis", "capture", "draw", "images", "models", "outputs.py", "tokens.py")

TURNED = {ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "=="}
SWAPPED = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "//"}
SYMBOLS = {
    **{ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="},
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"},
    **{ast.And: "and", ast.Or: "or"},
}
AXES = {"dim", "axis"}
# Methods and functions whose first or second argument is an axis, where it is no keyword.
ALONG = {"sum", "mean", "softmax", "log_softmax", "amax", "amin", "argmax", "argsort", "cumsum", "flatten", "unsqueeze"}
OTHER_END = {"min": "max", "max": "min", "amax": "amin", "amin": "amax", "argmax": "argmin", "argmin": "argmax"}


@dataclass(frozen=True)
class Change:
    """One line that will read differently. first, last: columns of what `new` replaces, in bytes of UTF-8."""

    kind: str
    file: Path
    line: int
    first: int
    last: int
    new: str

    def apply(self, text: str) -> str:
        """The file's text with the change made."""
        lines = text.splitlines(keepends=True)
        old = lines[self.line - 1].encode()
        lines[self.line - 1] = (old[: self.first] + self.new.encode() + old[self.last :]).decode()
        return "".join(lines)

    def words(self, text: str) -> str:
        """The place, and the line before and after."""
        before, after = (each.splitlines()[self.line - 1].strip() for each in (text, self.apply(text)))
        return f"{self.file.as_posix()}:{self.line} ({self.kind})\n    - {before}\n    + {after}"


Finder = Callable[[ast.AST, list[bytes]], Iterator[tuple[int, int, int, str]]]


def _between(one: ast.expr, other: ast.expr, symbol: str, lines: list[bytes]) -> Iterator[tuple[int, int, int]]:
    """Where an operator stands between two operands on one line: (line, first, last)."""
    if one.end_lineno == other.lineno:
        gap = lines[other.lineno - 1][one.end_col_offset : other.col_offset]
        found = re.search(rb"(?<![\w*/<>=!])" + re.escape(symbol.encode()) + rb"(?![\w*/<>=])", gap)
        if found:
            yield other.lineno, one.end_col_offset + found.start(), one.end_col_offset + found.end()


def comparisons(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, str]]:
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for one, other, op in zip(operands, node.comparators, node.ops, strict=False):
            if type(op) in TURNED:
                for place in _between(one, other, SYMBOLS[type(op)], lines):
                    yield *place, TURNED[type(op)]


def arithmetic(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, str]]:
    if (
        isinstance(node, ast.BinOp)
        and type(node.op) in SWAPPED
        and not _is_text(node.left)
        and not _is_text(node.right)
    ):
        for place in _between(node.left, node.right, SYMBOLS[type(node.op)], lines):
            yield *place, SWAPPED[type(node.op)]


def conditions(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, str]]:
    if isinstance(node, ast.BoolOp):
        for one, other in zip(node.values, node.values[1:], strict=False):
            for place in _between(one, other, SYMBOLS[type(node.op)], lines):
                yield *place, "or" if isinstance(node.op, ast.And) else "and"


def constants(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, str]]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.lineno == node.end_lineno:
        new = str(node.value + 1) if isinstance(node.value, int) else repr(node.value * 2 if node.value else 0.5)
        yield node.lineno, node.col_offset, node.end_col_offset or 0, new


def axes(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, str]]:
    """-1 becomes -2, -2 becomes -1, 0 becomes 1 and 1 becomes 0, where an axis is meant."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    given = [word.value for word in node.keywords if word.arg in AXES] + (node.args[:1] if name in ALONG else [])
    for value in given:
        text = ast.unparse(value)
        if text in ("-1", "-2", "0", "1") and value.lineno == value.end_lineno:
            new = {"-1": "-2", "-2": "-1", "0": "1", "1": "0"}[text]
            yield value.lineno, value.col_offset, value.end_col_offset or 0, new


def extremes(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, int, int, str]]:
    if isinstance(node, ast.Name) and node.id in OTHER_END:
        yield node.lineno, node.col_offset, node.end_col_offset or 0, OTHER_END[node.id]
    if isinstance(node, ast.Attribute) and node.attr in OTHER_END:
        last = node.end_col_offset or 0
        yield node.end_lineno or node.lineno, last - len(node.attr), last, OTHER_END[node.attr]


KINDS: dict[str, Finder] = {
    "comparison turned": comparisons,
    "operator swapped": arithmetic,
    "and for or": conditions,
    "constant changed": constants,
    "axis swapped": axes,
    "other extreme": extremes,
}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def changes(file: Path, text: str) -> list[Change]:
    """Every change that can be made to a file; not in annotations, decorators, formatted text and what is raised."""
    lines = [line.encode() for line in text.splitlines()]
    found: list[Change] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.JoinedStr | ast.Raise | ast.ImportFrom | ast.Import):
            return
        for kind, finder in KINDS.items():
            found.extend(Change(kind, file, *place) for place in finder(node, lines))
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        visit(child)

    visit(ast.parse(text))
    return found


# What stands in JavaScript -> what it becomes; in the order in which they are looked for.
SCRIPTED = [
    ("comparison turned", r"(?<![=<>!])(===|!==|<=|>=|(?<= )<(?= )|(?<= )>(?= ))(?![=>])"),
    ("operator swapped", r"(?<= )[-+*/%](?= )"),
    ("and for or", r"&&|\|\|"),
    ("constant changed", r"(?<![\w.#])\d+(?:\.\d+)?(?![\w.])"),
    ("other extreme", r"(?<=Math\.)(?:min|max)\b"),
]
BECOMES = {
    **{"===": "!==", "!==": "===", "<": ">=", "<=": ">", ">": "<=", ">=": "<", "&&": "||", "||": "&&"},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "min": "max", "max": "min"},
}
# Comments, text and regular expressions, in which nothing is changed.
NO_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'|`[^`]*`|(?<=[(,=] )/[^/\n]+/|^import .*?;", re.DOTALL | re.MULTILINE
)


def script_changes(file: Path, text: str) -> list[Change]:
    """Every change that can be made to a module of JavaScript."""
    code = NO_CODE.sub(lambda found: re.sub(r"[^\n]", "\0", found[0]), text)
    found, lines = [], text.splitlines()
    for number, line in enumerate(code.splitlines(), 1):
        for kind, pattern in SCRIPTED:
            for match in re.finditer(pattern, line):
                first, old = len(lines[number - 1][: match.start()].encode()), match[0]
                new = BECOMES.get(old) or (str(float(old) * 2) if "." in old else str(int(old) + 1))
                found.append(Change(kind, file, number, first, first + len(old.encode()), new))
    return found


CHANGES: dict[str, Callable[[Path, str], list[Change]]] = {".py": changes, ".js": script_changes}


@cache
def possible(parts: tuple[str, ...] = COMPUTING) -> dict[str, list[Change]]:
    """Every change of each kind in some parts of vitviz; kinds without one are left out."""
    every: dict[str, list[Change]] = {kind: [] for kind in KINDS}
    for part in parts:
        path = ROOT / "vitviz" / part
        if not path.exists():
            raise FileNotFoundError(f"{part} is neither a folder nor a file of vitviz.")
        files = sorted(each for each in path.rglob("*") if each.suffix in CHANGES) if path.is_dir() else [path]
        for file in files:
            for change in CHANGES[file.suffix](file.relative_to(ROOT), file.read_text(encoding="utf-8")):
                every[change.kind].append(change)
    return {kind: found for kind, found in every.items() if found}


def chosen(seed: int, count: int, parts: tuple[str, ...] = COMPUTING) -> list[Change]:
    """`count` changes in as many files, or in all that there are: first a kind, then one of its places."""
    chance, every = random.Random(seed), possible(parts)
    count = min(count, len({change.file for found in every.values() for change in found}))
    picked: list[Change] = []
    while len(picked) < count:
        change = chance.choice(every[chance.choice(list(every))])
        if change.file not in {each.file for each in picked}:
            picked.append(change)
    return picked


def mirrored_tests(file: Path) -> list[str]:
    """The test files of a module: of its name in the mirrored folder, then all others that import it, then its folder. Those of
    the user interface run for the user interface alone.
    """
    parts = file.with_suffix("").parts[1:]
    module = ".".join(("vitviz", *parts)).removesuffix(".__init__")
    folder = ROOT / "tests" / Path(*parts[:-1])
    named = sorted(folder.glob(f"test_{parts[-1]}*.py"))
    above, _, last = module.rpartition(".")
    imports = re.compile(rf"(from|import) {re.escape(module)}\b|from {re.escape(above)} import .*\b{re.escape(last)}\b")
    if file.suffix == ".js":
        imports = re.compile(rf"\"\./{re.escape('/'.join(parts[1:]))}\.js\"")
    skipped = {"browser"} if parts[0] == "ui" else {"browser", "ui"}
    others = [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if not skipped & set(path.parts) and imports.search(path.read_text(encoding="utf-8"))
    ]
    nearby = sorted((ROOT / "tests" / Path(*parts[:2] if parts[0] == "ui" else parts[:1])).rglob("test_*.py"))
    nearby = nearby if len(parts) > 1 else []
    return [str(path.relative_to(ROOT)) for path in dict.fromkeys([*named, *others, *nearby])]


def who_notices(change: Change, minutes: float) -> str:
    """The first test that fails with the change, or "NOBODY"."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    with tempfile.TemporaryDirectory(prefix="broken-") as name:
        copy = Path(name)
        for each in filter(None, tracked.stdout.split("\0")):
            if (ROOT / each).is_file():
                (copy / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / each, copy / each)
        broken = copy / change.file
        broken.write_text(change.apply(broken.read_text(encoding="utf-8")), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        environment = {**os.environ, "PYTHONPATH": name}
        try:
            done = subprocess.run(
                [*command, *mirrored_tests(change.file)],
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60 * minutes,
            )
        except subprocess.TimeoutExpired:
            return "NOBODY within the time"
    failed = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - |$)", done.stdout, re.MULTILINE)
    return failed[1] if failed else "NOBODY" if done.returncode == 0 else done.stdout[-300:] + done.stderr[-300:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--parts", nargs="+", default=COMPUTING, metavar="PATH", help="folders or files of vitviz")
    parser.add_argument("--list", action="store_true", help="show the changes and make none")
    parser.add_argument("--only", type=int, metavar="N", help="the N-th change of these alone, counted from 0")
    parser.add_argument("--minutes", type=float, default=15, help="for the tests of one change")
    asked = parser.parse_args()
    unnoticed = 0
    for number, change in enumerate(chosen(asked.seed, asked.count, tuple(asked.parts))):
        if asked.only is not None and number != asked.only:
            continue
        print(f"{number}. {change.words((ROOT / change.file).read_text(encoding='utf-8'))}", flush=True)
        if not asked.list:
            found = who_notices(change, asked.minutes)
            unnoticed += found.startswith("NOBODY")
            print(f"    {found}", flush=True)
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main())
