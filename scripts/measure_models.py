"""What the embedded models are worth on folders of labelled photographs, as served: the files and preprocessing of the app.

    python scripts/measure_models.py FOLDER [FOLDER ...] [--map FOLDER=MAP.tsv] [--outside FOLDER] [--write] [--check]

A FOLDER holds images and labels.csv with the columns file and class (or label). A class is one of the model's names, or is
translated by a MAP: one line a name of the folder, tab, the model's name, or nothing where the model has none. --outside
names a folder of pictures that show none of the classes; their file names begin with their kind: "texture-brick.png".

Prints Markdown tables: accuracy by model, size and framing; by group; calibration; and the score that tells pictures
outside the classes. --write keeps the numbers in assets/models/measured.json, which the model card shows, with the
temperature and the threshold that the models are served with. --check measures the served setting alone and fails where it
is worse than the card's lower bounds.

Photographs are divided in two halves by the hash of their file's name: what is fitted is fitted on one half, and what is stated
is measured on the other.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

import vitviz
from vitviz.models import embedded
from vitviz.outputs import OOD_SCORES

MANY = 1 << 30
BINS = 15  # of equal width, as Guo et al. 2017 (arXiv 1706.04599) measure calibration
# A right answer may be called "none of the classes, perhaps" in at most this share of photographs; the threshold is the one
# that names as many pictures outside the classes as this allows.
FALSE_OOD = 0.10
SAMPLING_ERRORS = 2.0  # a bound lies this many standard errors of the share below what was measured


@dataclass(frozen=True, eq=False)
class Run:
    """One model in one setting over one folder.

    logits   (images, classes) float32, as the file gives them: before the temperature
    targets  (images,) int64, or all -1 for pictures outside the classes
    files    the images' names, in the same order
    """

    model: str
    size: int
    framing: str
    logits: Tensor
    targets: Tensor
    files: list[str]


def labelled(folder: Path, names: dict[str, int], translated: dict[str, str]) -> tuple[list[Path], Tensor]:
    """(files, (images,) class numbers) of a folder; images whose class the model has no name for are left out.

    Raises SystemExit for a class that is neither one of the model's names nor in the map.
    """
    files, targets = [], []
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            given = row.get("class") or row.get("label") or ""
            name = translated.get(given, given)
            if not name:
                continue
            if name not in names:
                raise SystemExit(
                    f"{folder / 'labels.csv'} names the class {given!r}, which the model does not have: give a --map."
                )
            files.append(folder / row["file"])
            targets.append(names[name])
    return files, torch.tensor(targets)


def logits_of(model: Any, files: list[Path], framing: str, batch: int, temperature: float) -> Tensor:
    """(images, classes) float32: what the model's file says of each image, before it was divided by the temperature."""
    parts = []
    for start in range(0, len(files), batch):
        inputs = [
            vitviz.prepare(model, vitviz.load_image(file), framing).input for file in files[start : start + batch]
        ]
        with torch.inference_mode():
            parts.append(model.module(torch.stack(inputs)).float())  # (batch, classes)
    return torch.cat(parts) * temperature


def in_first_half(file: str) -> bool:
    """Whether a photograph belongs to the half on which things are fitted."""
    return hashlib.sha256(file.encode()).digest()[0] < 128


def top(logits: Tensor, targets: Tensor, count: int) -> Tensor:
    """(images,) bool: whether the right class is among the `count` first; never for logits that are not finite."""
    rank = (logits > logits.gather(1, targets[:, None])).sum(1)  # (images,)
    return (rank < count) & logits.isfinite().all(1)


def calibration_error(logits: Tensor, targets: Tensor) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy over bins, weighted by their images."""
    confidence, answer = logits.softmax(-1).max(-1)  # (images,), (images,)
    right = (answer == targets).float()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    total = 0.0
    for index in bins.unique():
        inside = bins == index
        total += float(inside.float().mean() * (confidence[inside].mean() - right[inside].mean()).abs())
    return total


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature that makes the targets likeliest: softmax(logits / T). Guo et al. 2017, section 4.2."""
    found = minimize_scalar(
        lambda log: float(torch.nn.functional.cross_entropy(logits / np.exp(log), targets)),
        bounds=(-2.5, 2.5),
        method="bounded",
    )
    return float(np.exp(found.x))


def area_under_roc(inside: Tensor, outside: Tensor) -> float:
    """The share of pairs in which the picture inside the classes has the larger score; ties count half."""
    difference = inside[:, None] - outside  # (inside, outside)
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())


