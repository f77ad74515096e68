"""What is installed with what: the requirements of the library, of its extras and of the app, and what is said without them."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import vitviz
from vitviz.__main__ import main
from vitviz.analysis.methods import explain
from vitviz.commands import app
from vitviz.errors import MissingPackageError

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
APP_LIST = [
    line
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def requirements(extra: str = "") -> set[str]:
    """The requirements of the package (without an extra), or of one of its extras, with those of extras that it names."""
    return set(expanded(PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]))


def expanded(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        own = re.fullmatch(r"vitviz\[([\w,-]+)\]", line)
        if own is None:
            yield line
        else:
            yield from (each for extra in own[1].split(",") for each in requirements(extra))


def names(lines: Iterable[str]) -> set[str]:
    return {re.split(r"[<>=!~ ;\[]", line)[0].lower() for line in lines}


def imported(paths: Iterable[Path]) -> dict[str, set[str]]:
    """Name of an imported package -> the distributions that may bring it; the standard library and vitviz are left out."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {module.partition(".")[0] for module in modules}
    distributions = packages_distributions()
    found -= set(sys.stdlib_module_names) | {"vitviz", "__future__"}
    return {name: {each.lower().replace("_", "-") for each in distributions.get(name, [name])} for name in found}


def test_the_list_of_the_app_is_that_of_the_package_with_its_extra() -> None:
    assert len(APP_LIST) == len(set(APP_LIST))
    assert set(APP_LIST) == requirements() | requirements("app")


def test_the_library_requires_what_it_imports_and_nothing_of_the_app() -> None:
    library = [path for path in (ROOT / "vitviz").rglob("*.py") if path.relative_to(ROOT / "vitviz").parts[0] != "ui"]
    needed = imported(library)
    optional = names(requirements("captum") | requirements("masks") | requirements("transformers"))
    assert not {name for name, sources in needed.items() if not sources & (names(requirements()) | optional)}
    assert not names(requirements()) - set().union(*needed.values())


def test_the_app_requires_what_it_imports_and_no_more() -> None:
    needed = imported([*(ROOT / "vitviz").rglob("*.py"), ROOT / "app.py"])
    given = names(APP_LIST) | names(requirements("transformers") | requirements("metrics") | requirements("ray"))
    assert not {name for name, sources in needed.items() if not sources & given}
    assert not names(APP_LIST) - set().union(*needed.values())


def test_the_tests_have_every_extra_whose_code_they_run() -> None:
    assert requirements("app") | requirements("captum") | requirements("transformers") <= requirements("test")


@pytest.fixture
def nothing_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if only the package's own requirements were installed."""
    absent = {"captum", "streamlit", "starlette", "transformers"}
    monkeypatch.setattr("vitviz.errors.find_spec", lambda name: None if name in absent else object())


@pytest.mark.usefixtures("nothing_optional")
def test_the_app_without_its_extra_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app"]) == 1
    said = capsys.readouterr().err
    assert (
        said == 'vitviz: The app needs streamlit, which is not installed. Install it with: pip install "vitviz[app]"\n'
    )


@pytest.mark.usefixtures("nothing_optional")
@pytest.mark.parametrize("method", ["gradcam", "integrated_gradients"])
def test_a_method_of_captum_without_it_is_one_sentence(method: str) -> None:
    model = vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=32)
    pixels = vitviz.prepare(model, vitviz.load_sample("cat")).input
    question = vitviz.Question(model, pixels, vitviz.ClassLogit(0))
    with pytest.raises(MissingPackageError, match=r'captum, which is not installed.*pip install "vitviz\[captum\]"'):
        explain(question, method)
    assert explain(question, "rollout").grid == (2, 2)


def test_the_command_starts_the_apps_script(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("subprocess.call", lambda command: started.append(command) or 0)
    assert main(["app", "--port", "8600"]) == 0
    (command,) = started
    assert command[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert command[4:] == [str(ROOT / "app.py"), "--server.port", "8600"]


def test_an_installed_package_has_its_own_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.py").write_text("")
    monkeypatch.setattr("vitviz.assets.ROOTS", (tmp_path,))
    assert app.script() == tmp_path / "app.py"


def test_the_script_and_its_settings_travel_where_the_command_looks_for_them() -> None:
    """Inside the package: a file beside it would be a module of everybody's called app."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    wheel = tool["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"app.py": "vitviz/_assets/app.py"}
    assert wheel["sources"] == {"assets": "vitviz/_assets", ".streamlit": "vitviz/_assets/.streamlit"}
    assert "/app.py" not in wheel["include"]
