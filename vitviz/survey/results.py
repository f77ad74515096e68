"""Results of a survey on disk, one line of JSON for each image, so that a run can be stopped and resumed; and tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitviz.survey.faithfulness import BASELINES, Areas, Interval, Row

# The start of every line.
BEGINNING = b'{"image": '


def append(path: Path, result: Areas, made_with: Mapping[str, Any]) -> None:
    """Appends one image's areas with their settings; removes an incomplete last line of an earlier run.

    Numbers are written in full precision, so that a resumed run gives the same table as one without interruption.
    """
    line = {
        "image": result.image,
        "digest": result.digest,
        "predicted": result.predicted,
        "likelihood": result.likelihood,
        "areas": {name: list(areas) for name, areas in result.areas.items()},
        "incomplete": list(result.incomplete),
        "made_with": dict(made_with),
    }
    text = json.dumps(line, allow_nan=False) + "\n"
    finished = len(_finished(path))
    with path.open("ab") as file:
        file.truncate(finished)
        file.write(text.encode())


def read(path: Path, made_with: Mapping[str, Any]) -> list[Areas]:
    """The results of an earlier run, without an incomplete last line.

    Raises:
        ValueError: For a file with other settings, or of another program.
    """
    results = []
    for number, text in enumerate(_finished(path).splitlines(), start=1):
        try:
            line = json.loads(text)
            result = Areas(
                str(line["image"]),
                int(line["predicted"]),
                float(line["likelihood"]),
                {str(name): (float(areas[0]), float(areas[1])) for name, areas in line["areas"].items()},
                str(line["digest"]),
                tuple(map(str, line["incomplete"])),
            )
            kept = dict(line["made_with"])
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise ValueError(
                f"line {number} of {path.name} is not a result of this version of the survey; write to another file"
            ) from None
        if different := sorted(name for name in {*kept, *made_with} if kept.get(name) != made_with.get(name)):
            said = "; ".join(f"{name} {kept.get(name)} and not {made_with.get(name)}" for name in different)
            raise ValueError(
                f"{path.name} was made with other settings ({said}); write to another file, or ask for the same"
            )
        results.append(result)
    return results


def _finished(path: Path) -> bytes:
    """The complete lines of a file.

    Raises:
        ValueError: If the rest is not the beginning of a result, so that a file of another kind is never truncated.
    """
    content = path.read_bytes() if path.exists() else b""
    end = content.rfind(b"\n") + 1
    rest = content[end:]
    if rest[: len(BEGINNING)] != BEGINNING[: len(rest)]:
        raise ValueError(f"{path.name} does not end with a result of this survey; write to another file")
    return content[:end]


def markdown(rows: Sequence[Row], results: Sequence[Areas]) -> str:
    """The table as Markdown: mean areas, and each method's differences to the baselines with 95% intervals.

    Args:
        rows: `summary` of `results`.
        results: The results of all images.
    """
    columns = [(baseline, curve) for baseline in BASELINES for curve in ("deletion", "insertion")]
    heads = ["order", "deletion ↓", "insertion ↑", *(f"{curve}, ahead of {baseline}" for baseline, curve in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for row in rows:
        cells = [row.name, f"{row.deletion:.3f}", f"{row.insertion:.3f}"]
        cells += [_words(row.ahead.get(column)) for column in columns]
        lines.append("| " + " | ".join(cells) + " |")
    best = [row.name for row in rows if row.ahead_of_all]
    said = ", ".join(best) if best else "no method"
    lines.append(f"\n{len(results)} images. Ahead of both baselines on both curves, every interval above zero: {said}.")
    for name, number in sorted(Counter(name for result in results for name in result.incomplete).items()):
        lines.append(
            f"The shares of {name} do not add up within 5% of the score difference on {number} of them; more points might help."
        )
    return "\n".join(lines)


def comma_separated(rows: Sequence[Row]) -> str:
    """The table as CSV: one line for each method or baseline, with separate columns for the ends of intervals."""
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
