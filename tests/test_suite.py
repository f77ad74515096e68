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
# Modules, and packages of pages, without a test file of their name: the file through which each is tested.
TESTED_IN = {
    "__main__.py": "commands/integration/test_command_line.py",
    "analysis/by_hand/embedding.py": "analysis/by_hand/test_head.py",
    "analysis/by_hand/layer.py": "analysis/by_hand/test_head.py",
    "analysis/by_hand/steps.py": "analysis/by_hand/test_head.py",
    "analysis/methods/attention_rollout.py": "analysis/methods/test_base.py",
    "analysis/methods/raw_attention.py": "analysis/methods/test_base.py",
    "assets.py": "test_samples.py",
    "capture/coordinates/conv.py": "capture/test_record_variants.py",
    "capture/coordinates/move.py": "capture/test_record_variants.py",
    "capture/coordinates/pointwise.py": "capture/test_record_variants.py",
    "capture/coordinates/reduce.py": "capture/test_record_variants.py",
    "capture/coordinates/run.py": "capture/coordinates/test_layouts.py",
    "capture/embeddings.py": "analysis/test_positions.py",
    "capture/events.py": "capture/test_observe.py",
    "commands/app.py": "test_packaging.py",
    "commands/draw.py": "commands/integration/test_command_line.py",
    "commands/faithfulness.py": "survey/test_faithfulness.py",
    "commands/models.py": "commands/integration/test_command_line.py",
    "commands/trace.py": "commands/integration/test_command_line.py",
    "draw/cells.py": "draw/test_heatmap.py",
    "draw/sheet.py": "draw/test_scale_colours.py",
    "errors.py": "test_packaging.py",
    "figures/attention.py": "figures/test_traced_image_snippets.py",
    "figures/comparison.py": "figures/test_traced_image_snippets.py",
    "figures/embeddings.py": "figures/test_traced_image_snippets.py",
    "figures/interventions.py": "figures/test_traced_image_snippets.py",
    "figures/microscope.py": "test_plot.py",
    "figures/networks.py": "figures/test_features.py",
    "figures/prediction.py": "figures/test_traced_image_snippets.py",
    "figures/style.py": "test_plot.py",
    "glossary.py": "ui/test_text.py",
    "progress.py": "capture/test_observe.py",
    "references.py": "ui/test_text.py",
    "ui/components/features.py": "ui/pages/test_features.py",
    "ui/components/mounting.py": "ui/pages/test_microscope.py",
    "ui/components/networks.py": "ui/pages/test_vit_or_cnn_reach.py",
    "ui/compute/images.py": "ui/integration/test_pages.py",
    "ui/compute/services.py": "ui/compute/test_loading_memory.py",
    "ui/controls/captions.py": "ui/integration/test_computed_once.py",
    "ui/controls/edits.py": "ui/pages/test_what_if.py",
    "ui/controls/errors.py": "ui/integration/test_faults.py",
    "ui/controls/figure.py": "ui/integration/test_computed_once.py",
    "ui/controls/objects.py": "ui/pages/test_find.py",
    "ui/controls/rollouts.py": "ui/integration/test_computed_once.py",
    "ui/controls/targets.py": "ui/integration/test_computed_once.py",
    "ui/pages/model/": "ui/integration/test_pages.py",
    "ui/pages/patches/": "ui/integration/test_pages.py",
    "ui/pages/rollout/": "ui/integration/test_pages.py",
    "ui/params.py": "ui/test_urls.py",
    "ui/selection.py": "ui/test_urls.py",
    "ui/server/starting.py": "ui/shell/test_opening.py",
    "ui/shell/main.py": "ui/integration/test_pages.py",
    "ui/shell/presenter.py": "ui/shell/test_styles.py",
    "ui/shell/text.py": "ui/test_text.py",
}


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


def own_tests(module: Path) -> list[Path]:
    """Test files that are named after a module or package of vitviz, given by its path in the package."""
    folder, name = TESTS / module.parent, module.stem
    return [*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")]


def untested(modules: list[Path], elsewhere: dict[str, str]) -> set[str]:
    """The modules that have no test file, neither of their own name or their package's nor one in the table `elsewhere`."""
    return {
        module.as_posix()
        for module in modules
        if not own_tests(module)
        and (module.parent == Path() or not own_tests(module.parent))
        and not {module.as_posix(), f"{module.parent.as_posix()}/"} & elsewhere.keys()
    }


SOURCES = [*PACKAGE.rglob("*.py"), *(PACKAGE / "frontend" / "core").glob("*.js")]
MODULES = [path.relative_to(PACKAGE) for path in SOURCES if path.name != "__init__.py"]


def test_every_module_has_its_test_file_or_stands_in_the_table() -> None:
    assert len(MODULES) > 200
    assert untested(MODULES, TESTED_IN) == set()
    assert untested([Path("draw/cells.py"), Path("draw/scale.py"), Path("ui/pages/find/text.py")], {}) == {
        "draw/cells.py"
    }


@pytest.mark.parametrize(("module", "file"), TESTED_IN.items(), ids=TESTED_IN)
def test_the_table_names_what_exists_and_has_no_file_of_its_own(module: str, file: str) -> None:
    assert (PACKAGE / module).exists() and (TESTS / file).is_file()
    assert untested([path for path in MODULES if path.as_posix().startswith(module)], {}), "it has its own tests now"


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
