"""Tables as HTML: what stands in which cell."""

from __future__ import annotations

import re

import numpy as np

from vitviz.ui.controls import tables


def test_a_matrix_of_pairs_has_each_pair_once_and_the_larger_the_darker():
    values = np.array([[1, 0.5, -0.25], [0.5, 1, 0], [-0.25, 0, 1]])
    html = tables.matrix(["one", "<two>", "three"], values)
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert rows == [[""], ["", ""], ["0.50", ""], ["\N{MINUS SIGN}0.25", "0.00"]]
    assert re.findall(r"--v:([\d.]+)", html) == ["0.50", "0.00", "0.00"]
    assert "2 &lt;two&gt;" in html and 'title="one">1<' in html and "<two>" not in html


def test_a_table_of_names_has_a_text_each():
    html = tables.facts([("Input", "2 < 3"), ("Outputs", "7")])
    assert re.findall(r"<th scope=\"row\">(.*?)</th><td>(.*?)</td>", html) == [("Input", "2 &lt; 3"), ("Outputs", "7")]
