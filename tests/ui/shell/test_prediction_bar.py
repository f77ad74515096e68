"""The bar above every page: the picture that the model got, and the list of what its outputs are called."""

from __future__ import annotations

import pytest

import vitviz


@pytest.fixture(scope="module")
def labels() -> set[str]:
    return set(vitviz.load_model("embedded").labels)


def test_the_list_of_classes_opens_in_the_bar_and_is_not_sent_before(app, labels):
    shown = app("microscope", answer="shown")
    assert not shown.at.dataframe
    shown.at.session_state["classes"] = True  # what a click on the popover sets
    shown.at.run()
    (names,) = (table.value for table in shown.at.dataframe)
    assert set(names["Class"]) == labels and len(names) == len(labels) == 293
    shown.at.selectbox(key="class group bar").set_value("birds").run()
    (birds,) = (table.value for table in shown.at.dataframe)
    assert 0 < len(birds) < 293 and set(birds["Group"]) == {"birds"} and "penguin" in set(birds["Class"])
    shown.at.text_input(key="class filter bar").set_value("PENG").run()
    (found,) = (table.value for table in shown.at.dataframe)
    assert list(found["Class"]) == ["penguin"]
    assert shown.wrong == []


def test_the_list_of_classes_stands_on_the_model_page(app, labels):
    shown = app("model")
    (names,) = (table.value for table in shown.at.dataframe)
    assert set(names["Class"]) == labels
    shown.at.selectbox(key="class group page").set_value("birds").run()
    assert set(shown.at.dataframe[-1].value["Group"]) == {"birds"}
    shown.at.text_input(key="class filter page").set_value("PENG").run()
    assert list(shown.at.dataframe[-1].value["Class"]) == ["penguin"]
