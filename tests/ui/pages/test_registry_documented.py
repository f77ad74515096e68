"""The page that `docs/howto/add-page.md` adds, added."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui import test_text as suite
from tests.ui.pages.test_compare import components
from tests.ui.test_walls import MAY_IMPORT, names
from vitviz.ui import pages as folders
from vitviz.ui import params
from vitviz.ui.pages import registry

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "add-page.md"
FILES = re.compile(r'^```python title="vitviz/ui/pages/([^"]*)"\n(.*?)^```', flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the page, whose files are there for the time of one test."""
    found = dict(FILES.findall(HOW_TO.read_text(encoding="utf-8")))
    (name,) = {Path(file).parts[0] for file in found}
    for file, text in found.items():
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(folders, "__path__", [*folders.__path__, str(tmp_path)])
        patch.setattr(params, "OWNERS", dict(params.OWNERS))
        registry.pages.cache_clear()
        yield name
    params.PARAMS.pop("times", None)
    for module in [module for module in sys.modules if f"{module}.".startswith(f"{folders.__name__}.{name}.")]:
        del sys.modules[module]
    vars(folders).pop(name, None)
    registry.pages.cache_clear()


def test_the_page_is_there_and_answers(app, documented):
    assert documented in [page.name for page in registry.pages()]
    shown = app(documented, times="3")
    assert shown.wrong == []
    assert "How many patches are there?" in shown.text and "768 patches in all." in shown.text
    shown.at.slider(key="choice of times").set_value(2).run()
    assert "512 patches in all." in shown.text and shown.parameters == {"times": "2"}
    (alt,) = components(shown)
    assert alt == "The photograph cut into 16 rows and 16 columns of patches."


def test_the_suite_would_accept_it(documented, tmp_path):
    text = importlib.import_module(f"{folders.__name__}.{documented}.text")
    found = suite.texts_of(documented, text)
    assert len(found) >= 10 and suite.untagged(found) == [] and suite.too_long(found) == []
    suite.check_bases(found)
    suite.check_citations(text.PAGE)
    for path in (tmp_path / documented).glob("*.py"):
        assert suite.spoken(path) == []
        for name in names(path):
            allowed = {f"pages.{documented}", "pages.registry", *MAY_IMPORT["pages"]}
            assert any(f"{name}.".startswith(f"{each}.") for each in allowed), name
