"""Small tables of numbers with bars, and vectors as strips: HTML that can be read aloud, selected and copied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st

STYLE = """<style>
.vv-numbers { overflow-x: auto; }
.vv-numbers table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; margin: 0 0 0.2rem; }
.vv-numbers th, .vv-numbers td { padding: 0.12rem 0.6rem; text-align: right; white-space: nowrap; border: 0; }
.vv-numbers thead th {
  font-weight: 600; vertical-align: bottom; border-bottom: 1px solid color-mix(in srgb, currentColor 40%, transparent);
}
.vv-numbers tbody th { font-weight: 400; text-align: left; }
.vv-numbers tr.strong > * { font-weight: 700; }
.vv-numbers tr.total > * { font-weight: 700; border-top: 1px solid color-mix(in srgb, currentColor 40%, transparent); }
.vv-numbers td.bar {
  min-width: 6rem;
  background: linear-gradient(to right,
    color-mix(in srgb, var(--st-primary-color, #c2185b) 30%, transparent) calc(100% * var(--v, 0)), transparent 0);
}
.vv-vector { display: flex; height: 3rem; align-items: stretch; max-width: 40rem; margin: 0.1rem 0 0.3rem;
  --line: color-mix(in srgb, currentColor 35%, transparent);
  background: linear-gradient(var(--line), var(--line)) center / 100% 1px no-repeat; }
.vv-vector i { flex: 1; position: relative; min-width: 2px; }
.vv-vector i::before { content: ""; position: absolute; left: 0; right: 1px; bottom: 50%; height: calc(50% * var(--v));
  background: color-mix(in srgb, currentColor 55%, transparent); }
.vv-vector i.n::before { bottom: auto; top: 50%; }
.vv-vector i.chosen::before { background: var(--st-primary-color, #c2185b); }
</style>"""


@dataclass(frozen=True)
class Column:
    """name: its heading; values: text, numbers, or None for an empty cell; bar: draws each number's size behind it.

    decimals  digits after the point; where not given, as many as give the largest number four digits
    """

    name: str
    values: Sequence[str | float | None]
    bar: bool = False
    decimals: int | None = None


def decimals_of(values: Sequence[str | float | None]) -> int:
    """Digits after the point with which the largest of the numbers has four digits; at most six, at least none."""
    sizes = [abs(float(value)) for value in values if value is not None and not isinstance(value, str)]
    largest = max(sizes, default=0.0)
    return 4 if largest == 0 else int(np.clip(3 - np.floor(np.log10(largest)), 0, 6))


def figures(value: float, decimals: int) -> str:
    """A number with so many digits after the point and a true minus sign; what rounds to nothing has no sign."""
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "" if not any(digit in text for digit in "123456789") else "\N{MINUS SIGN}")


def numbers(columns: Sequence[Column], *, strong: Collection[int] = (), total: int | None = None) -> str:
    """HTML of a table; its first column names the rows. strong: rows to mark; total: the row that sums up the others."""
    head = "".join(f'<th scope="col">{escape(column.name)}</th>' for column in columns)
    decimals = [decimals_of(c.values) if c.decimals is None else c.decimals for c in columns]
    body = []
    for row in range(len(columns[0].values)):
        kind = "total" if row == total else "strong" if row in strong else ""
        cells = [f'<th scope="row">{escape(str(columns[0].values[row]))}</th>']
        cells += [_cell(column, row, digits) for column, digits in zip(columns[1:], decimals[1:], strict=True)]
        body.append(f'<tr class="{kind}">{"".join(cells)}</tr>')
    return f'<div class="vv-numbers"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def vector(values: np.ndarray, alt: str, chosen: int | None = None) -> str:
    """HTML of a vector (components,) as bars above and below a line, one of them marked."""
    largest = float(np.abs(values).max()) or 1.0
    bars = []
    for index, value in enumerate(values.tolist()):
        kinds = " ".join(["n"] * (value < 0) + ["chosen"] * (index == chosen))
        bars.append(f'<i class="{kinds}" style="--v:{abs(value) / largest:.3f}"></i>')
    return f'<div class="vv-vector" role="img" aria-label="{escape(alt)}">{"".join(bars)}</div>'


def show(html: str) -> None:
    """Puts a table or a vector on the page."""
    st.html(html)


def _cell(column: Column, row: int, decimals: int) -> str:
    value = column.values[row]
    if value is None:
        return "<td></td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    text = figures(float(value), decimals)
    if not column.bar:
        return f"<td>{text}</td>"
    sizes = [abs(float(each)) for each in column.values if each is not None and not isinstance(each, str)]
    return f'<td class="bar" style="--v:{abs(float(value)) / (max(sizes) or 1.0):.3f}">{text}</td>'
