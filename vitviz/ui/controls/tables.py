"""Small tables of numbers with bars, and vectors as strips: HTML that can be read aloud, selected and copied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import streamlit as st

from vitviz.ui.context import PageContext
from vitviz.ui.controls.targets import class_name
from vitviz.ui.text import common, outputs

STYLE = """<style>
.vv-numbers { overflow-x: auto; }
.vv-numbers table { border-collapse: collapse; font-size: 1rem; font-variant-numeric: tabular-nums; margin: 0 0 0.2rem; }
.vv-numbers th, .vv-numbers td { padding: 0.12rem 0.6rem; text-align: right; white-space: nowrap; border: 0; }
.vv-numbers thead th { white-space: normal; }
.vv-numbers thead th, .vv-numbers thead td {
  font-weight: 600; vertical-align: bottom; border-bottom: 1px solid color-mix(in srgb, currentColor 40%, transparent);
}
.vv-numbers thead th:first-child, .vv-numbers tbody th { text-align: left; }
.vv-numbers tbody th { font-weight: 400; }
.vv-numbers tr.strong > * { font-weight: 700; }
.vv-numbers tr.total > * { font-weight: 700; border-top: 1px solid color-mix(in srgb, currentColor 40%, transparent); }
.vv-numbers table.vv-facts { margin-top: 1rem; }
.vv-facts tbody :is(th, td) { text-align: left; vertical-align: top; }
.vv-facts td { overflow-wrap: anywhere; white-space: normal; }
.vv-numbers td.bar { padding: 0.2rem 0; min-width: 5.5rem; position: relative; }
.vv-numbers td.bar i {
  position: absolute; top: 0; bottom: 0; height: 0.9rem; margin: auto 0;
  left: calc(100% * var(--from)); width: calc(100% * var(--v));
  background: color-mix(in srgb, var(--st-primary-color, #007ea3) 65%, transparent);
}
@media (max-width: 640px) {
  .vv-numbers table { font-size: 0.875rem; }
  .vv-numbers th, .vv-numbers td { padding: 0.12rem 0.28rem; }
  .vv-numbers td.bar { min-width: 2.5rem; }
  .vv-numbers tbody th { white-space: normal; }
}
.vv-numbers td.signed { --axis: color-mix(in srgb, currentColor 35%, transparent);
  background: linear-gradient(var(--axis), var(--axis)) center / 1px 100% no-repeat; }
.vv-numbers table.vv-pairs { font-size: 0.875rem; }
.vv-pairs td { background: color-mix(in srgb, currentColor calc(22% * var(--v, 0)), transparent); }
.vv-pairs tbody > tr > * { padding: 0.55rem 0.5rem; }
.vv-vector { display: flex; height: 3rem; align-items: stretch; max-width: 40rem; margin: 0.1rem 0 0.3rem;
  --line: color-mix(in srgb, currentColor 35%, transparent);
  background: linear-gradient(var(--line), var(--line)) center / 100% 1px no-repeat; }
.vv-vector i { flex: 1; position: relative; min-width: 2px; }
.vv-vector i::before { content: ""; position: absolute; left: 0; right: 1px; bottom: 50%; height: calc(50% * var(--v));
  background: color-mix(in srgb, currentColor 55%, transparent); }
.vv-vector i.n::before { bottom: auto; top: 50%; }
.vv-vector i.chosen::before { background: var(--st-primary-color, #007ea3); }
</style>"""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its heading.
        values: Text, numbers, or None for an empty cell.
        bars: How many of the first numbers have a bar beside them, from zero, on the scale of the largest of these.
        longest: The value of the longest bar, where the bars of columns are to be compared.
        decimals: Digits after the point; where not given, as many as a calculation by hand needs.
    """

    name: str
    values: Sequence[str | float | None]
    bars: int = 0
    longest: float | None = None
    decimals: int | None = None


def decimals_of(values: Sequence[str | float | None]) -> int:
    """Digits after the point with which the largest number has four digits and a middling one three; none to six."""
    sizes = [abs(float(value)) for value in values if value is not None and not isinstance(value, str) and value]
    if not sizes:
        return 0
    wanted = (3 - np.floor(np.log10(max(sizes))), 2 - np.floor(np.log10(np.median(sizes))))
    return int(np.clip(max(wanted), 0, 6))


def figures(value: float, decimals: int) -> str:
    """A number with so many digits after the point and a true minus sign; what rounds to nothing has no sign."""
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "" if not any(digit in text for digit in "123456789") else "\N{MINUS SIGN}")


def numbers(columns: Sequence[Column], *, strong: Collection[int] = (), total: int | None = None) -> str:
    """HTML of a table; its first column names the rows.

    Args:
        strong: Rows to mark.
        total: The row with the sum of the others.
    """
    head = "".join(
        f'<th scope="col">{escape(column.name)}</th>' + "<td></td>" * (column.bars > 0) for column in columns
    )
    decimals = [decimals_of(c.values) if c.decimals is None else c.decimals for c in columns]
    body = []
    for row in range(len(columns[0].values)):
        kind = "total" if row == total else "strong" if row in strong else ""
        cells = [f'<th scope="row">{escape(str(columns[0].values[row]))}</th>']
        cells += [_cell(column, row, digits) for column, digits in zip(columns[1:], decimals[1:], strict=True)]
        body.append(f'<tr class="{kind}">{"".join(cells)}</tr>')
    rows = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="vv-numbers" tabindex="0">{rows}</div>'  # scrolled with keys where a phone is narrower


def matrix(names: Sequence[str], values: np.ndarray) -> str:
    """HTML of a symmetric matrix (names, names) of correlations: below its diagonal, the larger the darker.

    Columns have the numbers of the rows as headings, because names would be wider than the page.
    """
    head = "".join(
        f'<th scope="col"><abbr title="{escape(name)}">{at}</abbr></th>' for at, name in enumerate(names[:-1], 1)
    )
    body = []
    for row, name in enumerate(names):
        cells = [
            f'<td style="--v:{max(0.0, value):.2f}">{figures(value, 2)}</td>' for value in values[row, :row].tolist()
        ]
        empty = "<td></td>" * (len(names) - 1 - row)
        body.append(f'<tr><th scope="row">{row + 1} {escape(name)}</th>{"".join(cells)}{empty}</tr>')
    rows = f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="vv-numbers" tabindex="0"><table class="vv-pairs">{rows}</table></div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """HTML of a table of names with a text each."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    return f'<div class="vv-numbers" tabindex="0"><table class="vv-facts"><tbody>{body}</tbody></table></div>'


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
    text = f"<td>{figures(float(value), decimals)}</td>"
    if not column.bars:
        return text
    if row >= column.bars:
        return text + "<td></td>"
    shown = [float(each) for each in column.values[: column.bars] if each is not None]
    signed = min(shown) < 0
    share = float(value) / (column.longest or max(map(abs, shown)) or 1.0)
    length, start = (abs(share) / 2, 0.5 + min(share, 0) / 2) if signed else (share, 0.0)
    kind = "bar signed" if signed else "bar"
    return f'{text}<td class="{kind}"><i style="--v:{length:.3f};--from:{start:.3f}"></i></td>'


def browse_classes(context: PageContext, place: str) -> None:
    """A search field, the groups, and the list.

    Args:
        place: Distinguishes the widgets of two lists.
    """
    kind, groups, count = context.model.output_kind, context.model.groups, len(context.traced.trace.logits)
    wanted = st.text_input(outputs.FIND[kind], key=f"class filter {place}").strip().lower()
    chosen = outputs.EVERY_GROUP
    if groups is not None:
        chosen = st.selectbox(outputs.GROUP, [outputs.EVERY_GROUP, *sorted(set(groups))], key=f"class group {place}")
    found = [
        (class_name(context, index), groups[index] if groups else "")
        for index in range(count)
        if groups is None or chosen in (outputs.EVERY_GROUP, groups[index])
    ]
    found = [(name, group) for name, group in found if wanted in name.lower()]
    columns = {outputs.COLUMN[kind]: [name for name, _ in found]}
    if groups is not None:
        columns[outputs.GROUP] = [group for _, group in found]
    st.dataframe(columns, height=300, hide_index=True, placeholder=common.NOTHING)
