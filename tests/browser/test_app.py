"""The app as people meet it: a real server, a real browser, the whole path."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.samples import load_sample
from vitviz.ui.pages.patches import text as patches
from vitviz.ui.pages.positions import text as positions
from vitviz.ui.pages.rollout import text as rollout
from vitviz.ui.pages.start import text as start
from vitviz.ui.shell import text as sidebar
from vitviz.ui.text import common


def component(tab, nth: int):
    return tab.page.locator(".heatmap").nth(nth)


def click_patch(tab, nth: int, row: int, col: int, grid: int = 16) -> None:
    canvas = component(tab, nth).locator("canvas.main")
    box = canvas.bounding_box()
    canvas.click(position={"x": (col + 0.5) * box["width"] / grid, "y": (row + 0.5) * box["height"] / grid})


def point_at_patch(tab, nth: int, row: int, col: int, grid: int = 16) -> str:
    canvas = component(tab, nth).locator("canvas.main")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    canvas.hover(position={"x": (col + 0.5) * box["width"] / grid, "y": (row + 0.5) * box["height"] / grid})
    return component(tab, nth).locator(".readout").inner_text()


@pytest.fixture(scope="module")
def traced():
    model = vitviz.load_model("embedded")
    return vitviz.trace(model, load_sample("motorcycle"))


def test_the_whole_path(tab, traced):
    shown = tab("")
    assert start.HEADING in shown.page.inner_text("h2")
    shown.page.get_by_role("link", name=rollout.PAGE.title, exact=True).first.click()
    shown.page.get_by_role("heading", name=rollout.PAGE.question).wait_for()
    shown.settled()

    # Change the layer and head on the board: layer 4, head 2 of 12 x 6.
    shown.page.get_by_text(common.DETAILS, exact=True).click()
    shown.settled()
    board = component(shown, 2).locator("canvas.main")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    margin, header = 26, 18  # as in board.js
    down, across = (box["height"] - header) / 12, (box["width"] - margin) / 6
    board.click(position={"x": margin + 2.5 * across, "y": header + 4.5 * down})
    shown.wait_for_parameter("layer", "4")
    assert shown.parameters() == {"layer": "4", "head": "2", "of": "head"}

    # Read a value off the enlarged head: it is the one that Python computes.
    expected = float(vitviz.attention_map(traced.layers[4], "cls", 2).values[7, 9])
    read = point_at_patch(shown, 0, 7, 9)
    assert common.PICTURE_WORDS["place"].format(row=7, col=9) in read
    assert float(read.rsplit("·", 1)[1].replace("×10⁻", "e-")) == pytest.approx(expected, rel=6e-3)

    # Ask about a patch instead of the class token.
    click_patch(shown, 0, 10, 4)
    shown.wait_for_parameter("query", "r10c4")
    assert common.token("r10c4") in shown.page.inner_text("[data-testid=stMain]")

    # The same view again after a reload, and in another browser.
    before = shown.parameters()
    link = shown.page.url
    shown.page.reload()
    shown.settled()
    other = tab(link.removeprefix(shown.server).lstrip("/"))
    for view in (shown, other):
        assert view.parameters() == before
        view.expect(view.page.get_by_label(common.LAYER, exact=True)).to_have_value("4")
        assert common.token("r10c4") in view.page.inner_text("[data-testid=stMain]")
        assert view.errors() == []

    # The Back button undoes the last choice.
    other.page.locator("[data-testid=stButtonGroup]").get_by_text(common.token("cls"), exact=True).click()
    other.wait_for_parameter("query", "cls")
    other.page.go_back()
    other.wait_for_parameter("query", "r10c4")


# The lightest and the darkest within two pixels of the upper edge of a patch, where each is least: a frame is light in dark.
EDGE = """(canvas, [row, col]) => {
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const cell = width / 16;
  const ends = [255, 0];
  for (let i = 1; i < 8; i++) {
    const column = Math.round((col + i / 8) * cell);
    const greys = [-2, -1, 0, 1, 2].map((dy) => {
      const at = 4 * ((Math.round(row * cell) + dy) * width + column);
      return (data[at] + data[at + 1] + data[at + 2]) / 3;
    });
    ends[0] = Math.min(ends[0], Math.max(...greys));
    ends[1] = Math.max(ends[1], Math.min(...greys));
  }
  return ends;
}"""


def test_sinks_are_marked_in_the_picture_and_left_out_beside_it(tab, traced):
    rolled = vitviz.rollout(traced)
    found = vitviz.rollout_sinks(traced, rolled)
    row, col = found.cells[0]
    assert found.peak_is_sink and (row, col) == rolled.peak[:2]
    shown = tab("rollout")
    for nth, expected in ((0, float(rolled.values[row, col])), (1, 0.0)):
        picture = component(shown, nth).locator("canvas.main")
        light, dark = picture.evaluate(EDGE, [row, col])
        assert light - dark > 60, (light, dark)
        light, dark = picture.evaluate(EDGE, [(row + 5) % 16, col])
        assert light - dark < 40, (light, dark)
        box = picture.bounding_box()
        assert box["y"] + box["height"] < 768  # whole above the fold
        read = point_at_patch(shown, nth, row, col)
        assert float(read.rsplit("·", 1)[1].replace("×10⁻", "e-")) == pytest.approx(expected, rel=6e-3)
    assert f"{found.share:.0%} on sinks" in shown.page.inner_text("[data-testid=stMain]")
    shown.screenshot("rollout-sinks")
    assert shown.errors() == []


@pytest.mark.long
def test_keyboard_moves_the_choice(tab):
    shown = tab("patches?query=r5c5")
    component(shown, 0).locator("canvas.main").focus()
    shown.page.keyboard.press("ArrowRight")
    shown.page.keyboard.press("ArrowDown")
    shown.wait_for_parameter("query", "r6c6")
    label = component(shown, 0).locator("canvas.main").get_attribute("aria-label")
    assert common.PICTURE_WORDS["place"].format(row=6, col=6) in label


def picture(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((120, 160, 3), colour, np.uint8)).save(file, "PNG")
    return file.getvalue()


def send(shown, content: bytes, name: str) -> None:
    shown.page.get_by_role("radio", name=sidebar.SOURCES["upload"]).click()
    shown.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content}
    )


def upload(shown, content: bytes, name: str) -> None:
    send(shown, content, name)
    shown.wait_for_parameter("image", "upload")


def corner(shown, nth: int = 0) -> list[int]:
    """The colour in the middle of the first patch, as painted."""
    return (
        component(shown, nth)
        .locator("canvas.main")
        .evaluate("(canvas) => [...canvas.getContext('2d').getImageData(8, 8, 1, 1).data].slice(0, 3)")
    )


@pytest.mark.long
def test_two_visitors_with_different_uploads_never_see_each_others(tab):
    red, blue = tab("patches"), tab("patches")
    fetched: dict[str, list[str]] = {"red": [], "blue": []}
    red.page.on("response", lambda r: fetched["red"].append(r.url) if "/payload/" in r.url else None)
    upload(red, picture((250, 10, 10)), "red.png")
    upload(blue, picture((10, 10, 250)), "blue.png")
    assert corner(red)[0] > 200 > 60 > corner(red)[2]
    assert corner(blue)[2] > 200 > 60 > corner(blue)[0]

    # The address of one visitor's numbers is of no use to the other, nor to somebody without cookies.
    address = fetched["red"][-1]
    assert red.context.request.get(address).status == 200
    answers = [blue.context.request.get(address), blue.context.request.get(address[:-1] + "x")]
    assert {(answer.status, answer.body()) for answer in answers} == {(404, b"not found")}

    # What was uploaded is not in the link.
    other = tab(red.page.url.removeprefix(red.server).lstrip("/"))
    assert common.NO_UPLOAD in other.page.inner_text("[data-testid=stMain]")
    assert red.errors() == blue.errors() == other.errors() == []


def test_a_broken_file_leaves_the_page_working(tab):
    shown = tab("rollout")
    send(shown, b"\x89PNG\r\n\x1a\n and then nothing", "broken.png")
    shown.page.locator("[data-testid=stAlertContentError]").wait_for()
    assert len(shown.errors()) == 1 and shown.parameters() == {}


@pytest.mark.long
def test_downloads_and_code(tab):
    shown = tab("rollout?query=r3c3")
    shown.page.get_by_text(common.DETAILS, exact=True).click()
    shown.settled()
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name=common.DOWNLOAD_PNG).first.click()
    with Image.open(download.value.path()) as png:
        assert png.format == "PNG" and min(png.size) > 300
        assert "vitviz.rollout" in png.text["vitviz.snippet"]
    shown.page.get_by_role("button", name=common.COPY_PYTHON).first.click()
    code = shown.page.locator("[data-testid=stPopoverBody] code").inner_text()
    assert "vitviz.rollout(trace, query='r3c3')" in code


SIZES = {"projector": (1024, 768), "phone": (390, 844)}
QUESTIONS = {
    "": start.HEADING,
    "patches": patches.PAGE.question,
    "positions": positions.PAGE.question,
    "rollout": rollout.PAGE.question,
}


# The others of the four are long: width and colours do not depend on each other.
LOOKS = [("phone", "dark")]
LOOKS += [
    pytest.param(*look, marks=pytest.mark.long)
    for look in (("projector", "light"), ("projector", "dark"), ("phone", "light"))
]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_every_page_fits_and_can_be_read(tab, size, scheme):
    width, height = SIZES[size]
    shown = tab("", width=width, height=height, scheme=scheme)
    for name, question in QUESTIONS.items():
        shown.open(name)
        assert shown.page.inner_text("h2") == question
        shown.screenshot(f"{name or 'start'}-{size}-{scheme}")
        wide = shown.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= width, f"{name} is wider than the screen"
        background = shown.page.evaluate(
            "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    assert shown.errors() == []
