"""Products of weights with values: which are sums over one axis of keys, and which are refused."""

from __future__ import annotations

import pytest
import torch

from vitviz.capture.functions import Product, WeightedSum
from vitviz.errors import UnsupportedError

WEIGHTS, VALUES = torch.rand(2, 3, 3), torch.rand(2, 3, 4)  # (heads, queries, keys), (heads, keys, width)


def test_a_sum_over_one_axis_of_keys_is_followed() -> None:
    product = Product(WEIGHTS, VALUES, "hij", "hjd", "hid")
    found = WeightedSum("blocks.0.attn", product, on_the_left=True)
    torch.testing.assert_close(found.weights, WEIGHTS)
    torch.testing.assert_close(found.values, VALUES)


@pytest.mark.parametrize(
    ("letters", "given"),
    [
        (("hij", "hijd", "hd"), {}),  # keys over two axes
        (("hij", "jd", "id"), {}),  # the heads are summed as well
        (("hij", "hkd", "hijkd"), {}),  # no axis of keys
        (("hij", "hjd", "hid"), {"added": torch.zeros(2, 3, 4)}),
        (("hij", "hjd", "hid"), {"scaled": True}),
    ],
)
def test_any_other_product_is_refused_with_the_module_that_makes_it(
    letters: tuple[str, str, str], given: dict[str, object]
) -> None:
    with pytest.raises(UnsupportedError, match=r"blocks\.0\.attn"):
        WeightedSum("blocks.0.attn", Product(WEIGHTS, VALUES, *letters, **given), on_the_left=True)  # type: ignore[arg-type]
