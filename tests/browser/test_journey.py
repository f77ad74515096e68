"""The start page's figure in the browser: it plays, answers the pointer with Python's numbers, hides patches, takes uploads."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.analysis.attention import query_weights
from vitviz.analysis.positions import position_similarity
from vitviz.draw import LIGHT, Scale
from vitviz.draw.scale import levels, table
from vitviz.samples import load_sample
from vitviz.tokens import TokenLayout
from vitviz.ui.pages.start import text as start

LAYERS = 12
END = LAYERS + 2
BRINK = END - 0.001  # all layers have run, and the answer is still to come


@pytest.fixture(scope="module")
def traced():
    model = vitviz.load_model("embedded")
    return vitviz.trace(model, load_sample("motorcycle"))


def journey(shown):
    """The figure, with every layer's numbers."""
    shown.page.locator(f'.journey[data-loaded="{LAYERS}"]').wait_for()
    return shown.page.locator(".journey")


def caption(shown) -> str:
    return shown.page.locator(".journey .caption").inner_text()


def scrub(shown, at: float) -> None:
    shown.page.locator(".journey .scrub").evaluate(
        "(range, at) => { range.value = at; range.dispatchEvent(new Event('input')); }", at
    )


def stands_at(shown, at: float) -> None:
    """Waits for the frame in which the playhead is there."""
    shown.expect(shown.page.locator(".journey")).to_have_attribute("data-at", f"{at:.3f}")


def at_of(figure) -> float:
    return float(figure.get_attribute("data-at"))


def over(shown, row: int, col: int) -> None:
    box = shown.page.locator(".journey canvas.photo").bounding_box()
    shown.page.mouse.move(box["x"] + (col + 0.5) / 16 * box["width"], box["y"] + (row + 0.5) / 16 * box["height"])


def test_it_plays_pauses_and_stands_still_where_it_is_put(tab):
    shown = tab("")
    figure = journey(shown)
    first = at_of(figure)
    shown.until(lambda: at_of(figure) > first)  # it began by itself
    play = shown.page.locator(".journey .play")
    shown.expect(play).to_have_text("Pause")
    play.click()
    shown.expect(play).to_have_text("Play")
    stopped = at_of(figure)
    shown.page.wait_for_timeout(300)
    assert at_of(figure) == stopped
    scrub(shown, 6)
    stands_at(shown, 6)
    shown.page.get_by_role("button", name="Step", exact=True).click()
    stands_at(shown, 7)
    assert shown.errors() == []


def test_a_patch_under_the_pointer_is_answered_with_pythons_numbers(tab, traced):
    shown = tab("")
    journey(shown)
    for layer, (row, col) in ((11, (8, 3)), (4, (12, 13)), (0, (3, 8))):
        scrub(shown, layer + 3)
        stands_at(shown, layer + 3)
        over(shown, row, col)
        weights = query_weights(traced.layers[layer], f"r{row}c{col}").mean(0).numpy()[1:].reshape(16, 16)
        best = np.unravel_index(int(weights.argmax()), weights.shape)
        shown.expect(shown.page.locator(".journey .caption")).to_have_text(
            re.compile(rf"^Layer {layer}: the patch in row {row}, column {col} takes")
        )
        said = caption(shown)
        found = re.search(r"\(([\d.]+)%\)", said)
        assert found and float(found[1]) == pytest.approx(100 * weights.max(), rel=0.03, abs=0.06)
        assert "from itself" in said if best == (row, col) else f"row {best[0]}, column {best[1]} (" in said
    assert shown.errors() == []


@pytest.mark.long
def test_what_is_held_goes_with_the_link_and_is_asked_about_others(tab, traced):
    shown = tab("")
    journey(shown)
    scrub(shown, END)
    stands_at(shown, END)
    over(shown, 11, 2)
    shown.page.mouse.down()
    shown.page.mouse.up()
    over(shown, 8, 10)
    share = query_weights(traced.layers[11], "r11c2").mean(0).numpy()[1 + 8 * 16 + 10]
    shown.expect(shown.page.locator(".journey .caption")).to_have_text(
        re.compile(r"takes [\d.]+% from the patch in row 8, column 10")
    )
    found = re.search(r"takes ([\d.]+)% from", caption(shown))
    assert found and float(found[1]) == pytest.approx(100 * share, rel=0.05, abs=0.06)
    shown.page.wait_for_url(re.compile("query=r11c2"))
    shown.page.locator(".more[data-page=microscope]").click()
    shown.page.wait_for_url(re.compile("microscope.*query=r11c2"))
    assert shown.errors() == []


