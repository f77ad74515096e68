"""Objects found from patch features alone, on pictures whose boxes and masks are known.

    python benchmarks/localization.py SCENES --keep found.jsonl [--generated 300]

SCENES holds coco/ (photographs and objects.json) and horses/ (photographs and NAME_mask); generated scenes are made by
benchmarks/generated_scenes.py. Every picture is squashed into a square. CorLoc: the share of pictures whose first box
overlaps an object's with an intersection over union of at least 0.5. The numbers of each picture at each size are kept at once,
so that a run can be stopped, split by set or size, and taken up again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generated_scenes import scenes
from PIL import Image

import vitviz
from vitviz.analysis.features import FeatureMaps, feature_maps
from vitviz.analysis.localization import Box, lost, mask_cut, token_cut
from vitviz.analysis.masks import otsu_mask, pixel_mask, refine_mask
from vitviz.analysis.rollout import left_multiply_head_fused
from vitviz.survey.faithfulness import mean_interval

SIZES = (168, 224, 308)
USED = ("key", "value", "token")  # queries are left out to save time
HIT = 0.5
BASELINES = {
    "whole image": (0.0, 0.0, 1.0, 1.0),
    "centre box": (0.1464, 0.1464, 0.8536, 0.8536),  # half of the area
}
OTSU = "Otsu on rollout"
Fraction = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Case:
    """One picture with what is in it: boxes (left, top, right, bottom) as shares of its sides, and a mask where it is exact."""

    name: str
    image: Image.Image
    boxes: tuple[Fraction, ...]
    mask: np.ndarray | None = None


def generated(count: int) -> Iterator[Case]:
    for index, scene in enumerate(scenes(count)):
        side = scene.picture.width
        boxes = tuple((b.left / side, b.top / side, b.right / side, b.bottom / side) for b in scene.boxes)
        yield Case(f"generated/{index:04}", scene.picture, boxes)


def coco(folder: Path) -> Iterator[Case]:
    listed = json.loads((folder / "objects.json").read_text(encoding="utf-8"))
    for told in sorted(listed, key=lambda told: told["file"]):
        name = told["file"]
        image = vitviz.load_image(folder / name)
        boxes = []
        for each in told["objects"]:
            if not each["crowd"]:
                x, y, width, height = each["box"]
                boxes.append(
                    (x / image.width, y / image.height, (x + width) / image.width, (y + height) / image.height)
                )
        if boxes:
            yield Case(f"coco/{name}", image, tuple(boxes))


def horses(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.jpg")):
        if path.stem.endswith("_mask"):
            continue
        image = vitviz.load_image(path)
        white = Image.open(path.with_name(f"{path.stem}_mask.jpg")).convert("L").resize(image.size)
        mask = np.asarray(white) > 127
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        height, width = mask.shape
        box = (cols[0] / width, rows[0] / height, (cols[-1] + 1) / width, (rows[-1] + 1) / height)
        yield Case(f"horses/{path.stem}", image, (box,), mask)


def overlap(found: Fraction, truth: Sequence[Fraction]) -> float:
    """The largest intersection over union with any of the boxes."""
    scaled = [Box(*(round(10000 * side) for side in box)) for box in (found, *truth)]
    return max(scaled[0].iou(box) for box in scaled[1:])


def recall(found: Sequence[Fraction], truth: Sequence[Fraction]) -> float:
    """The share of the boxes that are overlapped by at least `HIT`."""
    return float(np.mean([overlap(box, found) >= HIT for box in truth]))


def mask_overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union at the truth's own size."""
    large = np.asarray(Image.fromarray(mask).resize(truth.shape[::-1], Image.Resampling.NEAREST))
    return float((large & truth).sum() / max((large | truth).sum(), 1))


def measured(case: Case, models: dict[int, Any]) -> dict[str, float]:
    """Everything that is asked of one picture, by name."""
    answer = {f"box/{name}": overlap(box, case.boxes) for name, box in BASELINES.items()}
    if case.mask is not None:
        answer["mask/whole image"] = float(case.mask.mean())
    for size, model in models.items():
        prepared = vitviz.prepare(model, case.image, "squash")
        maps = feature_maps(model, prepared.input)

        def fraction(box: Box, size: int = size) -> Fraction:
            return box.left / size, box.top / size, box.right / size, box.bottom / size

        for facet in USED:
            features = maps.facet(facet)
            first = {
                "LOST": lost(features),
                "TokenCut": token_cut(features),
            }
            if facet == "key":
                first["TokenCut, strongest side"] = token_cut(features, side="strongest")
                first["LOST, not centred"] = lost(features, centred=False)
                first["TokenCut, not centred"] = token_cut(features, centred=False, side="strongest")
                several = mask_cut(features, 3)
                answer[f"recall/MaskCut/{size}"] = recall([fraction(one.box) for one in several], case.boxes)
            for method, one in first.items():
                answer[f"box/{method}/{facet}/{size}"] = overlap(fraction(one.box), case.boxes)
                if case.mask is not None:
                    answer[f"mask/{method}/{facet}/{size}"] = mask_overlap(
                        pixel_mask(one.mask, (size, size)), case.mask
                    )
            if case.mask is not None and facet == "key":
                for method in ("LOST", "TokenCut"):
                    fine = refine_mask(first[method].mask, np.asarray(prepared.shown))
                    answer[f"mask/{method}, refined/{facet}/{size}"] = mask_overlap(fine, case.mask)
        if case.mask is not None:
            otsu = otsu_mask(class_rollout(maps))
            answer[f"mask/{OTSU}/{size}"] = mask_overlap(pixel_mask(otsu, (size, size)), case.mask)
    return answer