def half(run: Run, first: bool) -> Tensor:
    """(images,) bool: one of the two halves of a run."""
    return torch.tensor([in_first_half(file) is first for file in run.files])


def measure(run: Run, groups: list[str], temperature: float) -> dict[str, Any]:
    """Accuracy, calibration with and without the temperature, and accuracy by group, of one run."""
    first, five = top(run.logits, run.targets, 1).float(), top(run.logits, run.targets, 5).float()
    number = len(run.targets)
    by_group = {}
    for group in dict.fromkeys(groups):
        inside = torch.tensor([groups[target] == group for target in run.targets.tolist()])
        if inside.any():
            by_group[group] = {"images": int(inside.sum()), "top1": share(first[inside]), "top5": share(five[inside])}
    return {
        "size": run.size,
        "framing": run.framing,
        "images": number,
        "top1": share(first),
        "top5": share(five),
        "calibration_error": round(calibration_error(run.logits / temperature, run.targets), 4),
        "calibration_error_without_temperature": round(calibration_error(run.logits, run.targets), 4),
        "by_group": by_group,
    }


def share(right: Tensor) -> float:
    return round(float(right.mean()), 4)


def fitted(run: Run) -> dict[str, float]:
    """The temperature of one half of the photographs, and the calibration error of the other with and without it."""
    fit, check = half(run, True), half(run, False)
    temperature = round(fit_temperature(run.logits[fit], run.targets[fit]), 3)
    return {
        "temperature": temperature,
        "fitted_on": int(fit.sum()),
        "checked_on": int(check.sum()),
        "calibration_error_before": round(calibration_error(run.logits[check], run.targets[check]), 4),
        "calibration_error_after": round(calibration_error(run.logits[check] / temperature, run.targets[check]), 4),
    }


def ood_detector(inside: Run, outside: Run, temperature: float) -> dict[str, Any]:
    """The score and the threshold that tell pictures outside the classes, chosen on one half and checked on the other."""
    areas = {
        name: round(
            area_under_roc(
                score(inside.logits / temperature)[half(inside, True)],
                score(outside.logits / temperature)[half(outside, True)],
            ),
            4,
        )
        for name, score in OOD_SCORES.items()
    }
    name = max(areas, key=areas.__getitem__)
    known, unknown = (OOD_SCORES[name](run.logits / temperature) for run in (inside, outside))
    right = top(inside.logits, inside.targets, 1)
    fit = half(inside, True)
    threshold = round(float(known[fit & right].quantile(FALSE_OOD)), 3)
    check, other = half(inside, False), half(outside, False)
    kinds = [file.partition("-")[0] for file in outside.files]
    return {
        "score": name,
        "threshold": threshold,
        "area_under_roc": areas,
        "checked_on": [int(check.sum()), int(other.sum())],
        "right_answers_flagged": share((known[check & right] < threshold).float()),
        "wrong_answers_flagged": share((known[check & ~right] < threshold).float()),
        "outside_named": share((unknown[other] < threshold).float()),
        "outside_named_by_kind": {
            kind: share((unknown < threshold).float()[other & torch.tensor([one == kind for one in kinds])])
            for kind in sorted(set(kinds))
        },
    }


