"""Text from outside is shown letter by letter, whatever markup it holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vitviz.ui.escape import escaped

JOINER = "\N{WORD JOINER}"
# What Streamlit makes of text after Markdown was read: icons and emoji, addresses, arrows (remark plugins of its front end).
LATER = re.compile(
    r":material/\w+:|:streamlit:|:[\w+-]+:|https?://|www\.|[-.\w+]+@[-\w]+\.[-\w]+|(?<!\S)(?:<->|->|<-|--|>=|<=|~=)(?!\S)"
)
MARKUP = [
    "![x](https://evil.example/p.png)",
    "<img src=https://evil.example/p.png>",
    "<script>x</script>",
    "[a](http://b.example)",
    "[x][y]",
    "$\\alpha$",
    "$$x$$",
    ":red[hot]",
    ":red-background[hot]",
    ":material/home:",
    ":smile:",
    "<https://evil.example>",
    "www.evil.example",
    "__bold__",
    "_it_",
    "**b**",
    "*i*",
    "`code`",
    "# h",
    "1. one",
    "2) two",
    "- item",
    "+ item",
    "> q",
    "~~gone~~",
    "| a | b |",
    "&copy;",
    "&#60;b&#62;",
    "a -> b",
    "x <= y",
    "me@evil.example",
    "\\*",
    "===",
    "![x",
    "a\nb",
]


def read(text: str) -> str:
    """What a reader of Markdown sees: its text, where nothing but one paragraph of plain text came out."""
    tokens = MarkdownIt("commonmark").enable(["strikethrough", "table"]).parse(text)
    if not tokens:
        return ""
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"], text
    assert {child.type for child in tokens[1].children} <= {"text", "text_special"}, text
    return "".join(child.content for child in tokens[1].children)


def checked(text: str) -> None:
    shown = read(escaped(text))
    assert not LATER.search(shown)
    assert shown.replace(JOINER, "") == " ".join(text.split())
    assert not re.search(r"(?<!\\)\$", escaped(text))  # LaTeX
    assert not re.search(r"(?<!\\):[\w-]+\[", escaped(text))  # directives


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_shown_and_not_followed(text):
    checked(text)
    checked(f"before {text} after")
    read(f"**{escaped(text)}**".strip("*"))


PIECES = st.sampled_from([*"a1 _*[]()<>$:`\\!-~.=#+|\n", "&lt;", "www.", "http://", ":material/x:", "@b.c"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_whatever_stands_beside_what(text):
    checked(text)


def test_plain_words_stay_as_they_are():
    for text in (
        "tabby cat",
        "vit_small_patch16_224.augreg_in21k",
        "hf:owner/name",
        "it's 5 o'clock, 50%",
        "a & b (c)",
    ):
        assert escaped(text) == text


def test_what_fills_a_sentence_opens_no_tag(monkeypatch):
    """Sentences with definitions are HTML, and only what is ours may be."""
    from vitviz.ui.controls import captions

    shown = []
    monkeypatch.setattr(captions.st, "markdown", lambda text, unsafe_allow_html: shown.append(text))
    captions.sentence("A patch of {name} and {raw}.", name=escaped("<b>x</b>"), raw="<img src=x onerror=y>")
    assert "<b" not in shown[0] and "<img" not in shown[0] and "&lt;b>x&lt;/b>" in shown[0]
    assert shown[0].count("<abbr ") == 1
