"""Writes the colours of heat maps into the front end: `python scripts/write_palette.py` after a change of the theme's maps."""

from __future__ import annotations

import re
from pathlib import Path

from vitviz.draw.scale import table
from vitviz.draw.theme import LIGHT

MODULE = Path(__file__).parents[1] / "vitviz" / "frontend" / "core" / "scale.js"
WIDTH = 120  # hexadecimal digits in a line


def written() -> str:
    """The part of the module between its two marks."""
    parts = []
    for name, colour_map in (("SEQUENTIAL", LIGHT.sequential), ("SIGNED", LIGHT.diverging)):
        digits = table(colour_map).tobytes().hex()
        lines = [f'  "{digits[start : start + WIDTH]}"' for start in range(0, len(digits), WIDTH)]
        parts.append(f"const {name} =\n" + " +\n".join(lines) + ";\n")
    return "".join(parts)


if __name__ == "__main__":
    begin, end = "// BEGIN written by scripts/write_palette.py\n", "// END\n"
    text = MODULE.read_text(encoding="utf-8")
    MODULE.write_text(re.sub(f"{begin}.*?{end}", begin + written() + end, text, flags=re.DOTALL), encoding="utf-8")
