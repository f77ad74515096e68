"""The page "one head by hand": what it writes is recomputed line by line, as somebody with a calculator would."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.ui.conftest import App
from vitviz import head_by_hand, load_model, load_sample, open_layer, trace
from vitviz.ui.controls.tables import Column, decimals_of, figures, numbers, vector
from vitviz.ui.pages.by_hand import stepper, steps
from vitviz.ui.pages.by_hand import text as words
from vitviz.ui.text import common


class Tables(HTMLParser):
    """Every table of a page as rows of text; cells without text, bars among them, are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._inside = False

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        self._inside = tag in ("td", "th")

    def handle_data(self, text):
        if self._inside:
            self.tables[-1][-1].append(text)


def tables_of(app) -> list[list[list[str]]]:
    parser = Tables()
    for block in app.at.get("html"):
        parser.feed(str(block.proto.body))
    return parser.tables


def table(app, columns, **blanks) -> tuple[list[str], list[list[str]]]:
    """(heading, rows) of the table that begins with these columns."""
    wanted = [name.format(**blanks) for name in columns]
    return next((rows[0], rows[1:]) for rows in tables_of(app) if rows[0][: len(wanted)] == wanted)


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def close(shown: str, computed: float, slack: float = 0.0) -> bool:
    """Whether a calculator that is given rounded numbers shows what the page shows."""
    decimals = len(shown.partition(".")[2])
    return abs(number(shown) - computed) <= 1.01 * 10.0**-decimals + slack + 3e-3 * abs(computed)


def sent(page) -> dict:
    """The data that the figure is sent."""
    return json.loads(next(each for each in page.at.get("bidi_component") if '"steps"' in each.proto.json).proto.json)


class Steps:
    """The page at every step, each opened once."""

    def __init__(self, **link: str) -> None:
        self.link, self.opened = link, dict[str, App]()

    def __getitem__(self, step: str) -> App:
        if step not in self.opened:
            self.opened[step] = App("by_hand", step=step, **self.link)
        return self.opened[step]


@pytest.fixture(scope="module")
def shown():
    return Steps(query="r9c9", layer="0", head="2")


def test_opens_on_the_pixels_of_a_patch_at_layer_0(app):
    page = app("by_hand")
    assert not page.wrong and page.at.header[0].value == words.PAGE.question
    assert page.parameters == {}
    data = sent(page)
    assert [step["step"] for step in data["steps"]] == [*stepper.STEPS]
    assert (data["step"], data["query"]) == ("pixels", "r8c8")
    assert all(step["caption"] and "{" not in step["caption"] for step in data["steps"])
    assert "588 numbers" in data["steps"][0]["caption"]
    assert data["steps"][3]["title"] == words.ENTERS.format(layer=0)


@pytest.mark.parametrize("step", stepper.STEPS)
def test_every_step_has_a_link_and_its_numbers_under_details(shown, step):
    page = shown[step]
    assert not page.wrong
    assert sent(page)["step"] == step
    assert page.parameters.get("step", "pixels") == step
    assert bool(tables_of(page)) == (step != "matrices")


def test_the_stage_is_told_the_numbers_of_the_head():
    model = load_model("embedded")
    traced = trace(model, load_sample("motorcycle"))
    opened = open_layer(model, traced, 0)
    hand = head_by_hand(opened, 2, "r9c9")
    sheet = steps.Worksheet(None, opened, hand, 0, tuple(hand.strongest(5)))
    arrays, meta = stepper.arrays_of(sheet, None)
    own = traced.layers[0].row(1 + 9 * 16 + 9)[2].numpy()
    assert arrays["weights"] == pytest.approx(own, abs=1e-5)
    shares = arrays["shares"].sum(0)
    assert shares == pytest.approx(arrays["output"], abs=1e-5)
    assert [key["token"] for key in meta["shown"]] == list(sheet.shown)
    assert meta["rest"]["weight"] + sum(own[list(sheet.shown)]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "report",
    [
        None,
        "x",
        {},
        {"step": "pixels"},
        {"step": "no step", "query": "cls"},
        {"step": "norm", "query": "r99c0"},
        {"step": [], "query": 3},
    ],
)
def test_a_report_that_makes_no_sense_changes_nothing(monkeypatch, report):
    changed = []
    monkeypatch.setattr(stepper.state, "change", lambda **values: changed.append(values))
    layout = load_model("embedded").layout
    stepper.take_report(report, layout)
    assert changed == []
    stepper.take_report({"step": "norm", "query": "r3c4"}, layout)
    assert changed == [{"step": "norm", "query": "r3c4"}]


