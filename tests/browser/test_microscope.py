"""The microscope in a real browser: what it paints is what Python computes, and everything the hand can do the keys can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitviz.draw.scale import table
from vitviz.draw.theme import LIGHT

from .microscope_cases import CASES
from .serving import served
from .tabs import PATIENCE, Tab


@pytest.fixture(scope="module")
def bench() -> Iterator[str]:
    with served(Path(__file__).with_name("microscope_app.py")) as address:
        yield address


class Microscope(Tab):
    """One tab with the microscope over one case."""

    def __init__(self, browser: Any, bench: str, case: str, query: str = "", **look: Any) -> None:
        super().__init__(browser, bench, **look)
        self.fetched: list[str] = []
        self.page.on("response", lambda r: self.fetched.append(r.url) if "/payload/" in r.url else None)
        self.case, self.layout = CASES[case], CASES[case].layout
        self.page.goto(f"{bench}/?case={case}{query}")
        self.root = self.page.locator(".microscope")
        self.picture = self.page.locator("canvas.picture")
        self.settle()
        self.page.locator(".more-of").click()

    def settle(self, **state: object) -> None:
        """Until the shown layer has arrived and painted, and `data-*` say what `state` says."""
        wanted = {name: value if isinstance(value, str) else json.dumps(value) for name, value in state.items()}
        attributes = "".join(f"[data-{name}='{value}']" for name, value in wanted.items())
        self.page.locator(f".microscope[aria-busy=false][data-source]{attributes}").wait_for()

    def reported(self, **wanted: object) -> dict[str, Any]:
        """What Python has taken over, once that includes `wanted`."""
        shown = self.page.locator("[data-testid=stCode] code")
        for name, value in wanted.items():
            shown.filter(has_text=f'"{name}": {json.dumps(value)}').wait_for()
        return json.loads(shown.inner_text())

    def point(self, token: str) -> dict[str, float]:
        """The middle of a patch on the page."""
        row, col = self.layout.cell_of(self.layout.token_named(token)) or (0, 0)
        self.picture.scroll_into_view_if_needed()
        box = self.picture.bounding_box()
        rows, cols = self.layout.grid
        return {"x": box["x"] + (col + 0.5) * box["width"] / cols, "y": box["y"] + (row + 0.5) * box["height"] / rows}

    def hover(self, token: str) -> None:
        self.page.mouse.move(**self.point(token))

    def click(self, token: str) -> None:
        self.page.mouse.click(**self.point(token))

    def values(self, head: int | str) -> np.ndarray:
        return np.array(self.root.evaluate("(root, head) => root.vitvizMicroscope.values(head)", head))

    def pixels(self, head: int | str) -> np.ndarray:
        """(rows, cols, 3): the colour of the middle of every patch of one head's map."""
        canvas = self.page.locator(f".tile[data-head='{head}'] canvas")
        rows, cols = self.layout.grid
        read = """(canvas, [rows, cols]) => {
            const context = canvas.getContext('2d');
            const found = [];
            for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) {
                const at = [(c + 0.5) * canvas.width / cols, (r + 0.5) * canvas.height / rows].map(Math.floor);
                found.push([...context.getImageData(...at, 1, 1).data].slice(0, 3));
            }
            return found; }"""
        return np.array(canvas.evaluate(read, [rows, cols]), np.uint8).reshape(rows, cols, 3)

    def words(self, part: str) -> str:
        return self.page.locator(f".microscope .{part}").inner_text()


@pytest.fixture
def microscope(browser: Any, bench: str) -> Iterator[Any]:
    opened: list[Microscope] = []

    def open_one(case: str = "small", query: str = "", **look: Any) -> Microscope:
        opened.append(Microscope(browser, bench, case, query, **look))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


# The others are long; in Node.js every case is compared (tests/frontend/core/test_weights.py).
HOVERED = [
    "oblong",
    *(pytest.param(case, marks=pytest.mark.long) for case in ("mixed", "small", "large12", "registers", "bias")),
]


@pytest.mark.parametrize("case", HOVERED)
def test_hovering_paints_the_weights_that_python_computes(microscope: Any, case: str) -> None:
    shown = microscope(case)
    rows, cols = shown.layout.grid
    token = f"r{rows // 2}c{cols - 2}"
    shown.hover(token)
    shown.settle(source=token, pinned=False)
    weights = shown.case.layer(1).row(shown.layout.token_named(token)).numpy()  # (heads, keys)
    for head in range(shown.case.heads):
        np.testing.assert_allclose(shown.values(head), weights[head], atol=1e-4)
    np.testing.assert_allclose(shown.values("mean"), weights.mean(0), atol=1e-4)
    shown.screenshot(f"microscope-hover-{case}")


