"""The camera of the figure under Node.js: who changes their mind while a browser asks, films or encodes leaves no camera on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.frontend.conftest import Run

# As much of a browser as a camera needs. Its answers are given by the test: `granted`, `playing`, `encoded`.
BROWSER = """
let focused = null;
class Node extends EventTarget {
  constructor(tag) {
    super();
    Object.assign(this, { tag, children: [], attributes: {}, hidden: false, files: [], pressed: 0 });
  }
  append(...children) { this.children.push(...children); }
  setAttribute(name, value) {
    this.attributes[name] = value;
    if (["hidden", "disabled"].includes(name)) this[name] = true;
  }
  contains(node) { return node === this || this.children.some((child) => child.contains(node)); }
  getRootNode() { return { activeElement: focused }; }
  focus() { focused = this; }
  click() { this.pressed += 1; this.dispatchEvent(new Event("click")); }
  play() { return new Promise((resolve) => playing.push(resolve)); }
  getContext() { return { drawImage: (...given) => drawn.push(given) }; }
  toBlob(call, type) { encoded.push(() => call(new Blob(["photograph"], { type }))); }
}
const [granted, playing, encoded, drawn, asked] = [[], [], [], [], []];
globalThis.document = { createElement: (tag) => new Node(tag) };
globalThis.window = { matchMedia: (query) => ({ matches: query === "(pointer: coarse)" && Boolean(given.finger) }) };
globalThis.File ??= class extends Blob { constructor(parts, name, options) { super(parts, options); this.name = name; } };
const mediaDevices = { getUserMedia: (wanted) => {
  asked.push(wanted);
  return new Promise((resolve, reject) => granted.push({ resolve, reject }));
} };
Object.defineProperty(globalThis, "navigator", { value: given.unsafe ? {} : { mediaDevices }, configurable: true });
const stream = () => {
  const track = { readyState: "live", stop() { this.readyState = "ended"; } };
  return { track, getTracks: () => [track] };
};
const tick = async () => { for (let i = 0; i < 20; i++) await null; };
const [taken, failed] = [[], []];
const camera = new Camera({ format: (key) => `words of ${key}` }, {
  taken: (file) => taken.push([file.name, file.type]), failed: (reason) => failed.push(reason) });
const state = () => ({ over: !camera.node.hidden, ready: !camera.take.disabled, films: Boolean(camera.video.srcObject) });
const OFF = JSON.stringify({ over: false, ready: false, films: false });
"""


@pytest.fixture
def play(run: Run) -> Run:
    """play(body): `body` after BROWSER; what it returns."""

    def play_body(body: str, **given: Any) -> Any:
        return run('import { Camera } from "./parts/camera.js";\n', BROWSER + body, **given)

    return play_body


def test_a_photograph_is_taken_as_large_as_the_camera_films_and_the_camera_goes_off(play: Run) -> None:
    body = """
    const film = stream();
    camera.tile.click(); await tick();
    const waiting = state();
    granted[0].resolve(film); await tick();
    const starting = state();
    playing[0](); await tick();
    const filming = [state(), focused === camera.take];
    Object.assign(camera.video, { videoWidth: 1280, videoHeight: 720 });
    let canvas = null;
    const create = document.createElement;
    document.createElement = (tag) => (canvas = create(tag));
    camera.take.click(); await tick();
    encoded[0](); await tick();
    const source = drawn.map(([video, ...place]) => [video === camera.video, ...place]);
    return { waiting, starting, filming, size: [canvas.width, canvas.height], source, taken, failed, after: state(),
      track: film.track.readyState, back: focused === camera.tile };"""
    assert play(body) == {
        "waiting": {"over": False, "ready": False, "films": False},
        "starting": {"over": True, "ready": False, "films": True},
        "filming": [{"over": True, "ready": True, "films": True}, True],
        "size": [1280, 720],
        "source": [[True, 0, 0]],
        "taken": [["camera.jpg", "image/jpeg"]],
        "failed": [],
        "after": {"over": False, "ready": False, "films": False},
        "track": "ended",
        "back": True,
    }


@pytest.mark.parametrize("when", ["asked", "starting", "encoding"])
def test_who_closes_it_meanwhile_leaves_no_camera_on_and_gets_no_photograph(play: Run, when: str) -> None:
    """Another picture is chosen, or the page goes, while the browser asks, the film begins, or a photograph is encoded."""
    body = """
    const film = stream();
    camera.tile.click(); await tick();
    if (given.when === "asked") camera.close();
    granted[0].resolve(film); await tick();
    if (given.when === "starting") camera.close();
    playing.forEach((play) => play()); await tick();
    if (given.when === "encoding") { camera.take.click(); await tick(); camera.close(); }
    encoded.forEach((done) => done()); await tick();
    return [JSON.stringify(state()) === OFF, film.track.readyState, taken, failed, focused === camera.take];"""
    off, track, taken, failed, focused = play(body, when=when)
    assert off and track == "ended" and taken == failed == []
    assert not focused or when == "encoding", "no focus goes to a button that is not there"


def test_two_clicks_while_the_browser_asks_leave_one_camera_on(play: Run) -> None:
    body = """
    const films = [stream(), stream()];
    camera.tile.click(); camera.tile.click(); await tick();
    films.forEach((film, i) => granted[i]?.resolve(film)); await tick();
    playing.forEach((play) => play()); await tick();
    const live = () => films.slice(0, asked.length).filter(({ track }) => track.readyState === "live").length;
    const on = [live(), state().ready];
    camera.close();
    return [on, live()];"""
    assert play(body) == [[1, True], 0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NotAllowedError", "words of camera_denied"),
        ("NotFoundError", "words of camera_none"),
        ("NotReadableError", "words of camera_busy"),
        ("OverconstrainedError", "of the browser's own"),
    ],
)
def test_each_reason_why_there_is_no_camera_is_said(play: Run, name: str, said: str) -> None:
    body = """
    camera.tile.click(); await tick();
    granted[0].reject(Object.assign(new Error("of the browser's own"), { name: given.name })); await tick();
    const refused = [JSON.stringify(state()) === OFF, [...failed]];
    camera.tile.click(); await tick(); camera.close();
    granted[1].reject(Object.assign(new Error("late"), { name: given.name })); await tick();
    return [refused, failed.length];"""
    assert play(body, name=name) == [[True, [said]], 1], "and not to who has closed it"


def test_a_finger_opens_the_devices_own_camera_and_what_cannot_film_offers_nothing(play: Run) -> None:
    body = """
    camera.tile.click(); await tick();
    camera.input.files = [new File(["x"], "taken.jpg", { type: "image/jpeg" })];
    camera.input.dispatchEvent(new Event("change"));
    const once = [...taken];
    camera.input.files = [];  // the choice was left
    camera.input.dispatchEvent(new Event("change"));
    return [asked.length, camera.input.pressed, camera.input.attributes.capture, once, taken.length, camera.tile.hidden];"""
    assert play(body, finger=True) == [0, 1, "environment", [["taken.jpg", "image/jpeg"]], 1, False]
    assert play(body, finger=True, unsafe=True)[-1] is False, "a phone's camera needs no secure page"
    assert play("return camera.tile.hidden;", unsafe=True) is True
    assert play("return camera.tile.hidden;") is False
