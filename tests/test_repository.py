"""What the repository holds, and whether its documents say what is so: names, versions, links, commands, snippets."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

import vitviz
from vitviz.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LONGEST_SOURCE = 400  # lines; above it a file is no longer one idea
LARGEST_FILE = 50_000_000  # bytes; only weights come near
LARGEST_ELSEWHERE = 1_000_000  # bytes, outside assets/

# A path that exists on one person's machine only. Addresses of web pages have a host before the slash and do not match.
MACHINE_PATH = re.compile(r"(?<![\w./:~*-])/(?:home|root|Users|work|tmp|mnt|opt)/\w+")
OWN_ADDRESS = re.compile(r"\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b")


# `area: verb ...`; several areas have commas between them. What begins with one of these words has no verb in front.
NO_VERBS = (
    "a an the what which who where when that this those these it its no one two every each all in of on at and how"
)
SUBJECT = re.compile(rf"\w[\w., -]*: (?!(?:{NO_VERBS.replace(' ', '|')})\b)[a-z]+\b.*[^.]")
LONGEST_SUBJECT = 71


AXE = ROOT / "tests" / "browser" / "axe"  # kept as it was published; its version numbers look like addresses


def tracked(*patterns: str) -> list[Path]:
    """The files that git keeps or would keep, so that builds, caches and environments are left out."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is not a git clone")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    """The text of a file, or None for a binary one."""
    content = path.read_bytes()
    return None if b"\0" in content[:8192] else content.decode("utf-8")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = []
    for path in (each for each in tracked() if AXE not in each.parents):
        for pattern in (MACHINE_PATH, OWN_ADDRESS):
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text_of(path) or "")]
    assert not found


@pytest.mark.parametrize("text", ["open('{}home/anna/photo.jpg')", "at {}tmp/x1 there", "`{}root/model`"])
def test_a_machine_path_would_be_noticed(text: str) -> None:
    assert MACHINE_PATH.search(text.format("/"))


@pytest.mark.parametrize("text", ["https://example.org/home/page", "docs/home/x", "../tmp/x", "a/b"])
def test_other_slashes_are_no_machine_path(text: str) -> None:
    assert not MACHINE_PATH.search(text)


def test_the_newest_commit_has_a_subject_of_area_and_verb() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        assert not os.environ.get("CI"), "CI runs in a git clone, where nothing is skipped"
        pytest.skip("this is not a git clone")
    newest = subprocess.run(["git", "log", "-1", "--format=%s"], cwd=ROOT, capture_output=True, text=True, check=True)
    subject = newest.stdout.strip()
    assert len(subject) <= LONGEST_SUBJECT and SUBJECT.fullmatch(subject), f"{subject!r} is not `area: verb ...`"


@pytest.mark.parametrize(
    "subject", ["tests: move state to its own file", "draw, models: split long functions", "CI: run it"]
)
def test_a_subject_of_area_and_verb_is_taken(subject: str) -> None:
    assert SUBJECT.fullmatch(subject)


@pytest.mark.parametrize(
    "subject", ["Fix it", "tests: what waits", "tests:move", "pages: the line under a figure", "a: b."]
)
def test_another_subject_is_refused(subject: str) -> None:
    assert not SUBJECT.fullmatch(subject)


def test_sources_stay_short_and_files_small() -> None:
    for path in tracked("vitviz/*.py", "vitviz/*.js", "app.py"):
        lines = len((text_of(path) or "").splitlines())
        assert lines <= LONGEST_SOURCE, f"{path.relative_to(ROOT)} has {lines} lines"
    for path in tracked():
        limit = LARGEST_FILE if path.is_relative_to(ROOT / "assets") else LARGEST_ELSEWHERE
        assert path.stat().st_size <= limit, f"{path.relative_to(ROOT)} has {path.stat().st_size} bytes"


def test_a_source_distribution_has_every_file() -> None:
    """The tests come with it, and read documents, scripts and settings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    top = {f"/{path.relative_to(ROOT).parts[0]}" for path in tracked()} - {"/pyproject.toml"}  # which is always there
    assert {name for name in top if not any(fnmatch(name, pattern) for pattern in included)} == set()


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path in sorted((ROOT / "vitviz").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.name)
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_every_module_says_what_it_is() -> None:
    for path in tracked("vitviz/*.py", "app.py"):
        assert ast.get_docstring(ast.parse(text_of(path) or "")), f"{path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("name", sorted(vitviz._PUBLIC))
def test_a_public_name_exists_and_is_documented(name: str) -> None:
    thing = getattr(vitviz, name)
    assert thing is getattr(importlib.import_module(vitviz._PUBLIC[name]), name)
    assert name in vitviz.__all__
    assert name in dir(vitviz)
    if callable(thing):
        own = inspect.getdoc(thing) or ""
        assert not own.startswith(f"{name}("), f"{name} has only the docstring that dataclass writes"
        assert len(own) > 20, f"{name} has no docstring"


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vitviz.nothing  # noqa: B018


def test_editors_see_every_public_name() -> None:
    """The stub names what is imported lazily, from the same modules."""
    stub = ast.parse((ROOT / "vitviz" / "__init__.pyi").read_text(encoding="utf-8"))
    named = {
        alias.asname: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert named == {**vitviz._PUBLIC, **dict.fromkeys(vitviz._MODULES, "vitviz")}
    assert (ROOT / "vitviz" / "py.typed").is_file()


def test_the_command_is_installed_under_its_name() -> None:
    module, _, function = PROJECT["scripts"]["vitviz"].partition(":")
    assert getattr(importlib.import_module(module), function) is main


def test_versions_agree() -> None:
    assert PROJECT["version"] == vitviz.__version__
    assert f"version: {vitviz.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == vitviz.__version__


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)|<img[^>]*\bsrc=\"([^\"]+)\"", text)
    for target in filter(None, (link or image for link, image in targets)):
        if not target.startswith(("http://", "https://", "#")):
            assert (ROOT / target.partition("#")[0]).exists(), f"{document} points to {target}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = [line for line in README.splitlines() if line.endswith("-m pytest")]
    assert len(commands) == 1
    assert ".[test]" in commands[0]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "-m pytest$' README.md" in script
    # In a pipe that fails where the tests do; their closing line ends the output.
    assert "set -euo pipefail" in script and 'bash -c "$test_command" | tee build/tests.log\n' in script
    assert script.rstrip().splitlines()[-1] == "tail -q -n 1 build/long.log build/tests.log"


@pytest.fixture
def beside_a_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photo.jpg that the README speaks of, as the current one."""
    shutil.copy(ROOT / "assets" / "samples" / "motorcycle.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readmes_python_runs(beside_a_photograph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snippets = blocks("python")
    assert snippets
    names: dict[str, object] = {}
    for snippet in snippets:  # in order and in one namespace, as a reader would type them
        exec(compile(snippet, "README.md", "exec"), names)
    assert "motorbike" in capsys.readouterr().out
    assert (beside_a_photograph / "rollout.png").stat().st_size > 1000


def test_the_readmes_command_lines_run(beside_a_photograph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = "vitviz "
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith(prefix)]
    assert lines
    for line in lines:
        quick = line.replace("--size 700", "--size 280")  # the same command, a sixth of the patches
        assert main(shlex.split(quick.removeprefix(prefix))) == 0, capsys.readouterr().err
    assert "--size 700" in README
    promised = README.partition("`trace.npz` holds ")[2].partition(".\n")[0]
    with np.load(beside_a_photograph / "trace.npz") as arrays:
        assert set(re.findall(r"`(\w+)`", promised)) <= set(arrays.files)
