"""What opens in place in the journey, and the picture of features, under Node.js: what is drawn where, and when."""

from __future__ import annotations

import pytest

from tests.frontend.conftest import Run

# A canvas that writes down what is drawn on it, in CSS pixels, and nodes that keep what is written into them.
PAPER = """
globalThis.window = { devicePixelRatio: 1 };
const pens = () => {
  const log = [];
  const pen = { log, setTransform() {}, clearRect() {}, beginPath() {}, stroke() { log.push(["stroke"]); },
    moveTo: (...at) => log.push(["from", ...at]), lineTo: (...at) => log.push(["to", ...at]),
    fillRect: (...box) => log.push(["rect", pen.fillStyle, pen.globalAlpha ?? 1, ...box]),
    fillText: (...text) => log.push(["text", ...text]),
    drawImage: (picture, ...boxes) => log.push(["image", picture.name, pen.imageSmoothingEnabled, ...boxes]) };
  return pen;
};
const canvas = () => {
  const pen = pens();
  return { pen, width: 0, height: 0, style: {}, hidden: true, attributes: {}, getContext: () => pen,
    getAttribute(name) { return this.attributes[name] ?? null; },
    setAttribute(name, value) { this.attributes[name] = String(value); } };
};
const node = () => ({ hidden: false, firstChild: null, append(text) { this.firstChild = { data: text }; } });
const words = { format: (key, blanks = {}) => [key, ...Object.values(blanks)].join(" ") };
"""
DRAW = 'import { drawColumns, drawPixels } from "./render/journey.js";\n'
DETAILS = 'import { JourneyDetails } from "./views/journey_details.js";\n'


def test_a_column_is_as_high_as_its_value_and_the_one_that_is_shown_in_the_accent(run: Run) -> None:
    body = """
    const pen = pens();
    drawColumns(pen, { values: given.values, step: 2, width: 200, height: 118, accent: "accent", ink: "ink" });
    return pen.log;"""
    log = run(DRAW, PAPER + body, values=[0, 0.25, 0.5, 1.5])
    rects = [entry[1:] for entry in log if entry[0] == "rect"]  # [colour, opacity, x, y, width, height]
    assert [x for _, _, x, *_ in rects] == [1, 51, 101, 151]
    assert [high for *_, high in rects] == [1, 25, 50, 100], "nothing is a line, and nothing is higher than the whole"
    assert all(y + high == 100 for *_, y, _, high in rects), "they stand on one line"
    assert [colour for colour, *_ in rects] == ["ink", "ink", "accent", "ink"]
    assert [opacity for _, opacity, *_ in rects] == [1, 1, 1, 0.25], "layers that are still to come are faint"
    texts = [entry[1:3] for entry in log if entry[0] == "text"]
    assert texts == [[0, 75], [1, 125], [2, 175]], "the input has no number, and layers count from 0"


@pytest.mark.parametrize(("pixels", "side", "lines"), [((14, 14), 10, 26), ((8, 16), 10, 22), ((16, 8), 4, 0)])
def test_the_pixels_of_a_patch_are_cut_from_its_place(run: Run, pixels: tuple[int, int], side: int, lines: int) -> None:
    """A patch may be oblong; where its pixels are small there are no lines between them."""
    body = """
    const pen = pens(), [rows, cols] = given.pixels;
    const picture = { name: "photograph", width: 3 * cols, height: 5 * rows };
    drawPixels(pen, { picture, grid: [5, 3], cell: [4, 1], pixels: given.pixels, side: given.side });
    return pen.log;"""
    (_, _, smooth, *boxes), *drawn = run(DRAW, PAPER + body, pixels=pixels, side=side)
    rows, cols = pixels
    assert boxes == pytest.approx([cols, 4 * rows, cols, rows, 0, 0, cols * side, rows * side]) and smooth is False
    assert sum(kind == "from" for kind, *_ in drawn) == lines
    ends = [place for kind, *place in drawn if kind == "to"]
    assert all(place[0] == cols * side or place[1] == rows * side for place in ends)