def test_hiding_the_object_changes_the_answer_and_nothing_brings_it_back(tab):
    shown = tab("")
    figure = journey(shown)
    shown.page.get_by_role("button", name="the object").click()
    shown.expect(shown.page.locator(".journey .caption")).to_have_text(
        re.compile(r"of 256 patches hidden: (?!motorbike)")
    )
    shown.page.wait_for_url(re.compile("what=hide_mean_"))
    shown.page.get_by_role("button", name="nothing").click()
    shown.expect(shown.page.locator(".journey .caption")).to_have_text(re.compile("the answer is motorbike"))
    assert shown.errors() == []
    # What a slow pass shows, as Streamlit puts it before the figure: it must not move what is drawn on.
    photo = figure.locator("canvas.photo")
    before = photo.bounding_box()
    bar = "<div class='st-key-waiting-test'><div data-testid='stProgress' style='height: 90px'>waits</div></div>"
    at = "(node, bar) => node.insertAdjacentHTML('afterbegin', `<div data-testid='stLayoutWrapper'>${bar}</div>`)"
    shown.page.locator(".st-key-figure").evaluate(at, bar)
    shown.expect(shown.page.get_by_text("waits", exact=True)).to_be_in_viewport()
    assert photo.bounding_box() == before


def test_without_motion_all_layers_stand_there_and_the_answer_is_a_step_further(tab):
    shown = tab("", reduced_motion="reduce")
    figure = journey(shown)
    stands_at(shown, BRINK)
    shown.expect(figure.locator(".bar.empty")).to_have_count(5)
    play = shown.page.locator(".journey .play")
    play.click()
    stands_at(shown, END)
    shown.expect(shown.page.locator(".journey .caption")).to_have_text(re.compile("the answer is motorbike"))
    shown.expect(figure.locator(".bar.empty")).to_have_count(0)
    shown.expect(play).to_have_text("Play again")
    play.click()  # back to where it begins, and from there step by step
    stands_at(shown, 0)
    shown.expect(play).to_have_text("Step")
    play.click()
    stands_at(shown, 1)
    assert shown.errors() == []