def test_pixels_by_calculator(shown):
    _, rows = table(shown["pixels"], words.PIXEL_COLUMNS)
    for _, value, share, mean, spread, entered in rows:
        assert close(share, number(value) / 255)
        assert close(entered, (number(share) - number(mean)) / number(spread))


@pytest.mark.parametrize(
    ("step", "columns"),
    [("embedding", words.EMBED_COLUMNS), ("qkv", words.PROJECT_COLUMNS), ("scores", words.DOT_COLUMNS)],
)
def test_sums_of_products_by_calculator(shown, step, columns):
    _, rows = table(shown[step], columns)
    products = [row for row in rows if len(row) == 4]
    assert len(products) == 6
    for _, one, two, product in products:
        assert close(product, number(one) * number(two))
    *terms, total = rows
    assert total[0] == words.SUM
    decimals = len(total[-1].partition(".")[2])
    assert number(total[-1]) == pytest.approx(sum(number(row[-1]) for row in terms), abs=len(terms) * 10.0**-decimals)


def test_position_and_norm_by_calculator(shown):
    _, rows = table(shown["position"], words.POSITION_COLUMNS)
    sums = [total for _, patch, place, total in rows if close(total, number(patch) + number(place))]
    assert len(sums) == len(rows) == 6
    _, rows = table(shown["norm"], words.NORM_COLUMNS)
    for (_, token, mean, spread, gain, shift, result), before in zip(rows, sums, strict=True):
        assert close(token, number(before))
        computed = (number(token) - number(mean)) / number(spread) * number(gain) + number(shift)
        assert close(result, computed, slack=2e-3)


def test_scores_weights_and_output_by_calculator(shown):
    key, dot, divided, *_ = (name.format(d=64) for name in words.SCORES_COLUMNS)
    _, scores = table(shown["scores"], (key, dot, divided))
    _, total_dot = table(shown["scores"], words.DOT_COLUMNS)
    named = {row[0]: row for row in scores}
    assert len(scores) >= 6 and words.short("cls") in named
    assert named[scores[0][0]][1] == pytest.approx(total_dot[-1][-1]) or close(
        named[scores[0][0]][1], number(total_dot[-1][-1])
    )
    for _, product, score in scores:
        assert close(score, number(product) / 8)

    _, rows = table(shown["softmax"], words.SOFTMAX_COLUMNS)
    *keys, rest, total = rows
    largest = max(number(row[1]) for row in keys)
    for name, score, less, power, weight in keys:
        assert close(score, number(named[name][2]))
        assert close(less, number(score) - largest, slack=0.02)
        assert close(power, np.exp(number(less)))
        assert close(weight, number(power) / number(total[1]))
    powers = [number(row[3]) for row in keys] + [number(rest[1])]
    assert number(total[1]) == pytest.approx(sum(powers), abs=0.02)
    assert total[2] == "1.0000"

    _, shares = table(shown["output"], words.OUTPUT_COLUMNS, component=0)
    *mixed, rest_share, output = shares
    for (name, weight, value, share), row in zip(mixed, keys, strict=True):
        assert (name, weight) == (row[0], row[4])
        assert close(share, number(weight) * number(value), slack=1e-4)
    added = sum(number(row[3]) for row in mixed) + number(rest_share[-1])
    assert number(output[-1]) == pytest.approx(added, abs=1e-3)


def test_weights_are_the_models_own(app):
    page = app("by_hand", query="cls", layer="5", head="3", image="cat", step="softmax")
    assert not page.wrong
    weights = trace(load_model("embedded"), load_sample("cat")).layers[5].row(0)[3].numpy()
    _, rows = table(page, words.SOFTMAX_COLUMNS)
    strongest = 1 + int(weights[1:].argmax())
    named = {row[0]: row[-1] for row in rows}
    row, col = divmod(strongest - 1, 16)
    assert number(named[words.short(f"r{row}c{col}")]) == pytest.approx(weights[strongest], abs=6e-5)
    assert number(named[common.TOKEN_CLS]) == pytest.approx(weights[0], abs=6e-5)


def test_class_token_has_no_pixels_and_later_layers_say_what_came_between():
    page = Steps(query="cls", layer="4")
    assert words.NO_PIXELS.format(query=common.TOKEN_CLS, width=384) in page["pixels"].text
    assert not tables_of(page["pixels"])
    table(page["position"], words.POSITION_COLUMNS_PREFIX)
    assert "4 layers have changed the token" in page["norm"].text
    assert page["norm"].parameters["query"] == "cls"
    assert all(not each.wrong for each in page.opened.values())


