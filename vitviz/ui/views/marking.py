"""Mark the object: each map's share inside it, and what hiding it does beside hiding as much elsewhere."""

from __future__ import annotations

import numpy as np
import streamlit as st

from vitviz.analysis.hiding import ELSEWHERE, ObjectTest, object_test
from vitviz.analysis.targets import needs_classifier
from vitviz.draw.scale import number
from vitviz.tokens import cell_name, cell_of_name
from vitviz.ui import exhibits, maps, state
from vitviz.ui.asking import Asked, fraction
from vitviz.ui.escape import escaped
from vitviz.ui.text import prediction as words
from vitviz.ui.trouble import guarded

Corner = tuple[int, int]


def show(about: Asked) -> None:
    """The picture to mark on the left, what follows from it on the right."""
    stage = about.stage
    corners = corners_of(str(state.value_of("object")), stage.layout.grid)
    mask = rectangle(corners, stage.layout.grid)
    left, right = st.columns(2)
    with left:
        said = (words.MARK_FIRST, words.MARK_SECOND, words.MARK_DONE)[len(corners)]
        st.caption(said.format(area=mask.mean()))
        exhibits.picture(
            stage,
            "mark",
            alt=words.MARK_ALT.format(count=int(mask.sum())),
            on_pick=lambda token: state.change(object=_marked(corners, token)),
            marks=[(int(row), int(col)) for row, col in np.argwhere(mask)],
            line=1,
        )
    with right, guarded("object"):
        if len(corners) == 2:
            _result(about, mask)


def corners_of(text: str, grid: Corner) -> list[Corner]:
    """The corners that a link names, moved inside the grid: none, one, or two."""
    rows, cols = grid
    cells = [cell for part in text.split("-") if (cell := cell_of_name(part)) is not None]
    return [(min(row, rows - 1), min(col, cols - 1)) for row, col in cells]


def rectangle(corners: list[Corner], grid: Corner) -> np.ndarray:
    """(rows, cols) boolean: the patches between two opposite corners, or the first corner alone."""
    mask = np.zeros(grid, bool)
    if corners:
        (top, left), (bottom, right) = corners[0], corners[-1]
        mask[min(top, bottom) : max(top, bottom) + 1, min(left, right) : max(left, right) + 1] = True
    return mask


def _marked(corners: list[Corner], token: str) -> str:
    """The object after another click: a click on a finished frame begins a new one."""
    if len(corners) != 1:
        return token
    return f"{cell_name(*corners[0])}-{token}"


def _result(about: Asked, mask: np.ndarray) -> None:
    found = maps.all_maps(about)
    if 2 * mask.sum() > mask.size:
        st.info(words.MARK_TOO_LARGE)
        return
    result: ObjectTest = about.ask(
        "object",
        lambda question, progress: object_test(question, mask, found, progress=fraction(progress)),
        words.MARK_RUNNING,
        passes=ELSEWHERE + 2,
        mask=mask.tobytes(),
        methods=tuple(found),
    )
    elsewhere = float(result.elsewhere.mean())
    one, two = st.columns(2)
    plain = needs_classifier(about.target) and not about.shares  # of any size, where the others lie between -1 and 1
    one.metric(words.MARK_FALL, number(result.fall) if plain else f"{result.fall:.2f}", border=True)
    two.metric(words.MARK_ELSEWHERE, number(elsewhere) if plain else f"{elsewhere:.2f}", border=True)
    st.markdown(
        words.MARK_SENTENCE.format(
            target=escaped(about.name),
            before=about.amount(result.likelihood, 0),
            after=about.amount(result.likelihood - result.fall, 0),
            elsewhere=about.amount(result.likelihood - elsewhere, 0),
            draws=len(result.elsewhere),
        )
    )
    shares = sorted(result.shares.items(), key=lambda item: -item[1])
    columns = (
        [name for name, _ in shares],
        [share for _, share in shares],
        [share / result.area for _, share in shares],
    )
    share = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")
    times = st.column_config.NumberColumn(format="%.1f")
    config = dict(zip(words.MARK_SHARES[1:], (share, times), strict=True))
    st.dataframe(dict(zip(words.MARK_SHARES, columns, strict=True)), hide_index=True, column_config=config)
    st.caption(words.MARK_SHARES_TEXT.format(area=result.area))