def test_a_patch_is_shown_in_its_own_shape_with_its_numbers_counted(run: Run) -> None:
    body = """
    const figure = { pixelCanvas: canvas(), sequenceTitle: node(), pixelsNote: node() };
    const view = (pinned, sequenceHeight) => Object.assign(Object.create(JourneyDetails.prototype), {
      figure, words, pinned, open: 0, drawn: new Map(), inPlace: "pixels", size: { sequenceHeight },
      shown: { picture: { name: "photograph", width: 112, height: 72 },
        data: { layout: { prefix: [], grid: [9, 7], patch_size: [8, 16] }, follow: "r5c6", channels: 1, question: "one" } } });
    const seen = () => {
      const { style, attributes, pen } = figure.pixelCanvas;
      const drawn = pen.log.splice(0).filter(([kind]) => kind === "image").map(([, , , ...boxes]) => boxes);
      return [figure.sequenceTitle.firstChild.data, figure.pixelsNote.firstChild.data, style.width, style.height, drawn,
        attributes["aria-label"]];
    };
    view("r2c1", 240).paintPixels();
    const patch = seen();
    view("cls", 1000).paintPixels();
    return [patch, seen()];"""
    patch, other = run(DETAILS, PAPER + body)
    text = "pixels_note 8 16 128"
    assert patch[:4] == ["pixels_title patch 2 1", text, "240px", "120px"]
    assert patch[4] == [pytest.approx([16, 16, 16, 8, 0, 0, 240, 120])]
    assert patch[5] == f"pixels_title patch 2 1: {text}"
    assert other[:4] == ["pixels_title patch 5 6", text, "300px", "150px"], "of no token but a patch are there pixels"


FEATURES = """
const figure = { features: canvas(), bars: node() };
const view = (features, reached) => Object.assign(Object.create(JourneyDetails.prototype), {
  figure, words, drawn: new Map(), reached, timeline: { end: 14 }, size: { answer: 120, photo: 300, photoHeight: 200 },
  shown: { features, data: { features: "address" } } });
const label = () => figure.features.attributes["aria-label"] ?? null;
const what = ([kind, name, ...rest]) => (kind === "image" ? [kind, name, ...rest] : [kind, ...rest.slice(1)]);
const seen = () => [figure.features.hidden, figure.bars.hidden, label(), figure.features.pen.log.splice(0).map(what)];
"""


def test_the_features_are_an_empty_place_until_all_layers_have_run(run: Run) -> None:
    body = """
    const picture = { name: "features" };
    view(picture, 13.9).paintFeatures();
    const before = seen();
    view(picture, 14).paintFeatures();
    return [before, seen()];"""
    before, after = run(DETAILS, PAPER + FEATURES + body)
    assert before == [False, True, "features_title", [["rect", 0, 0, 120, 80]]]
    assert after == [False, True, "features_label", [["image", "features", False, 0, 0, 120, 80]]]


def test_a_classifier_has_its_bars_and_no_features(run: Run) -> None:
    body = """
    view({ name: "of the model before" }, 14).paintFeatures(); seen();
    view(undefined, 14).paintFeatures();
    return seen();"""
    assert run(DETAILS, PAPER + FEATURES + body) == [True, False, "features_label", []]


CURVE = """
const figure = { curve: { ...node(), hidden: true }, bars: node(), curveTitle: node(), curveCanvas: canvas() };
const answer = { probability: given.probability, curves: { cat: [0, 0.2, 0.05], dog: [0.5, 0.1, 0.9] } };
const view = (curve, answered = answer) => Object.assign(Object.create(JourneyDetails.prototype), {
  figure, words, drawn: new Map(), curve, size: { answer: 90 }, host: { theme: () => ({ accent: "accent", ink: "ink" }) },
  shown: { data: { answer: answered } } });
const seen = () => [figure.curve.hidden, figure.bars.hidden, figure.curveTitle.firstChild?.data ?? null];
"""


def test_one_class_over_the_layers_stands_in_the_place_of_the_bars_while_there_is_an_answer(run: Run) -> None:
    body = """
    const log = [seen()];
    for (const [curve, step] of [[null, 2], ["cat", 1], ["dog", 2], ["dog", -1], ["wolf", 2]]) {
      view(curve).paintCurve(step);
      log.push(seen());
    }
    view("cat", null).paintCurve(-1);
    const columns = figure.curveCanvas.pen.log.filter(([kind]) => kind === "rect");
    return [log, figure.curveCanvas.attributes["aria-label"], columns.length];"""
    log, spoken, columns = run(DETAILS, PAPER + CURVE + body, probability=True)
    cat, dog = "curve_title cat 20%", "curve_title dog 90%"
    assert log == [
        [True, False, None],
        [True, False, None],
        [False, True, cat],
        [False, True, dog],
        [True, False, dog],  # before the first layer there is no answer
        [True, False, dog],  # never among the first
    ]
    assert spoken == "dog. curve_input 50%, curve_layer 0 10%, curve_layer 1 90%"
    assert columns == 6
    log, spoken, _ = run(DETAILS, PAPER + CURVE + body, probability=False)
    assert log[2][2] == "curve_title cat 0.20" and spoken.startswith("dog. curve_input 0.50,")