@pytest.mark.long
def test_the_colours_are_those_of_the_robust_scale(microscope: Any) -> None:
    shown = microscope("small")
    shown.hover("r3c4")
    shown.settle(source="r3c4")
    patches = shown.case.layer(1).row(shown.layout.token_named("r3c4"))[2, 1:].numpy()
    place = np.clip(patches / np.percentile(patches, 99), 0, 1) * 255
    expected = table(LIGHT.sequential)[(place + 0.5).astype(int)].reshape(16, 16, 3).astype(int)
    painted = shown.pixels(2).astype(int)
    difference = np.abs(painted - expected).max(-1)
    difference[3, 4] = 0  # framed
    assert (difference <= 8).all(), "one step of the colour table at most"
    assert np.abs(painted - painted.mean((0, 1))).max() > 60


def test_looked_at_by_is_the_column(microscope: Any) -> None:
    shown = microscope("registers")
    shown.click("r5c6")
    shown.page.get_by_role("button", name="is looked at by").click()
    shown.settle(direction="by", source="r5c6", pinned=True)
    column = shown.case.layer(1).column(shown.layout.token_named("r5c6")).numpy()
    np.testing.assert_allclose(shown.values(3), column[3], atol=1e-4)
    assert shown.words("asked") == "row 5, column 6 is looked at by …"
    assert shown.reported(direction="by", token="r5c6")["direction"] == "by"


@pytest.mark.long
def test_queries_and_keys_on_different_grids(microscope: Any) -> None:
    shown = microscope("pooled")
    attention = shown.case.layer(1)
    shown.click("r9c6")
    shown.settle(source="r9c6", pinned=True)
    np.testing.assert_allclose(shown.values(1), attention.row(9 * 16 + 6)[1].numpy(), atol=1e-4)
    shown.page.keyboard.press("d")
    shown.settle(direction="by", source="r4c3")
    np.testing.assert_allclose(shown.values(1), attention.column(4 * 8 + 3)[1].numpy(), atol=1e-4)


def test_a_click_pins_and_escape_lets_go(microscope: Any) -> None:
    shown = microscope("small")
    shown.click("r2c3")
    assert shown.reported(token="r2c3")["layer"] == 1
    shown.hover("r9c9")
    shown.page.locator(".reading", has_text="row 9, column 9").wait_for()
    shown.settle(source="r2c3", pinned=True)
    row = shown.case.layer(1).row(shown.layout.token_named("r2c3")).mean(0)
    target = shown.layout.token_named("r9c9")
    rank = 1 + int((row > row[target]).sum())
    said = re.search(r"row 9, column 9: ([\d.e-]+), rank (\d+) of 257 \(mean of heads\)", shown.words("reading"))
    assert said is not None
    assert float(said[1]) == pytest.approx(float(row[target]), rel=1e-3)
    assert int(said[2]) == rank
    shown.page.keyboard.press("Escape")
    shown.settle(pinned=False)
    shown.reported(token=None)
    shown.hover("r4c4")
    shown.settle(source="r4c4")
    shown.click("r4c4")
    shown.settle(pinned=True)
    shown.click("r4c4")
    shown.settle(pinned=False)


def test_the_keyboard_does_it_all(microscope: Any) -> None:
    shown = microscope("small12")
    shown.picture.focus()
    press = shown.page.keyboard.press
    press("ArrowRight")
    shown.settle(pinned=True, source="r8c8")
    press("ArrowUp")
    press("ArrowLeft")
    shown.settle(source="r7c7")
    press("1")
    press("1")
    shown.settle(head=11)
    press("m")
    shown.settle(head="mean")
    press("]")
    shown.settle(layer=2)
    press("]")
    shown.settle(layer=3)
    press("]")  # there is no layer 4
    press("[")
    shown.settle(layer=2)
    press("d")
    shown.settle(direction="by")
    press("Shift+ArrowRight")
    press("Shift+ArrowRight")
    shown.page.locator(".reading", has_text="row 7, column 8:").wait_for()
    column = shown.case.layer(2).column(shown.layout.token_named("r7c7")).mean(0)
    np.testing.assert_allclose(shown.values("mean"), column.numpy(), atol=1e-4)
    press("a")
    shown.settle(head="all")
    reported = shown.reported(token="r7c7", layer=2, head="all", direction="by")
    assert reported["scale"] == "robust"
    for _ in range(8):
        press("ArrowUp")
    shown.settle(source="cls")
    press("Escape")
    shown.settle(pinned=False)


