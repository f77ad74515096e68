from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vitviz.ui.server import payloads

arrays = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.sampled_from(payloads.DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    ),
    max_size=5,
)


@given(arrays)
def test_round_trip(given_arrays):
    back, meta = payloads.unpack(payloads.pack(given_arrays, {"layer": 3}))
    assert meta == {"layer": 3} and list(back) == list(given_arrays)
    for name, array in given_arrays.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()


def test_the_layout_byte_by_byte():
    payload = payloads.pack({"a": np.array([1, 2, 3], np.uint8), "b": np.array([[1.5]], np.float32)})
    assert payload[:4] == b"VVZ1"
    (length,) = struct.unpack("<I", payload[4:8])
    header = json.loads(payload[8 : 8 + length].decode())
    start = 8 + length
    assert start % 8 == 0
    assert header["arrays"]["a"] == {"dtype": "uint8", "shape": [3], "offset": 0}
    assert header["arrays"]["b"] == {"dtype": "float32", "shape": [1, 1], "offset": 8}
    assert payload[start : start + 3] == bytes([1, 2, 3])
    assert struct.unpack_from("<f", payload, start + 8) == (1.5,)


def test_row_order_does_not_depend_on_how_numpy_holds_it():
    turned = np.arange(6, dtype=np.int32).reshape(2, 3).T  # column by column in memory
    back, _ = payloads.unpack(payloads.pack({"t": turned}))
    assert back["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_other_types_and_other_bytes_are_refused():
    with pytest.raises(TypeError, match="float64"):
        payloads.pack({"a": np.zeros(2)})
    with pytest.raises(ValueError, match="VVZ1"):
        payloads.unpack(b"<!doctype html>")
