from __future__ import annotations

import tracemalloc
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitviz.tokens import TokenLayout
from vitviz.ui.pages.registry import pages
from vitviz.ui.params import PARAMS, Choice, InterventionList, Name, Patches, param_value, with_param
from vitviz.ui.selection import MAX_SIZE, Selection
from vitviz.ui.urls import from_parameters, to_parameters

pages()  # declares their parameters


@st.composite
def selections(draw) -> Selection:
    selection = Selection(
        model=draw(st.from_regex(r"\A(file:)?[a-z][a-z0-9_.]{0,30}\Z")),
        weights=draw(st.sampled_from(["trained", "random"])),
        image=draw(st.just("") | st.from_regex(r"\A[a-z][a-z0-9_\-]{0,20}\Z")),
        size=draw(st.integers(0, MAX_SIZE)),
        framing=draw(st.sampled_from(["crop", "squash", "fit"])),
        layer=draw(st.integers(-1, 99)),
        head=draw(st.none() | st.integers(0, 99)),
        query=draw(st.sampled_from(["", "mean", "pool", "cls", "dist", "reg0", "reg12", "r0c0", "r15c7"])),
        scale=draw(st.sampled_from(["robust", "raw"])),
    )
    for name, param in PARAMS.items():
        if draw(st.booleans()):
            if isinstance(param, Choice):
                value = draw(st.sampled_from(param.options))
            elif isinstance(param, Name):
                value = draw(st.from_regex(param.pattern, fullmatch=True).filter(str.isascii))
            elif isinstance(param, Patches):
                value = param.read(draw(st.sampled_from(["", "0", "3-7.12"])))
            elif isinstance(param, InterventionList):
                switched = ["", "hide_mean_3-5", "heads_zero_0x1", "hide_mean_3-5~heads_zero_0x1"]
                value = param.read(draw(st.sampled_from(switched)))
            else:
                steps = int((param.high - param.low) / param.step + 1e-6)
                value = param.read(str(round(param.low + draw(st.integers(0, steps)) * param.step, 6)))
            selection = Selection(**{**selection.__dict__, "params": with_param(selection, name, value)})
    return selection


@given(selections())
def test_a_link_reopens_the_view(selection):
    link = urlencode(to_parameters(selection))
    assert from_parameters(dict(parse_qsl(link, keep_blank_values=True))) == (selection, ())


# What an attacker tries: reversed and endless runs, other scripts' digits, infinities, paths, markup, line breaks, lengths.
hostile = st.sampled_from(
    [
        "0-999999",
        "999999-0",
        "hide_mean_0-999999~hide_mean_999999-0",
        "hide_mean_0-99999",
        "cut_0-99999_0-99999",
        "~" * 7_999,
        "shuffle_0~" * 799,
        "heads_zero_" + "0x0." * 1_900,
        "9" * 5_000,
        "-0",
        "1_0",
        "٣",
        " 1",
        "1e308",
        "-1e-320",
        "inf",
        "nan",
        "../../etc/passwd",
        "file:..",
        "file:/etc/passwd",
        "hf:..",
        "hf:./x",
        "hf:a/../b",
        "<img src=x onerror=alert(1)>",
        "r999c999",
        "r1c1\n",
        "model\x00",
        "a" * 100_000,
    ]
)


@given(
    st.sampled_from(["model", "weights", "image", "size", "framing", "layer", "head", "query", "scale", *PARAMS]),
    hostile,
)
def test_every_parameter_stands_a_hostile_value(name, text):
    tracemalloc.start()
    try:
        selection, ignored = from_parameters({name: text})
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held < 20_000_000
    assert ignored in ((), (name,))
    written = to_parameters(selection)
    assert from_parameters(written) == (selection, ())
    assert all(len(value) <= 8_000 and value.isascii() and value.isprintable() for value in written.values())
    assert not any(sign in value for value in written.values() for sign in ("..", "<", "//", " "))


@given(
    st.dictionaries(
        st.sampled_from(["model", "image", "size", "layer", "head", "query", "scale", "weights", *PARAMS]) | st.text(),
        st.text() | st.floats().map(str) | st.integers().map(str),
    )
)
def test_no_url_can_break_it(parameters):
    selection, ignored = from_parameters(parameters)
    assert set(ignored) <= set(parameters)
    assert from_parameters(to_parameters(selection)) == (selection, ())
    layout = TokenLayout(("cls",), (4, 4), (14, 14))
    fitted, _ = selection.within(12, 6, layout)
    assert 0 <= fitted.layer_of(12) < 12
    row, col = fitted.patch_of(layout)
    assert 0 <= row < 4 and 0 <= col < 4


def test_plain_view_has_a_plain_address():
    assert to_parameters(Selection()) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model", "../../etc/passwd"),
        ("model", "file:../x"),
        ("model", "<script>"),
        ("image", "a/b"),
        ("size", "100000"),
        ("layer", "-5"),
        ("layer", "٣"),
        ("head", "1e3"),
        ("query", "r1c1<b>"),
        ("alpha", "nan"),
        ("alpha", "1.5"),
        ("discard", "inf"),
        ("cut", "٣"),
        ("cut", "1_0"),
        ("alpha", " 0.25"),
        ("alpha", "5e-1"),
        ("what", "hide_mean_0-999999~hide_mean_999999-0"),
        ("what", "hide_mean_0-99999~hide_mean_99999-0"),
        ("fusion", "median"),
        ("unheard_of", "1"),
    ],
)
def test_what_cannot_be_followed_is_passed_over_by_name(name, text):
    assert from_parameters({name: text, "layer" if name != "layer" else "head": "3"})[1] == (name,)
    assert from_parameters({name: text})[0] == Selection()


def test_what_this_model_lacks_goes_back_to_its_default():
    layout = TokenLayout((), (4, 4), (14, 14))
    selection = Selection(layer=20, head=9, query="cls", scale="raw")
    assert selection.within(12, 6, layout) == (Selection(scale="raw"), ("layer", "head", "query"))
    kept = Selection(layer=11, head=5, query="r3c3")
    assert kept.within(12, 6, layout) == (kept, ())


def test_default_patch_and_layer():
    layout = TokenLayout(("cls", "reg0"), (4, 6), (14, 14))
    for query in ("", "mean", "cls"):
        assert Selection(query=query).patch_of(layout) == (2, 3)
    assert Selection(query="r0c0").patch_of(layout) == (0, 0)
    assert Selection().layer_of(12) == 11 and Selection(layer=0).layer_of(12) == 0


def test_pooling_query_only_where_the_model_pools():
    layout = TokenLayout((), (4, 4), (14, 14))
    assert Selection(query="pool").within(12, 6, layout, learned=("pool",)) == (Selection(query="pool"), ())
    assert Selection(query="pool").within(12, 6, layout) == (Selection(), ("query",))


def test_a_knob_back_at_its_default_leaves_the_url():
    selection = Selection(params=with_param(Selection(), "alpha", 0.25))
    assert param_value(selection, "alpha") == 0.25 and param_value(selection, "fusion") == "mean"
    assert to_parameters(selection) == {"alpha": "0.25"}
    assert with_param(selection, "alpha", 0.5) == ()


def test_links_with_former_names_open_the_view_they_named():
    selection, ignored = from_parameters({"side_by_side": "stress", "damage": "edges"})
    assert not ignored and to_parameters(selection) == {"side_by_side": "perturbation", "perturbation": "edges"}
    assert from_parameters({"damage": "rust"}) == (Selection(), ("damage",))