def test_every_widget_moved(app):
    page = app("by_hand", layer="3", query="r2c2", step="qkv")
    before = tables_of(page)
    for key, value in {"layer": 2, "head": 4, "query row": 5, "query col": 7, "component": 63}.items():
        page.at.number_input(key=f"choice of {key}").set_value(value).run()
        assert not page.wrong, key
        assert tables_of(page) != before, key
        before = tables_of(page)
    assert page.parameters == {"layer": "2", "head": "4", "query": "r5c7", "component": "63", "step": "qkv"}


def test_the_key_that_is_written_out_is_chosen(app):
    page = app("by_hand", layer="2", head="4", query="r5c7", step="scores")
    names = page.at.selectbox(key="choice of pair").options
    page.at.selectbox(key="choice of pair").select_index(2).run()
    assert not page.wrong and page.parameters["pair"] == "2"
    _, rows = table(page, words.SCORES_COLUMNS[:2])
    assert [row[0] for row in rows] == list(names)
    _, dots = table(page, words.DOT_COLUMNS)
    assert close(dots[-1][-1], number(rows[2][1]))


def test_one_of_three_matrices_is_shown(app):
    page = app("by_hand", layer="2", query="r5c7", step="matrices")
    for kind in words.MATRIX_OF:
        page.at.segmented_control(key="choice of matrix").set_value(kind).run()
        assert not page.wrong and sent(page)["matrix"]
        assert words.MATRICES_TEXT[kind].format(query=1 + 5 * 16 + 7) in page.text


def test_temperature_is_a_what_if_and_changes_nothing_else(app):
    link = {"layer": "2", "query": "r3c3", "step": "softmax"}
    plain, sharp = app("by_hand", **link), app("by_hand", temperature="0.2", **link)
    what_if = [name.format(temperature="0.2") for name in words.WHAT_IF_COLUMNS]
    _, rows = table(sharp, what_if)
    powers = [number(row[2]) for row in rows]
    assert max(powers) > max(number(row[3]) for row in rows)
    others = [[t for t in tables_of(page) if words.WHAT_IF_COLUMNS[-1] not in t[0]] for page in (plain, sharp)]
    assert others[0] == others[1]


@pytest.mark.long
def test_another_grid_and_a_component_beyond_the_head(app):
    page = app("by_hand", model="vit_tiny_patch16_224", weights="random", layer="1", query="r13c13", component="200")
    assert not page.wrong
    assert page.at.number_input(key="choice of component").value == 63


@pytest.mark.parametrize(
    ("model", "step", "said", "caption"),
    [
        ("vit_small_patch16_dinov3", "qkv", words.ROTATE_TEXT, words.CAPTION_ROTATE),
        ("vit_relpos_small_patch16_224", "scores", words.SCORES_BIAS, words.CAPTION_BIAS),
    ],
)
@pytest.mark.long
def test_rotation_and_bias_have_their_own_line(app, model, step, said, caption):
    page = app("by_hand", model=model, weights="random", layer="0", query="r3c3", step=step)
    assert not page.wrong
    assert said in page.text
    captions = {each["step"]: each["caption"] for each in sent(page)["steps"]}
    assert caption in captions[step]
    both = {words.CAPTION_ROTATE, words.CAPTION_BIAS}
    assert not any(other in "".join(captions.values()) for other in both - {caption})


def test_all_numbers_of_a_step_are_sent_only_when_asked_for(app):
    assert not app("by_hand", layer="1").at.dataframe


def test_decimals_and_signs():
    assert decimals_of([0.1234, 0.2]) == 4 and decimals_of([521.1, 20.5, 0.4]) == 1 and decimals_of([None, "x"]) == 0
    assert decimals_of([1.93, -0.005, -0.001, 0.002]) == 5 and decimals_of([1e-12]) == 6
    assert figures(-1234.5, 1) == "\N{MINUS SIGN}1,234.5" and figures(-0.0001, 2) == "0.00"


def test_tables_escape_and_scale_their_bars():
    html = numbers([Column("<b>", ["a&b", "c", "sum"]), Column("n", [1.0, -2.0, None], bars=2)], total=2)
    assert "<b>" not in html and "a&amp;b" in html
    assert numbers([Column("", ["a"]), Column("s", ["<i>x</i>"])]).count("<td>&lt;i&gt;x&lt;/i&gt;</td>") == 1
    assert "--v:0.250;--from:0.500" in html and "--v:0.500;--from:0.000" in html
    both = numbers([Column("", ["a"]), *(Column("n", [v], bars=1, longest=0.8) for v in (0.2, 0.8))])
    assert "--v:0.250" in both and "--v:1.000" in both
    bars = vector(np.array([0.5, -1.0]), "two <bars>", chosen=1)
    assert "two &lt;bars&gt;" in bars and '<i class="n chosen" style="--v:1.000">' in bars and "--v:0.500" in bars
