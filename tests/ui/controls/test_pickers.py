"""What several pages let users choose, each made in one place: layer, head, patch, and one scale or several."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from vitviz.ui.context import PageContext
from vitviz.ui.controls.pickers import MEAN_OF_HEADS, head_of_number, head_words, number_of_head
from vitviz.ui.selection import Selection


def choices() -> None:
    """A page of nothing else, for a model of 3 layers, 4 heads and 5 x 7 patches, and one of a single layer and head."""
    from vitviz.tokens import cell_of_name
    from vitviz.ui import state
    from vitviz.ui.controls import pickers

    state.begin()
    chosen = state.selection()
    pickers.choose_layer(3, chosen.layer_of(3))
    pickers.choose_head(4, chosen.head_of(4))
    pickers.choose_patch((5, 7), cell_of_name(chosen.query, (5, 7)) or (2, 3))
    pickers.shared_or_own()
    pickers.choose_layer(1, 0, "Of one", param="target")
    pickers.choose_one_head(1, 0, param="against")
    state.finish()


@pytest.fixture
def shown() -> AppTest:
    return AppTest.from_function(choices).run()


def test_choices_become_the_address(shown: AppTest) -> None:
    assert not shown.exception
    assert [box.key.removeprefix("choice of ") for box in shown.number_input] == ["layer", "query row", "query col"]
    shown.number_input(key="choice of layer").set_value(1).run()
    shown.selectbox(key="choice of head").select_index(1).run()  # the first is the mean
    shown.number_input(key="choice of query col").set_value(6).run()
    shown.number_input(key="choice of query row").set_value(4).run()
    shown.segmented_control(key="choice of colours").set_value("shared").run()
    given = {name: value if isinstance(value, str) else value[-1] for name, value in shown.query_params.items()}
    assert given == {"layer": "1", "head": "0", "query": "r4c6", "colours": "shared"}
    shown.selectbox(key="choice of head").select_index(0).run()
    assert "head" not in shown.query_params


def test_ends_of_a_picker_are_those_of_the_model(shown: AppTest) -> None:
    ends = {box.key.removeprefix("choice of "): (box.min, box.max, box.value) for box in shown.number_input}
    assert ends == {"layer": (0, 2, 2), "query row": (0, 4, 2), "query col": (0, 6, 3)}
    assert list(shown.selectbox[0].options) == ["mean of heads", "0", "1", "2", "3"]


@pytest.mark.parametrize(("head", "number", "said"), [(None, -1, "mean of heads"), (0, 0, "head 0"), (3, 3, "head 3")])
def test_a_widget_holds_a_head_as_a_number(head: int | None, number: int, said: str) -> None:
    assert number_of_head(head) == number and head_of_number(number) == head and head_words(head) == said


def test_a_head_beyond_the_layer_s_is_the_mean() -> None:
    heads = [Selection(head=head).head_of(3) for head in (None, 0, 2, 3)]
    assert heads == [None, 0, 2, None] and MEAN_OF_HEADS not in range(3)


def test_how_maps_are_coloured_is_read_off_the_selection() -> None:
    def context(selection: Selection) -> PageContext:
        return PageContext(selection, image=None, traced=None, key=None, theme=None)  # type: ignore[arg-type]

    plain, other = context(Selection()), context(Selection(scale="raw", params=(("colours", "shared"),)))
    assert plain.robust and not plain.shared
    assert other.shared and not other.robust
