"""Results of a survey on disk: one line of JSON an image, so that a long run can be stopped and taken up again;
tables from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vitviz.survey.bootstrap import Interval
from vitviz.survey.faithfulness import BASELINES, Areas, Row


def append(path: Path, result: Areas, settings: str) -> None:
    """Adds one image's areas; `settings` names what they were made with."""
    line = {
        "image": result.image,
        "settings": settings,
        "predicted": result.predicted,
        "likelihood": round(result.likelihood, 6),
        "areas": {name: [round(area, 6) for area in areas] for name, areas in result.areas.items()},
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(path: Path, settings: str) -> list[Areas]:
    """What an earlier run left; a last line that was cut off is left out.

    Raises ValueError for a file made with other settings or by something else.
    """
    if not path.exists():
        return []
    results = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            result = Areas(
                str(line["image"]),
                int(line["predicted"]),
                float(line["likelihood"]),
                {str(name): (float(areas[0]), float(areas[1])) for name, areas in line["areas"].items()},
            )
            made_with = line["settings"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if number == len(lines):
                break
            raise ValueError(f"line {number} of {path.name} is not a result of this survey") from error
        if made_with != settings:
            raise ValueError(
                f"{path.name} was made with other settings ({made_with}); write to another file, or ask for the same"
            )
        results.append(result)
    return results


def markdown(rows: Sequence[Row], images: int) -> str:
    """The table for people: mean areas, and how far each method is ahead of each baseline with its 95% interval."""
    columns = [(baseline, curve) for baseline in BASELINES for curve in ("deletion", "insertion")]
    heads = ["order", "deletion ↓", "insertion ↑", *(f"{curve}, ahead of {baseline}" for baseline, curve in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for row in rows:
        cells = [row.name, f"{row.deletion:.3f}", f"{row.insertion:.3f}"]
        cells += [_words(row.ahead.get(column)) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    best = [row.name for row in rows if row.ahead_of_all]
    said = ", ".join(best) if best else "no method"
    lines.append(f"\n{images} images. Ahead of both baselines on both curves, every interval above zero: {said}.")
    return "\n".join(lines)


def comma_separated(rows: Sequence[Row]) -> str:
    """The same as CSV: one line an order, intervals in columns of their own."""
    columns = [(baseline, curve) for baseline in BASELINES for curve in ("deletion", "insertion")]
    heads = ["order", "deletion", "insertion"]
    heads += [f"{curve} ahead of {baseline} {part}" for baseline, curve in columns for part in ("mean", "low", "high")]
    lines = [",".join(heads)]
    for row in rows:
        cells = [row.name, f"{row.deletion:.6f}", f"{row.insertion:.6f}"]
        for column in columns:
            found = row.ahead.get(column)
            cells += ["", "", ""] if found is None else [f"{found.mean:.6f}", f"{found.low:.6f}", f"{found.high:.6f}"]
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _words(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