@pytest.mark.long
def test_at_rest_the_photograph_follows_the_playhead(tab):
    shown = tab("", reduced_motion="reduce")
    journey(shown)
    photo = shown.page.locator(".journey canvas.photo")
    brightness = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, value) => sum + value, 0) / data.length;
    }"""
    whole = np.asarray(vitviz.prepare(vitviz.load_model("embedded"), load_sample("motorcycle")).shown).mean()
    whole = (3 * whole + 255) / 4  # with the opacity

    def bright() -> None:
        assert photo.evaluate(brightness) == pytest.approx(whole, rel=0.03)

    scrub(shown, END)
    shown.eventually(bright)
    scrub(shown, 6)
    stands_at(shown, 6)
    shown.until(lambda: photo.evaluate(brightness) < 0.9 * whole)  # dark beneath the attention of a layer
    shown.page.locator(".journey .cell-name").last.click()
    stands_at(shown, END)
    shown.eventually(bright)


@pytest.mark.long
def test_a_photograph_too_large_to_send_is_scaled_down_in_the_browser(tab):
    shown = tab("")
    journey(shown)
    noise = np.random.default_rng(1).integers(0, 255, (750, 1000, 3), dtype=np.uint8)
    large = Image.fromarray(noise).resize((8000, 6000), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=98)
    assert file.tell() > 15_000_000
    shown.page.locator(".journey input[type=file]:not([capture])").set_input_files(
        {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    )
    shown.page.wait_for_url(re.compile("image=upload"))
    shown.settled()
    assert shown.errors() == []


@pytest.mark.long
def test_every_layer_is_painted_as_pythons_numbers_are(tab, traced):
    shown = tab("?query=r9c4", width=1280, height=800)
    journey(shown)
    scrub(shown, END)
    stands_at(shown, END)
    read = """(layers) => {
          const canvas = layers.querySelector("canvas"), pen = canvas.getContext("2d"), corner = canvas.getBoundingClientRect();
          return [...layers.querySelectorAll(".frame")].map((frame) => {
            const { left, top, width, height } = frame.getBoundingClientRect();
            return Array.from({ length: 256 }, (_, i) => [...pen.getImageData(
              Math.floor(left - corner.left + ((i % 16) + 0.5) / 16 * width),
              Math.floor(top - corner.top + (Math.floor(i / 16) + 0.5) / 16 * height), 1, 1).data]);
          });
        }"""

    def check() -> None:
        colours = np.array(shown.page.locator(".journey .layer-grid").evaluate(read), float)  # (layers, patches, 4)
        assert len(colours) == LAYERS
        for layer, painted in enumerate(colours):
            shares = query_weights(traced.sequence("")[layer], "r9c4").mean(0).numpy()[1:]
            strong = painted[:, :3].max(1) - painted[:, :3].min(1)  # the photograph beneath is grey
            relative = shares * (len(shares) + 1)  # to the even share of all tokens
            assert strong[relative > 1.5].mean() > 60 and strong[relative < 0.5].mean() < 25, layer

    shown.eventually(check)


@pytest.mark.long
def test_who_comes_back_from_a_page_finds_the_figure_as_it_was(tab):
    shown = tab("", width=1280, height=800)
    journey(shown)
    scrub(shown, 7)
    stands_at(shown, 7)
    shown.page.locator(".journey .speed", has_text="2×").click()
    shown.page.locator(".journey .more[data-page=microscope]").click()
    shown.page.locator(".microscope[data-source]").wait_for()
    shown.page.locator("[data-testid=stSidebar] a", has_text="Start").click()
    journey(shown)
    stands_at(shown, 7)
    assert shown.page.locator(".journey .speed[aria-pressed=true]").inner_text() == "2×"
    # The page got the patch that was followed; here none was chosen.
    shown.page.wait_for_url(re.compile(r"^((?!query=).)*$"))
    scrub(shown, END)
    shown.expect(shown.page.locator(".journey .caption")).to_have_text(re.compile("the answer is motorbike"))


@pytest.mark.long
def test_a_layer_that_does_not_come_is_said_and_asked_for_again(tab):
    shown = tab("model", width=1280, height=800)
    refused = []

    def refuse_third(route) -> None:
        """The picture comes first, then a layer after the other."""
        if route.request.url not in refused and len(refused) < 4:
            refused.append(route.request.url)
        if len(refused) == 4 and route.request.url == refused[3]:
            route.fulfill(status=500)
        else:
            route.continue_()

    shown.page.route("**/payload/*", refuse_third)
    shown.open("")
    trouble = shown.page.locator(".journey .failure")
    shown.expect(trouble).to_contain_text("Layer 2 could not be fetched")
    shown.expect(shown.page.locator(".journey")).to_have_attribute("data-loaded", str(LAYERS - 1))
    shown.page.unroute("**/payload/*")
    trouble.get_by_role("button").click()
    journey(shown)
    shown.expect(trouble).to_be_hidden()


@pytest.mark.long
def test_a_photograph_of_ones_own_is_in_the_figure_after_a_reload(tab):
    shown = tab("", width=1280, height=800)
    journey(shown)
    file = io.BytesIO()
    Image.fromarray(np.full((300, 300, 3), (20, 90, 200), np.uint8)).save(file, "PNG")
    shown.page.locator(".journey input[type=file]:not([capture])").set_input_files(
        {"name": "blue.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    shown.wait_for_parameter("image", "upload")
    shown.page.reload()
    shown.settled()
    journey(shown)
    scrub(shown, END)
    stands_at(shown, END)

    def blue() -> None:
        middle = shown.page.locator(".journey canvas.photo").evaluate(
            "(canvas) => [...canvas.getContext('2d').getImageData(canvas.width / 2 + 4, canvas.height / 2 + 4, 1, 1).data]"
        )
        assert middle[2] > 150 and middle[0] < 90, "the blue photograph"

    shown.eventually(blue)
    # It is a picture of the gallery, which one comes back to.
    own = shown.page.locator(".journey .thumb[data-image=upload]")
    shown.expect(own).to_have_attribute("aria-pressed", "true")
    shown.page.locator(".journey .thumb[data-image=coffee]").click()
    shown.wait_for_parameter("image", "coffee")
    shown.expect(own).to_have_attribute("aria-pressed", "false")
    own.click()
    shown.wait_for_parameter("image", "upload")
    # A file that is no picture leaves it, and the figure says why.
    shown.page.locator(".journey input[type=file]:not([capture])").set_input_files(
        {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear Sir or Madam"}
    )
    shown.expect(shown.page.locator(".journey .caption")).to_contain_text("not a picture")
    # The same photograph once more changes nothing, and no sentence stays.
    shown.page.locator(".journey input[type=file]:not([capture])").set_input_files(
        {"name": "blue.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    shown.expect(shown.page.locator(".journey .caption")).not_to_contain_text("being read")
    assert shown.parameters()["image"] == "upload" and shown.errors() == []


@pytest.mark.long
def test_a_chosen_patch_shows_its_maps_and_not_yet_the_answer(tab):
    shown = tab("")
    figure = journey(shown)
    shown.page.locator(".journey .play").click()
    scrub(shown, 0)
    stands_at(shown, 0)
    over(shown, 8, 3)
    shown.page.mouse.down()
    shown.page.mouse.up()
    shown.expect(shown.page.locator(".journey .caption")).to_have_text(
        re.compile(r"^Layer 11: the patch in row 8, column 3 takes")
    )
    assert "".join(figure.locator(".reading").all_inner_texts()) == ""
    scrub(shown, 6)
    stands_at(shown, 6)
    shown.expect(figure.locator(".reading").first).not_to_be_empty()
    assert [bool(text) for text in figure.locator(".reading").all_inner_texts()] == [True] * 4 + [False] * 8


def test_fingers_choose_open_a_layer_and_hide(tab):
    shown = tab("", width=390, height=844, has_touch=True, is_mobile=True, reduced_motion="reduce")
    figure = journey(shown)
    figure.locator(".frame").nth(2).tap()
    stands_at(shown, 5)
    figure.locator(".frame").nth(2).tap()
    shown.expect(figure.locator(".heads button")).to_have_count(6)
    assert figure.locator(".cell-name").first.bounding_box()["height"] >= 24
    figure.locator(".frame").nth(2).tap()
    photo = figure.locator("canvas.photo")
    photo.tap()
    shown.page.wait_for_url(re.compile(r"query=r\d+c\d+"))
    figure.get_by_role("button", name="with a brush").tap()
    photo.tap()
    shown.page.wait_for_url(re.compile("what=hide_mean_"))
    assert shown.errors() == []


@pytest.mark.long
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768)])
def test_ones_own_photograph_and_every_name_are_whole_on_the_first_screen(tab, width, height):
    shown = tab("", reduced_motion="reduce", width=width, height=height)
    figure = journey(shown)
    frame = figure.locator(".frame").first.bounding_box()
    assert frame["width"] >= (80 if width == 1280 else 70)
    tiles = figure.locator(".tile")
    assert tiles.all_inner_texts() == [start.JOURNEY["upload"], start.JOURNEY["camera"]]
    for tile in tiles.all():
        box = tile.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height
    cut = "(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.textContent)"
    assert figure.locator(".title, .cell-name > :first-child").evaluate_all(cut) == []


@pytest.mark.long
def test_a_patch_and_the_answer_open_in_place(tab, traced):
    shown = tab("?query=r8c3", reduced_motion="reduce", width=1280, height=800)
    figure = journey(shown)
    scrub(shown, END)
    stands_at(shown, END)
    pixels = figure.get_by_role("button", name="pixels", exact=True)
    pixels.click()
    shown.expect(figure.locator(".pixels")).to_contain_text("14 × 14 pixels, 588 numbers")
    shown.expect(figure.locator(".sequence-part .title")).to_have_text("Pixels of the patch in row 8, column 3")
    painted = figure.locator(".pixels canvas").evaluate(
        """(canvas) => { const pen = canvas.getContext("2d"), side = canvas.width / 14;
          return Array.from({ length: 196 }, (_, i) => [...pen.getImageData(
            Math.floor((i % 14 + 0.5) * side), Math.floor((Math.floor(i / 14) + 0.5) * side), 1, 1).data].slice(0, 3)); }"""
    )
    whole = np.asarray(vitviz.prepare(vitviz.load_model("embedded"), load_sample("motorcycle")).shown, float)
    np.testing.assert_allclose(
        np.array(painted).reshape(14, 14, 3), whole[112:126, 42:56], atol=12
    )  # sent as JPEG or WebP
    pixels.click()
    sequence, curve, heads = (figure.locator(each) for each in ("canvas.sequence", ".curve", ".heads"))
    shown.expect(sequence).to_be_visible()
    shown.expect(figure.locator(".pixels")).to_be_hidden()
    # One thing at a time is open there; Escape closes it, then the class, and lets go of the patch last.
    pixels.click()
    figure.locator(".cell-name").nth(5).evaluate("button => button.click()")  # to a layer
    figure.locator(".cell-name").nth(5).evaluate("button => button.click()")  # and its heads
    shown.expect(heads.locator("button")).to_have_count(6)
    shown.expect(figure.locator(".pixels")).to_be_hidden()
    shown.expect(pixels).to_have_attribute("aria-pressed", "false")
    pixels.click()
    shown.expect(heads).to_be_hidden()
    scrub(shown, END)
    figure.locator(".bar.first .text").click()
    shown.expect(curve).to_contain_text("motorbike: 94%")
    scrub(shown, 4.5)
    shown.expect(curve).to_contain_text("motorbike: 0")
    figure.get_by_role("button", name="all classes").click()
    shown.expect(figure.locator(".bar").first).to_be_visible()
    scrub(shown, END)
    figure.locator(".bar.first .text").click()
    shown.expect(curve).to_be_visible()
    shown.page.keyboard.press("Escape")
    shown.expect(sequence).to_be_visible()
    shown.expect(curve).to_be_visible()
    shown.page.keyboard.press("Escape")
    shown.expect(curve).to_be_hidden()
    assert shown.parameters()["query"] == "r8c3"
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_url(re.compile(r"^((?!query=).)*$"))
    assert shown.errors() == []


@pytest.mark.long
def test_the_position_of_a_patch_opens_beside_all_others(tab):
    shown = tab("?query=r8c3", reduced_motion="reduce", width=1280, height=800)
    figure = journey(shown)
    opener = figure.get_by_role("button", name="position map", exact=True)
    opener.focus()
    shown.page.keyboard.press("Enter")
    similar = position_similarity(vitviz.load_model("embedded"), TokenLayout(("cls",), (16, 16), (14, 14)), [131])[0]
    best = np.argsort(-similar)[1]
    panel = figure.locator(".positions:visible")
    shown.expect(panel).to_contain_text(
        f"most similar to that of the patch in row {best // 16}, column {best % 16}: cosine similarity {similar[best]:.2f}"
    )
    canvas = panel.locator("canvas")
    painted = canvas.evaluate(
        """(canvas) => { const pen = canvas.getContext("2d"), side = canvas.width / 16;
          return Array.from({ length: 256 }, (_, i) => [...pen.getImageData(
            Math.floor((i % 16 + 0.5) * side), Math.floor((Math.floor(i / 16) + 0.5) * side), 1, 1).data].slice(0, 3)); }"""
    )
    others = np.delete(similar, 131)
    wanted = table(LIGHT.sequential)[levels(similar.reshape(16, 16), Scale(others.min(), others.max()))].reshape(
        256, -1
    )
    off = np.abs(np.array(painted, int) - wanted[:, :3].astype(int)).max(1)
    assert off.max() <= 12, np.argwhere(off > 12)  # sent in half precision
    # Where one patch is held, another one is asked about it; arrow keys are spoken.
    over(shown, 8, 10)
    shown.expect(panel).to_contain_text(f"column 10 have a cosine similarity of {similar[138]:.2f}")
    assert "row 8, column 3" in canvas.get_attribute("aria-label")
    shown.page.mouse.move(1, 1)
    figure.locator("canvas.photo").focus()
    shown.page.keyboard.press("Escape")
    shown.expect(panel).to_have_count(0)
    shown.expect(figure.locator("canvas.sequence")).to_be_visible()
    assert "query=r8c3" in shown.page.url, "Escape closes the map first, and lets the patch go after it"
    assert shown.errors() == []