@pytest.mark.long
def test_registers_and_the_class_token_are_chips(microscope: Any) -> None:
    shown = microscope("registers")
    chips = shown.page.locator(".chip")
    assert chips.locator(".chip-name").all_inner_texts() == ["class token", *(f"register {i}" for i in range(4))]
    chips.nth(2).click()
    shown.settle(source="reg1", pinned=True)
    row = shown.case.layer(1).row(2).numpy()
    np.testing.assert_allclose(shown.values(0), row[0], atol=1e-4)
    mean = row.mean(0)
    assert [float(v) for v in chips.locator(".chip-value").all_inner_texts()] == pytest.approx(
        mean[:5].tolist(), rel=0.06
    )
    assert chips.nth(2).get_attribute("aria-pressed") == "true"
    shown.reported(token="reg1")


@pytest.mark.long
def test_value_weighted_attention_and_scales(microscope: Any) -> None:
    shown = microscope("registers")
    shown.click("r5c6")
    shown.page.get_by_label("Show").select_option("value")
    shown.reported(measure="value")
    norm = shown.case.value_norm(1)
    expected = shown.case.layer(1).row(shown.layout.token_named("r5c6")) * norm
    np.testing.assert_allclose(shown.values(4), expected[4].numpy(), atol=3e-4)
    patches = expected[:, 5:].numpy()
    extent = "(root, head) => root.vitvizMicroscope.extent(head).high"
    assert shown.root.evaluate(extent, 4) == pytest.approx(float(np.percentile(patches[4], 99)), rel=1e-3)
    shown.page.get_by_label("Scale", exact=True).select_option("raw")
    shown.reported(scale="raw")
    assert shown.root.evaluate(extent, 4) == pytest.approx(float(patches[4].max()), rel=1e-3)
    shown.page.get_by_label("same scale for all heads").check()
    shown.reported(shared=True)
    assert shown.root.evaluate(extent, 0) == pytest.approx(float(patches.max()), rel=1e-3)
    assert "one scale for all heads" in shown.words("scale-words")
    plain = microscope("small")
    assert plain.page.get_by_label("Show").is_disabled(), "no values were sent"


@pytest.mark.long
def test_clipped_values_are_counted_on_the_colour_bar(microscope: Any) -> None:
    shown = microscope("small")
    shown.click("r5c6")
    shown.settle(source="r5c6")
    mean = shown.case.layer(1).row(shown.layout.token_named("r5c6")).mean(0)[1:].numpy()
    beyond = int((mean > np.percentile(mean, 99)).sum())
    assert f"{beyond} of 256 patches beyond" in shown.words("scale-words")
    assert shown.words("ends .high").startswith("≥ ")


def test_the_picture_has_a_text_alternative_and_a_live_region(microscope: Any) -> None:
    shown = microscope("small")
    shown.click("r5c6")
    shown.page.mouse.move(2, 2)
    mean = shown.case.layer(1).row(shown.layout.token_named("r5c6")).mean(0)
    named = []
    for token in mean.topk(3).indices.tolist():
        cell = shown.layout.cell_of(token)
        named.append(f"row {cell[0]}, column {cell[1]}" if cell else "class token")
    shown.page.locator(".microscope [aria-live]", has_text="Pinned: row 5, column 6").wait_for(state="attached")
    for text in (
        shown.picture.get_attribute("aria-label"),
        shown.page.locator(".microscope [aria-live]").text_content(),
    ):
        assert re.search(r"16 rows and 16 columns.*Pinned: row 5, column 6.*layer 1, mean of heads", text)
        places = [text.index(f"{name} (") for name in named]
        assert places == sorted(places)


@pytest.mark.long
def test_focus_can_be_seen(microscope: Any) -> None:
    shown = microscope("small")
    shown.picture.focus()
    shown.page.keyboard.press("ArrowDown")
    outline = shown.picture.evaluate(
        "canvas => getComputedStyle(canvas).outlineStyle + getComputedStyle(canvas).outlineWidth"
    )
    assert outline == "solid3px"


@pytest.mark.long
def test_python_can_move_the_pin_and_is_not_echoed(microscope: Any) -> None:
    shown = microscope("small")
    shown.click("r9c9")
    shown.reported(token="r9c9")
    shown.page.get_by_role("button", name="pin r1c2 from Python").click()
    shown.settle(source="r1c2", layer=2, head=1)
    np.testing.assert_allclose(shown.values(1), shown.case.layer(2).row(shown.layout.token_named("r1c2"))[1], atol=1e-4)
    shown.click("r9c9")
    shown.settle(source="r9c9")
    assert shown.reported(token="r9c9", layer=2)["head"] == 1
    shown.page.get_by_role("button", name="pin r1c2 from Python").click()
    shown.settle(source="r1c2")


