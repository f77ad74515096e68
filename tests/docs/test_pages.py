"""The pages of the documentation: their Python runs, what they say about extending vitviz is done, and nothing is left out."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

import vitviz
from tests.capture.written import LAYOUT, SIZE, Attention, Spelling, Written, picture, redrawn, written
from vitviz.analysis import interventions, methods
from vitviz.analysis.interventions.base import KINDS
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.coordinates.tensor import RULES
from vitviz.capture.record import record

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r'^```python(?: title="([^"]*)")?\n(.*?)^```', flags=re.MULTILINE | re.DOTALL)
# A page's own numbers -> smaller ones, so that the same lines run in a moment.
SMALLER = {"howto/large-inputs.md": {"(448, 672)": "(112, 168)"}}


def blocks(page: str, titled: bool = False) -> dict[str, str] | list[str]:
    """The Python of a page: what a reader types in order, or the files that it shows by their path."""
    found = FENCE.findall((DOCS / page).read_text(encoding="utf-8"))
    return {title: text for title, text in found if title} if titled else [text for title, text in found if not title]


RUN = (
    "howto/own-checkpoint.md",
    pytest.param("tour.md", marks=pytest.mark.long),
    *(
        pytest.param(f"howto/{name}.md", marks=pytest.mark.long)
        for name in ("windows", "large-inputs", "features-and-objects")
    ),
)


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vitviz.load_sample("cat").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for text in blocks(page):
        for usual, small in SMALLER.get(page, {}).items():
            text = text.replace(usual, small)
        exec(compile(text, page, "exec"), names)
    if page == "howto/own-checkpoint.md":
        assert names["model"].name == "flowers"
        assert names["model"].labels == ("daisy", "rose", "tulip")


def test_files_that_pages_name_are_there() -> None:
    pages = [
        *DOCS.rglob("*.md"),
        *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "README", "SECURITY")),
    ]
    made = {
        title
        for page in pages
        if page.is_relative_to(DOCS)
        for title in blocks(str(page.relative_to(DOCS)), titled=True)
    }
    pattern = re.compile(r"`((?:tests|vitviz|benchmarks|scripts|docs)/[\w/.-]+\.\w+)`")
    named = {path for page in pages for path in pattern.findall(page.read_text(encoding="utf-8"))}
    assert named
    assert sorted(path for path in named if path not in made and not (ROOT / path).exists()) == []


@pytest.fixture
def as_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """as_file(package, page): the files that a page shows, as if they lay in `package`, for the time of one test."""
    before = set(sys.modules)

    def write(package: types.ModuleType, page: str) -> None:
        folder = ROOT / Path(*package.__name__.split("."))
        for title, text in dict(blocks(page, titled=True)).items():
            path = tmp_path / (ROOT / title).relative_to(folder)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_method_is_added_as_its_page_says(as_file: Any) -> None:
    as_file(methods, "howto/add-method.md")
    found = methods.find_methods()
    assert list(found)[-1] == "token_norm" and set(found) - set(methods.METHODS) == {"token_norm"}
    module = redrawn(Written(*[Attention(written(Spelling())) for _ in range(2)]))
    question = Question(BareModel(module, LAYOUT), picture()[0], ClassLogit(1))
    heatmap = found["token_norm"].map(question)
    tokens = module.patch_embed(picture()).flatten(2).mT
    expected = (
        module.blocks[1](module.blocks[0](tokens))[0].norm(dim=-1).reshape(LAYOUT.grid)
    )  # (tokens,) -> (rows, cols)
    np.testing.assert_allclose(heatmap.values, expected.detach().float(), rtol=1e-5)


def test_an_intervention_is_added_as_its_page_says(as_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for code, kind in list(KINDS.items()):
        monkeypatch.setitem(KINDS, code, kind)  # so that the new one is taken out again
    as_file(interventions, "howto/add-intervention.md")
    interventions.find_kinds()
    try:
        (item,) = interventions.Interventions.decode("blur_2")
        assert interventions.Interventions((item,)).encode() == "blur_2" and item.radius == 2
        model = vitviz.load_model("vit_tiny_patch16_224", weights="random", input_size=64)
        x = vitviz.prepare(model, vitviz.load_sample("cat")).input[None]
        blurred = F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
        with torch.inference_mode():
            expected = model.module(blurred)
            with vitviz.intervene(model, item):
                assert torch.equal(model.module(x), expected)
            assert not torch.equal(model.module(x), expected)
    finally:
        KINDS.pop("blur", None)


def test_a_rule_is_added_as_its_page_says() -> None:
    class Joined(Written):
        """A learned token in front of the patches, joined by a function without a rule."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tokens = self.patch_embed(x).flatten(2).mT  # (batch, tokens, width)
            tokens = torch.hstack([self.norm.bias.expand(x.shape[0], 1, -1), tokens])
            for block in self.blocks:
                tokens = block(tokens)
            return self.forward_head(self.norm(tokens))

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, _bias: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v)

    module = redrawn(Joined(Attention(attend)))
    assert [each.kind for each in placements_of(module, SIZE)] != ["global"]
    (code,) = dict(blocks("howto/add-rule.md", titled=True)).values()
    try:
        exec(code, {})
        fresh = redrawn(Joined(Attention(attend)))
        (placement,) = placements_of(fresh, SIZE)
        assert placement.kind == "global" and placement.query_layout.grid == LAYOUT.grid
        assert placement.query_layout.num_prefix == 1
        assert len(record(fresh, picture(), placement.query_layout).layers) == 1
    finally:
        RULES.pop(torch.hstack, None)


def test_every_public_name_is_in_the_reference_once() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((DOCS / "reference").glob("*.md")))
    listed = re.findall(r"^::: vitviz\.(\w+)$", text, flags=re.MULTILINE)
    named = [name for name in listed if name not in ("plot", "errors")]
    assert sorted(named) == sorted(vitviz._PUBLIC)
    assert {"plot", "errors"} <= set(listed)


def test_every_page_is_in_the_navigation_and_nothing_is_fetched() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r"[\w/-]+\.(?:md|ipynb)", str(config["nav"])))
    assert named == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb")}
    assert config["theme"]["font"] is False and config["strict"] is True
    assert "mkdocs build --strict\n" in (ROOT / "Makefile").read_text(
        encoding="utf-8"
    )  # quiet, it would pass over warnings
    assert not any(key in config for key in ("extra_javascript", "extra_css", "repo_url"))
