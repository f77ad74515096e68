"""What the browser is sent is enough to compute every weight, and small."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vitviz.capture.attention import Attention, BiasTable, DenseBias
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout
from vitviz.ui.components import microscope
from vitviz.ui.components.microscope import layer_arrays
from vitviz.ui.server.payloads import pack, unpack

LAYOUT = TokenLayout(("cls",), (3, 4), (14, 14))


def attention(**changes: object) -> Attention:
    q, k = torch.randn(2, 2, 13, 8).unbind(0)
    return dataclasses.replace(Attention("blocks.0.attn", LAYOUT, LAYOUT, q=q, k=k, scale=0.3), **changes)


def weights_from(arrays: dict[str, np.ndarray], meta: dict) -> np.ndarray:
    """The formula of the browser, spelled out in float64."""
    if "explicit" in arrays:
        low, step = arrays["explicit_range"].astype(np.float64).T[:, :, None, None]
        return low + arrays["explicit"] * step
    scores = np.einsum("hqd,hkd->hqk", arrays["q"].astype(np.float64), arrays["k"]) * meta["scale"]
    if "bias_table" in arrays:
        scores = scores + arrays["bias_table"][arrays["bias_index"]].transpose(2, 0, 1)
    elif "bias" in arrays:
        scores = scores + arrays["bias"]
    return np.exp(scores - arrays["lse"][:, :, None])


@pytest.mark.parametrize("form", ["plain", "half", "table", "dense", "hidden", "explicit", "mixed"])
def test_a_payload_holds_every_weight(form: str) -> None:
    plain = attention()
    made = {
        "plain": plain,
        "half": dataclasses.replace(plain, q=plain.q.half(), k=plain.k.half()),
        "table": dataclasses.replace(plain, bias=BiasTable(torch.randn(9, 2), torch.randint(0, 9, (13, 13)))),
        "dense": dataclasses.replace(plain, bias=DenseBias(torch.randn(2, 13, 13))),
        "hidden": dataclasses.replace(plain, bias=DenseBias(torch.tensor([0.0, -torch.inf, *[0.0] * 11])[None, None])),
        "explicit": Attention("a", LAYOUT, LAYOUT, explicit=plain.weights()),
        "mixed": Attention("a", LAYOUT, LAYOUT, explicit=plain.weights() - 0.2, rows_sum_to_one=False),
    }[form]
    arrays, meta = unpack(pack(*layer_arrays(made)))
    np.testing.assert_allclose(weights_from(arrays, meta), made.weights().numpy(), atol=2e-5)


def test_the_kernels_own_log_sum_exp_is_sent_where_there_is_one() -> None:
    given = torch.full((2, 13), 7.0)
    arrays, _ = layer_arrays(attention(lse=given))
    assert (arrays["lse"] == 7).all()


def test_meta_names_the_tokens_of_queries_and_of_keys() -> None:
    keys = TokenLayout((), (1, 13), (42, 4))
    _, meta = layer_arrays(attention(key_layout=keys, rows_sum_to_one=False))
    assert meta["query"] == {"prefix": ["cls"], "grid": [3, 4], "patch_size": [14, 14]}
    assert meta["key"] == {"prefix": [], "grid": [1, 13], "patch_size": [42, 4]}
    assert (meta["num_heads"], meta["rows_sum_to_one"], meta["scale"]) == (2, False, pytest.approx(0.3))


def test_a_small_vision_transformer_stays_under_a_megabyte() -> None:
    layout = TokenLayout(("cls",), (16, 16), (14, 14))
    q, k = torch.randn(2, 6, 257, 64).unbind(0)
    arrays, meta = layer_arrays(Attention("a", layout, layout, q=q, k=k), torch.rand(6, 257))
    assert len(pack(arrays, meta)) < 2**20


def test_more_than_a_browser_should_be_sent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microscope, "MAX_BYTES", 1000)
    with pytest.raises(UnsupportedError, match=r"blocks.0.attn need.*smaller input size"):
        layer_arrays(attention())