def class_rollout(maps: FeatureMaps) -> np.ndarray:
    """(rows, cols): attention rollout of the class token, from the pass that gave the features."""
    layout = maps.layout
    vector = torch.zeros(1, layout.num_tokens)
    vector[0, layout.prefix.index("cls")] = 1
    for layer in reversed(maps.layers):
        vector = left_multiply_head_fused(layer, vector)
    return layout.patches(vector[0]).numpy()


def whole(case: Case, row: dict[str, Any], size: int) -> bool:
    """Whether a row holds all that is asked of a picture at one size."""
    return f"box/TokenCut/{USED[-1]}/{size}" in row and (case.mask is None or f"mask/{OTSU}/{size}" in row)


def interval(values: np.ndarray, signed: bool = False) -> str:
    found = mean_interval(values)
    form = "{:+.1%} [{:+.1%}, {:+.1%}]" if signed else "{:.1%} [{:.1%}, {:.1%}]"
    return form.format(found.mean, found.low, found.high)


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: CorLoc by set, method, facet and size, with paired differences to both baselines; recall; masks.

    A row counts the pictures that were asked it; differences are paired on those.
    """
    lines = []
    for data in ("generated", "coco", "horses"):
        own = [row for row in rows if row["name"].startswith(data)]
        if len(own) < 2:
            continue
        keys = sorted({key for row in own for key in row}, key=lambda key: (key.split("/")[-1].zfill(4), key))
        lines += [f"### {data}: {len(own)} pictures", ""]
        lines += [
            "| boxes | pictures | CorLoc | less the centre box | less the whole image |",
            "|---|---:|---:|---:|---:|",
        ]
        for key in (key for key in keys if key.startswith("box/")):
            name = key.removeprefix("box/")
            asked = [row for row in own if key in row]
            hits = np.array([row[key] >= HIT for row in asked], float)
            less = ["", ""]
            if name not in BASELINES:
                others = [
                    np.array([row[f"box/{each}"] >= HIT for row in asked], float)
                    for each in ("centre box", "whole image")
                ]
                less = [interval(hits - other, True) for other in others]
            lines.append(f"| {name.replace('/', ', ')} | {len(asked)} | {interval(hits)} | {' | '.join(less)} |")
        if data == "generated":
            lines += [
                "",
                "| three boxes, scenes of two and three objects | pictures | recall at 0.5 |",
                "|---|---:|---:|",
            ]
            for key in (key for key in keys if key.startswith("recall/")):
                values = np.array([row[key] for row in own if row["objects"] > 1 and key in row])
                lines.append(
                    f"| {key.removeprefix('recall/').replace('/', ', ')} | {len(values)} | {interval(values)} |"
                )
        masks = [key for key in keys if key.startswith("mask/")]
        if masks:
            lines += ["", f"| masks | pictures | intersection over union | less {OTSU} | less the whole image |"]
            lines += ["|---|---:|---:|---:|---:|"]
        for key in masks:
            size, less = key.rsplit("/", 1)[-1], ["", ""]
            asked = [row for row in own if key in row and (not size.isdigit() or f"mask/{OTSU}/{size}" in row)]
            values = np.array([row[key] for row in asked])
            if size.isdigit():
                less[1] = interval(values - np.array([row["mask/whole image"] for row in asked]), True)
                if OTSU not in key:
                    less[0] = interval(values - np.array([row[f"mask/{OTSU}/{size}"] for row in asked]), True)
            name = key.removeprefix("mask/").replace("/", ", ")
            lines.append(f"| {name} | {len(asked)} | {interval(values)} | {' | '.join(less)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--keep", type=Path, required=True, metavar="FILE.jsonl")
    parser.add_argument("--generated", type=int, default=300)
    parser.add_argument("--limit", type=int, help="at most so many photographs of each folder")
    parser.add_argument("--only", choices=("generated", "coco", "horses"), help="one set of pictures")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="pixels to a side of the input, multiples of 14"
    )
    parser.add_argument("--only-tables", action="store_true", help="of what the file holds already")
    given = parser.parse_args()
    done: dict[str, dict[str, Any]] = {}
    if given.keep.exists():
        for row in map(json.loads, given.keep.read_text(encoding="utf-8").splitlines()):
            done.setdefault(row["name"], {}).update(row)
    if not given.only_tables:
        torch.set_num_threads(1)
        embedded = vitviz.load_model("embedded")
        models = {size: vitviz.resized(embedded, (size, size)) for size in given.sizes}
        sets = {
            "horses": islice(horses(given.scenes / "horses"), given.limit),
            "coco": islice(coco(given.scenes / "coco"), given.limit),
            "generated": generated(given.generated),
        }
        chosen = [sets[given.only]] if given.only else list(sets.values())
        with given.keep.open("a", encoding="utf-8") as file:
            for case in (case for cases in by_turns(chosen) for case in cases):
                row = done.setdefault(case.name, {})
                left = {size: model for size, model in models.items() if not whole(case, row, size)}
                if not left:
                    continue
                found = {key: round(value, 5) for key, value in measured(case, left).items()}
                row.update({"name": case.name, "objects": len(case.boxes), **found})
                file.write(json.dumps(row) + "\n")
                file.flush()
    print(tables(list(done.values())))


def by_turns(sets: Sequence[Any]) -> Iterator[list[Case]]:
    """Cases of all sets by turns, so that a run that is stopped has some of each."""
    running = [iter(each) for each in sets]
    while running:
        turn, left = [], []
        for each in running:
            case = next(each, None)
            if case is not None:
                turn.append(case)
                left.append(each)
        running = left
        yield turn


if __name__ == "__main__":
    main()
