"""Accuracy of the embedded models on a folder of labelled images, with the very files and preprocessing served.

    python scripts/measure_accuracy.py FOLDER [--batch 16] [--every 1] [--runs 0 1 2 3 4]

FOLDER holds images and labels.csv with the columns file and label; labels are Caltech-101's folder names
("Motorbikes"). Prints one line of a Markdown table for each model, input size and framing: top-1, top-5, and the mean
over classes of top-1.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch

import vitviz
from vitviz.models import embedded


def raw_classes() -> list[str]:
    """Caltech-101's own class names, in the order of the outputs."""
    lines = (embedded.folder() / "caltech101_labels.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[0] for line in lines]


def ranks(model, folder: Path, rows: list[dict[str, str]], framing: str, batch: int) -> torch.Tensor:
    """(images,) the place of the right class among the predictions, 0 for the first.

    Classes with an equal logit, or with one that is not a number, count as ahead of it.
    """
    classes = {name: index for index, name in enumerate(raw_classes())}
    places = []
    for start in range(0, len(rows), batch):
        chosen = rows[start : start + batch]
        images = [vitviz.load_image(folder / row["file"]) for row in chosen]
        inputs = torch.stack([vitviz.prepare(model, image, framing).input for image in images])
        targets = torch.tensor([classes[row["label"]] for row in chosen])
        with torch.inference_mode():
            logits = model.module(inputs)  # (images, classes)
        places.append(places_of(logits, targets))
    return torch.cat(places)


def places_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(images,) from logits (images, classes): how many other classes are not below the right one."""
    return (~(logits < logits.gather(1, targets[:, None]))).sum(1) - 1  # a comparison with NaN is never true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--every", type=int, default=1, help="only every n-th image")
    parser.add_argument("--runs", type=int, nargs="+", default=range(5), help="rows of the table, counted from 0")
    chosen = parser.parse_args()
    with (chosen.folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:: chosen.every]
    labels = torch.tensor([raw_classes().index(row["label"]) for row in rows])

    embedded = vitviz.load_model("embedded")
    runs = [
        (embedded, "squash"),
        (embedded, "crop"),
        (vitviz.load_cnn(), "crop"),
        (vitviz.load_cnn(), "squash"),
        (vitviz.resized(embedded, (448, 448)), "crop"),
    ]
    print("| model | input | framing | top-1 | top-5 | mean per class | images |\n|---|---|---|---|---|---|---|")
    for model, framing in (runs[index] for index in chosen.runs):
        place = ranks(model, chosen.folder, rows, framing, chosen.batch)
        first = (place == 0).float()
        per_class = torch.stack([first[labels == label].mean() for label in labels.unique()])
        shares = [f"{100 * share:.1f}%" for share in (first.mean(), (place < 5).float().mean(), per_class.mean())]
        size = "x".join(map(str, model.input_size))
        print(f"| {model.name} | {size} | {framing} | {' | '.join(shares)} | {len(rows)} |", flush=True)


if __name__ == "__main__":
    main()