@pytest.mark.long
def test_numbers_are_fetched_once(microscope: Any) -> None:
    shown = microscope("small")
    shown.page.wait_for_timeout(1500)
    first = sorted(shown.fetched)
    assert len(first) == len(set(first)) == 4, "the picture, the layer and its two neighbours"
    for token in ("r2c2", "r3c3", "r4c4"):
        shown.click(token)
        shown.reported(token=token)
    assert sorted(shown.fetched) == first
    shown.page.keyboard.press("]")
    shown.settle(layer=2)
    shown.reported(layer=2)
    shown.page.wait_for_timeout(1500)
    assert len(shown.fetched) == 5, "one new neighbour"


@pytest.mark.long
def test_a_reload_restores_the_pin(microscope: Any) -> None:
    shown = microscope("small")
    shown.click("r6c2")
    shown.page.keyboard.press("]")
    shown.reported(token="r6c2", layer=2)
    shown.page.wait_for_url(re.compile("token=r6c2"))
    shown.page.reload()
    shown.settle(source="r6c2", pinned=True, layer=2)


@pytest.mark.long
def test_a_payload_that_is_gone_is_asked_for_anew(microscope: Any, browser: Any, bench: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/payload/**", lambda route: route.fulfill(status=404, body="not found"))
    page.goto(f"{bench}/?case=small")
    page.locator(".failure", has_text="no longer on the server").wait_for(timeout=PATIENCE)
    page.unroute("**/payload/**")
    page.get_by_role("button", name="Try again").click()
    page.locator(".microscope[aria-busy=false][data-source]").wait_for(timeout=PATIENCE)
    page.wait_for_function("said => !document.body.innerText.includes(said)", arg="no longer on the server")
    context.close()


@pytest.mark.long
def test_a_stale_or_made_up_address_tells_nothing(microscope: Any) -> None:
    shown = microscope("small")
    for name in ("0" * 64, "x", "a" * 3000):
        answer = shown.page.request.get(f"{shown.page.url.split('?')[0]}payload/{name}")
        assert answer.status == 404
        assert "Traceback" not in answer.text()


@pytest.mark.parametrize(
    ("name", "look"),
    [
        pytest.param(
            "projector-light",
            {"viewport": {"width": 1024, "height": 768}, "color_scheme": "light"},
            marks=pytest.mark.long,
        ),
        ("projector-dark", {"viewport": {"width": 1024, "height": 768}, "color_scheme": "dark"}),
        (
            "phone",
            {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2},
        ),
    ],
)
@pytest.mark.long
def test_it_fits_every_window(microscope: Any, name: str, look: dict[str, Any]) -> None:
    shown = microscope("large", **look)
    top = "() => document.querySelector('[data-testid=stMain]').scrollTop"
    shown.picture.scroll_into_view_if_needed()
    before, scrolled = shown.picture.bounding_box(), shown.page.evaluate(top)
    if look.get("has_touch"):
        at = shown.point("r20c20")
        shown.page.touchscreen.tap(at["x"], at["y"])
    else:
        shown.click("r20c20")
    shown.settle(source="r20c20", pinned=True)
    shown.screenshot(f"microscope-{name}")
    shown.picture.scroll_into_view_if_needed()
    after = shown.picture.bounding_box()
    assert (after["width"], after["height"]) == (before["width"], before["height"])
    assert after["y"] + shown.page.evaluate(top) == pytest.approx(before["y"] + scrolled, abs=1), (
        "the picture stays put"
    )
    width = look["viewport"]["width"]
    assert shown.page.evaluate("() => document.documentElement.scrollWidth") <= width
    box = shown.root.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    for tile in shown.page.locator(".tile:visible").all():
        place = tile.bounding_box()
        assert place["x"] + place["width"] <= width
        if name != "phone":
            assert place["y"] + place["height"] <= after["y"] + after["height"] + 1, "maps end with the picture"
    ink, paper = shown.root.evaluate(
        """root => {
            const style = getComputedStyle(root);
            const probe = document.createElement('canvas').getContext('2d');
            return [style.color, style.getPropertyValue('--paper')].map((colour) => {
                probe.fillStyle = colour;
                probe.fillRect(0, 0, 1, 1);
                return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
            }); }"""
    )
    assert contrast(ink, paper) > 7


def contrast(one: list[int], other: list[int]) -> float:
    """WCAG 2: ratio of relative luminances."""

    def luminance(colour: list[int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.long
def test_links_are_drawn_over_the_picture(microscope: Any) -> None:
    shown = microscope("oblong")
    shown.click("r4c5")
    shown.page.mouse.move(2, 2)
    before = shown.picture.evaluate("canvas => canvas.toDataURL()")
    shown.page.get_by_label("strongest links").uncheck()  # they are there from the start
    shown.reported(links=False)
    assert shown.picture.evaluate("canvas => canvas.toDataURL()") != before
    shown.screenshot("microscope-links")
