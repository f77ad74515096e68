"""A photograph taken with the camera: Chromium's pretended one, which films a picture of ours."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vitviz.ui.pages.start import text as start
from vitviz.ui.shell import text as sidebar
from vitviz.ui.text import common

from .serving import CHROMIUM_FLAGS

# Corners of what is filmed: row, column of a patch there, and its colour.
CORNERS = {(0, 0): (220, 30, 30), (0, 15): (30, 190, 40), (15, 0): (40, 40, 210), (15, 15): (230, 210, 40)}


def film(path: Path, width: int = 640, height: int = 480) -> Path:
    """A film of one frame over and over: a quarter of the picture in each of the colours."""
    quarters = np.array(list(CORNERS.values()), np.uint8).reshape(2, 2, 3)
    frame = quarters.repeat(height // 2, 0).repeat(width // 2, 1)  # (height, width, 3)
    y, u, v = (np.asarray(plane) for plane in Image.fromarray(frame).convert("YCbCr").split())
    planes = y.tobytes() + u[::2, ::2].tobytes() + v[::2, ::2].tobytes()
    head = f"YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(head + (b"FRAME\n" + planes) * 30)
    return path


@pytest.fixture(scope="module")
def browser(chromium: str, playwright_driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    filmed = film(tmp_path_factory.mktemp("camera") / "film.y4m")
    pretended = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={filmed}",
    ]
    running = playwright_driver.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *pretended])
    yield running
    running.close()


def colour(shown: Any, row: int, col: int) -> np.ndarray:
    """(3,): the middle of a patch of the grid of 16 x 16, as painted."""
    read = """(canvas, [row, col]) => {
        const at = [(col + 0.5) * canvas.width / 16, (row + 0.5) * canvas.height / 16].map(Math.floor);
        return [...canvas.getContext('2d').getImageData(...at, 1, 1).data].slice(0, 3); }"""
    return np.array(shown.page.locator(".heatmap canvas.main").first.evaluate(read, [row, col]))


def shows_the_film(shown: Any) -> None:
    """Its colours are coded twice on the way."""
    for (row, col), wanted in CORNERS.items():
        found = colour(shown, row, col)
        assert np.abs(found - wanted).max() < 40, (row, col, found)


@pytest.mark.long
def test_the_start_pages_figure_films_and_takes_the_photograph(tab: Any) -> None:
    shown = tab("")
    figure = shown.page.locator(".journey")
    tile = figure.get_by_role("button", name=start.JOURNEY["camera"], exact=True)
    take = figure.get_by_role("button", name=start.JOURNEY["camera_take"])
    running = "(video) => video.srcObject?.getTracks().map(({ readyState }) => readyState) ?? []"
    video = figure.locator(".camera video")
    figure.locator("canvas.photo").wait_for()
    tile.click()
    shown.expect(take).to_be_focused()
    assert video.evaluate(running) == ["live"]
    kept = video.evaluate_handle("(video) => video.srcObject")
    tile.click()  # once more: it is the same stream
    shown.expect(take).to_be_focused()
    assert video.evaluate("(video, kept) => video.srcObject === kept", kept)
    seen = video.bounding_box()
    assert seen["width"] == pytest.approx(figure.locator("canvas.photo").bounding_box()["width"], abs=1)
    shown.screenshot("camera in the figure")
    shown.page.keyboard.press("Escape")
    shown.expect(video).to_be_hidden()
    shown.expect(tile).to_be_focused()
    assert kept.evaluate("(stream) => stream.getTracks().map(({ readyState }) => readyState)") == ["ended"]

    tile.click()
    shown.expect(take).to_be_enabled()
    take.click()
    shown.wait_for_parameter("image", "upload")
    shown.expect(video).to_be_hidden()
    figure.locator(".header .more[data-page=patches]").click()
    shown.page.wait_for_url("**/patches?*")
    shown.settled()
    shown.eventually(lambda: shows_the_film(shown))
    assert shown.errors() == []


@pytest.mark.long
def test_a_camera_that_is_refused_is_said_so(tab: Any) -> None:
    shown = tab("")
    figure = shown.page.locator(".journey")
    figure.locator("canvas.photo").wait_for()
    shown.page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError")); }"""
    )
    figure.get_by_role("button", name=start.JOURNEY["camera"], exact=True).click()
    said = start.JOURNEY["camera_failed"].format(reason=start.JOURNEY["camera_denied"])
    shown.expect(figure.locator(".caption")).to_have_text(said)
    assert figure.locator(".camera").is_hidden()
    figure.get_by_role(
        "button", name=start.JOURNEY["step"], exact=True
    ).click()  # it is said until the next thing is done
    shown.expect(figure.locator(".caption")).not_to_have_text(said)
    assert shown.errors() == []


@pytest.mark.long
def test_a_phone_opens_its_own_camera(tab: Any) -> None:
    shown = tab("", width=390, height=844, has_touch=True, is_mobile=True)
    shown.page.locator(".journey canvas.photo").wait_for()
    with shown.page.expect_file_chooser() as chosen:
        shown.page.get_by_role("button", name=start.JOURNEY["camera"], exact=True).tap()
    assert chosen.value.element.get_attribute("capture") == "environment"
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 40)).save(picture, "JPEG")
    chosen.value.set_files({"name": "taken.jpg", "mimeType": "image/jpeg", "buffer": picture.getvalue()})
    shown.wait_for_parameter("image", "upload")
    assert shown.errors() == []


@pytest.mark.long
def test_what_the_camera_sees_is_cut_into_patches(tab: Any) -> None:
    shown = tab("patches?query=r8c8")
    shown.page.get_by_role("radio", name=sidebar.SOURCES["camera"]).click()
    shown.page.get_by_role("button", name="Take Photo").click()
    shown.wait_for_parameter("image", "upload")
    # A component may be mounted anew after the run; its canvas is empty until its picture has been fetched.
    shown.eventually(lambda: shows_the_film(shown))
    shown.screenshot("camera")
    assert sidebar.OWN_PICTURE in shown.page.inner_text("[data-testid=stSidebar]")
    assert shown.parameters() == {"image": "upload", "query": "r8c8"}

    # It stays with this browser: on the other pages it is there, in a link it is not.
    shown.page.get_by_role("link", name="Positions", exact=True).click()
    shown.page.wait_for_url("**/positions?*")
    shown.settled()
    assert shown.parameters()["image"] == "upload"
    link = shown.page.url.removeprefix(shown.server).lstrip("/")
    assert common.NO_UPLOAD in tab(link).page.inner_text("[data-testid=stMain]")
    assert shown.errors() == []
