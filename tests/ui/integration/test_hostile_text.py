"""Labels and names full of markup: on no page is any of it followed."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from safetensors.torch import save_file

from vitviz.errors import ModelError
from vitviz.models.registry import build
from vitviz.ui.compute import loading
from vitviz.ui.pages.registry import pages

LABELS = [
    "![a](https://evil.example/a.png)",
    "<img src=https://evil.example/b.png onerror=x>",
    "$\\frac{a}{b}$ and $c$",
    ":red[hot] :material/home: :smile:",
    "[link](https://evil.example) www.evil.example **bold** `code`\n# heading",
]
# What Streamlit would follow in a text that it reads as Markdown; a backslash before a mark makes it plain.
FOLLOWED = re.compile(
    r"(?<!\\)\[(?:a|link)(?<!\\)\]|(?<!\\)<img|(?<!\\)\$\\+frac|(?<!\\)\$c(?<!\\)\$|(?<!\\)\*\*bold|(?<!\\)`code"
    r"|(?<!\\):red\[hot|:material/home:|:smile:|https?://evil|www\.evil|\n# heading"
)
TEXTS = (
    "header subheader markdown caption info warning error success metric button toggle selectbox slider number_input "
    "text_input segmented_control expander title"
).split()
PLACES = [(view.name, {}) for view in pages()] + [
    ("prediction", {"part": "methods"}),
    ("prediction", {"part": "mark", "object": "0-1.10-11"}),
    ("prediction", {"target": "0", "against": "2", "answer": "shown"}),
    ("what_if", {"what": "hide_mean_0-60", "answer": "shown"}),
    ("what_if", {"switch": "worth", "weighed": "now"}),
    ("compare", {"differs": "model", "other_model": "file:hostile"}),
]


class Tags(HTMLParser):
    """Names of the tags of a piece of HTML, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)

    def handle_data(self, data):
        self.text += data


def markdown_of(shown) -> list[str]:
    """Every text on the page that Streamlit reads as Markdown: values, labels and help of its elements."""
    found = []
    for kind in TEXTS:
        for element in getattr(shown.at, kind, None) or shown.at.get(kind):
            proto = element.proto
            found += [str(getattr(proto, name)) for name in ("body", "label", "help", "delta") if hasattr(proto, name)]
    return found


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    monkeypatch.setenv("VITVIZ_CHECKPOINTS", str(tmp_path))
    path = tmp_path / "hostile.safetensors"
    save_file(build("test_vit", seed=2, num_classes=len(LABELS)).state_dict(), path)
    path.with_suffix(".json").write_text(json.dumps({"architecture": "test_vit", "labels": LABELS}), encoding="utf-8")
    return "file:hostile"


@pytest.mark.parametrize(
    ("page", "more"),
    [*PLACES[::3], *(pytest.param(*place, marks=pytest.mark.long) for place in PLACES[1::3] + PLACES[2::3])],
    ids=lambda part: part if isinstance(part, str) else "-".join(part),
)
def test_labels_are_shown_letter_by_letter(app, hostile, page, more):
    shown = app(page, model=hostile, **more)
    assert shown.wrong == []
    texts = markdown_of(shown)
    assert texts
    assert [text for text in texts if FOLLOWED.search(text)] == []
    tags = Tags()
    for block in shown.at.get("html"):
        tags.feed(str(block.proto.body))
    assert not tags.names & {"img", "a", "h1"}


def test_the_bar_above_every_page_shows_labels_letter_by_letter(app, hostile):
    shown = app("patches", model=hostile, answer="shown")
    (bar,) = [block for block in (str(each.proto.body) for each in shown.at.get("html")) if "vv-prediction" in block]
    tags = Tags()
    tags.feed(bar)
    assert tags.names == {"div", "span", "b"} and LABELS[1] in tags.text


def test_the_fallen_answer_is_named_letter_by_letter(app, hostile):
    """The sentence on a changed prediction holds two labels; at least one of these changes has it."""
    changes = ("hide_mean_0-60", "hide_mean_30-99", "layers_0.1.2", "shuffle_3")
    texts = [text for what in changes for text in markdown_of(app("what_if", model=hostile, what=what, answer="shown"))]
    assert any("no longer" in text for text in texts)
    assert [text for text in texts if FOLLOWED.search(text)] == []


def test_what_a_hub_or_a_file_says_in_an_error_is_not_followed(app, hostile, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise ModelError(f"The hub says {LABELS[0]} {LABELS[3]} {LABELS[2]}.")

    monkeypatch.setattr(loading, "load_model", refuse)
    shown = app("patches", model="vit_tiny_patch16_224", weights="random", size="448")
    assert len(shown.wrong) == 1
    assert [text for text in markdown_of(shown) if FOLLOWED.search(text)] == []


def test_names_of_parameters_are_not_followed(app):
    shown = app("start", __bold__="1", _it_="2")
    assert "\\_\\_bold\\_\\_" in shown.at.warning[0].value