def inside(files: list[Path], targets: Tensor, most: int) -> dict[str, Any]:
    """What is inside the Vision Transformer on at most `most` photographs: how far its heads look, how much of their weight
    goes to the class token, how many sinks there are, and how often each layer's reading (logit lens) is right.
    """
    model = vitviz.load_model("embedded")
    some = slice(None, None, max(1, -(-len(files) // most)))
    distances, prefixes, sinks, read = [], [], [], []
    for file, target in zip(files[some], targets[some].tolist(), strict=True):
        image = vitviz.load_image(file)
        trace = vitviz.trace(model, image)
        statistics = [vitviz.head_statistics(layer) for layer in trace.layers]
        distances.append(torch.stack([one.distance for one in statistics]))  # (layers, heads)
        prefixes.append(torch.stack([one.prefix_mass for one in statistics]))
        sinks.append(torch.tensor([len(vitviz.sink_tokens(layer)) for layer in trace.layers]))
        question = vitviz.Question(model, trace.input, vitviz.ClassLogit(target))
        read.append(vitviz.logit_lens(question).logits.argmax(-1) == target)  # (layers + 1,)
    distance = torch.stack(distances).mean(0)
    return {
        "images": len(distances),
        "nearest_head": [round(float(value), 1) for value in distance.amin(1)],
        "farthest_head": [round(float(value), 1) for value in distance.amax(1)],
        "on_class_token": [round(float(value), 4) for value in torch.stack(prefixes).mean((0, 2))],
        "sinks": [round(float(value), 2) for value in torch.stack(sinks).float().mean(0)],
        "lens_right": [share(layer.float()) for layer in torch.stack(read, 1)],
    }


def inside_table(found: dict[str, Any]) -> list[str]:
    """The Markdown of `inside`."""
    lines = [
        f"Inside, on {found['images']} of the everyday photographs: the mean attention distance of the heads in pixels of the "
        "input, the share of their weight on the class token, tokens with at least ten times their share of a layer's weight "
        "(sinks), and the share of photographs for which the reading after the layer is right (before the first layer "
        f"{found['lens_right'][0]:.1%}).",
        "",
        "| layer | nearest head | farthest head | on the class token | sinks | reading right |",
        "|---|---|---|---|---|---|",
    ]
    rows = zip(
        *(found[key] for key in ("nearest_head", "farthest_head", "on_class_token", "sinks")),
        found["lens_right"][1:],
        strict=True,
    )
    for layer, (near, far, token, sinks, right) in enumerate(rows):
        lines.append(f"| {layer} | {near:.0f} | {far:.0f} | {token:.1%} | {sinks:.1f} | {right:.1%} |")
    return [*lines, ""]


def settings(model: str, most_large: int) -> list[tuple[Any, str, int]]:
    """(model at one size, framing, how many photographs at most) for each row of the table, the served one first."""
    if model == embedded.CNN:
        cnn = vitviz.load_cnn()
        return [(cnn, "crop", MANY), (cnn, "squash", MANY)]
    vit = vitviz.load_model("embedded")
    large = vitviz.resized(vit, (448, 448))
    return [(vit, "crop", MANY), (vit, "squash", MANY), (large, "crop", most_large), (large, "squash", most_large)]


def bound(value: float, images: int) -> float:
    """What may not be fallen below: some standard errors of a share less than what was measured."""
    return round(max(0.0, value - SAMPLING_ERRORS * (value * (1 - value) / images) ** 0.5), 3)


def tables(found: dict[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    percent = "{:.1%}".format
    lines = []
    for stem, model in found.items():
        lines += [f"### `{stem}`", "", "| photographs | input | framing | top-1 | top-5 | calibration error | images |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for name, rows in model["accuracy"].items():
            for row in rows:
                size = f"{row['size']}x{row['size']}"
                numbers = (
                    percent(row["top1"]),
                    percent(row["top5"]),
                    f"{row['calibration_error']:.3f}",
                    str(row["images"]),
                )
                lines.append(f"| {name} | {size} | {row['framing']} | {' | '.join(numbers)} |")
        fit, told = model["fit"], model["ood_detector"]
        by_kind = ", ".join(f"{kind} {percent(value)}" for kind, value in told["outside_named_by_kind"].items())
        inside, outside = told["checked_on"]
        lines += [
            "",
            f"Temperature {model['temperature']:.3f}, fitted on {fit['fitted_on']} photographs; on the "
            f"{fit['checked_on']} others the calibration error is {fit['calibration_error_before']:.3f} without it and "
            f"{fit['calibration_error_after']:.3f} with it.",
            "",
            f'"The picture may show none of this model\'s classes" is said where the {told["score"]} is below '
            f"{told['threshold']:g}. On the half of the photographs that the threshold was not chosen on ({inside}), it is "
            f"said of {percent(told['right_answers_flagged'])} of the right answers and "
            f"{percent(told['wrong_answers_flagged'])} of the wrong ones; on such a half of pictures outside the classes "
            f"({outside}), of {percent(told['outside_named'])} "
            f"({by_kind}).",
            "",
            "| group | " + " | ".join(f"{name}: top-1, images" for name in model["accuracy"]) + " |",
            "|---" * (1 + len(model["accuracy"])) + "|",
        ]
        groups = dict.fromkeys(group for rows in model["accuracy"].values() for group in rows[0]["by_group"])
        for group in groups:
            cells = []
            for rows in model["accuracy"].values():
                one = rows[0]["by_group"].get(group)
                cells.append(f"{percent(one['top1'])}, {one['images']}" if one else "")
            lines.append(f"| {group} | {' | '.join(cells)} |")
        lines.append("")
        if "inside" in model:
            lines += inside_table(model["inside"])
    return "\n".join(lines)


BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def write(found: dict[str, Any]) -> None:
    """Keeps the numbers beside the models, and their tables in the model card."""
    (embedded.folder() / "measured.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    card = embedded.folder() / "README.md"
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    card.write_text(f"{before}{BEGIN}\n\n{tables(found)}\n{END}{after}", encoding="utf-8")


def check(name: str, stem: str, run: Run) -> bool:
    """Whether a run of the served setting keeps the card's lower bounds; says what was found either way."""
    bounds = embedded.measured()[stem]["bounds"].get(name)
    if bounds is None:
        raise SystemExit(f"The card has no bounds for photographs called {name!r}.")
    ok = True
    for count, key in ((1, "top1"), (5, "top5")):
        value = share(top(run.logits, run.targets, count).float())
        ok &= value >= bounds[key]
        print(
            f"{stem} on {name}: {key} {value:.3f}, at least {bounds[key]:.3f}: {'ok' if value >= bounds[key] else 'WORSE'}"
        )
    return ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument(
        "--map", nargs="+", default=[], metavar="FOLDER=MAP", help="a folder's class names in the model's words"
    )
    parser.add_argument("--outside", type=Path, help="a folder of pictures outside the classes")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--most-large", type=int, default=100, help="photographs at 448 pixels, which take five times as long"
    )
    parser.add_argument("--inside", type=int, default=60, help="photographs on which heads and layers are measured")
    parser.add_argument(
        "--only-inside", action="store_true", help="measure nothing else, and keep it beside what is written"
    )
    parser.add_argument("--write", action="store_true", help="keep the numbers in assets/models; needs --outside")
    parser.add_argument("--check", action="store_true", help="measure the served setting and hold it to the card")
    asked = parser.parse_args()
    if asked.write and not asked.outside:
        parser.error("--write needs --outside, or there is no threshold to write")
    translated = {}
    for pair in asked.map:
        folder, _, path = pair.partition("=")
        rows = (
            line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
        )
        translated[Path(folder).name] = {row[0]: row[1] if len(row) > 1 else "" for row in rows}

    groups = embedded.class_groups()
    names = {name: index for index, name in enumerate(groups)}
    found, fine = {}, True
    if asked.only_inside:
        files, targets = labelled(asked.folders[0], names, translated.get(asked.folders[0].name, {}))
        written = dict(embedded.measured())
        written[embedded.VIT] = written[embedded.VIT] | {"inside": inside(files, targets, asked.inside)}
        write(written)
        return
    for stem in (embedded.VIT, embedded.CNN):
        temperature = embedded.temperature(stem)
        runs: dict[str, list[Run]] = {}
        for folder in asked.folders:
            files, targets = labelled(folder, names, translated.get(folder.name, {}))
            for model, framing, most in settings(stem, asked.most_large)[: 1 if asked.check else None]:
                some = slice(None, None, max(1, -(-len(files) // most)))
                logits = logits_of(model, files[some], framing, asked.batch, temperature)
                run = Run(
                    stem, model.input_size[0], framing, logits, targets[some], [file.name for file in files[some]]
                )
                runs.setdefault(folder.name, []).append(run)
                if asked.check:
                    fine &= check(folder.name, stem, run)
        if asked.check:
            continue
        served = next(iter(runs.values()))[0]  # the first folder decides: its photographs are the most like a visitor's
        fit = fitted(served)
        found[stem] = {
            "weights": embedded.embedded_config(stem).sha256,
            "temperature": fit["temperature"],
            "fit": fit,
            "accuracy": {
                name: [measure(run, list(groups.values()), fit["temperature"]) for run in several]
                for name, several in runs.items()
            },
        }
        found[stem]["bounds"] = {
            name: {key: bound(rows[0][key], rows[0]["images"]) for key in ("top1", "top5")}
            for name, rows in found[stem]["accuracy"].items()
        }
        if stem == embedded.VIT:
            files, targets = labelled(asked.folders[0], names, translated.get(asked.folders[0].name, {}))
            found[stem]["inside"] = inside(files, targets, asked.inside)
        if asked.outside:
            files = sorted(path for path in asked.outside.iterdir() if path.is_file())
            model, framing, _ = settings(stem, MANY)[0]
            logits = logits_of(model, files, framing, asked.batch, temperature)
            outside = Run(
                stem, served.size, framing, logits, torch.full((len(files),), -1), [file.name for file in files]
            )
            found[stem]["ood_detector"] = ood_detector(served, outside, fit["temperature"])
    if found and asked.outside:
        print(tables(found))
    elif found:
        print(json.dumps(found, indent=1))
    if asked.write:
        write(found)
    sys.exit(0 if fine else "Worse than the model card says.")


if __name__ == "__main__":
    main()
