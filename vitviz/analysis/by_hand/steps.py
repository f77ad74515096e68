"""The steps from a token to its query, key and value: norm, projection, rotation. Computed in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.errors import UnsupportedError


def numbers(tensor: Tensor) -> np.ndarray:
    """A tensor as float64, so that only the model's own float32 rounding enters the comparison."""
    return tensor.detach().double().cpu().numpy()


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm written out: result = (given - mean) / deviation * gain + shift, componentwise.

    Attributes:
        kind: "layer" or "rms".
        given: (width,) input.
        mean: Mean of the components; 0 for "rms", which does not subtract it.
        deviation: sqrt(mean of squared differences from `mean` + eps).
        gain, shift: (width,) learned; ones and zeros if the model has none.
        result: (width,) output.
    """

    kind: str
    given: np.ndarray
    mean: float
    deviation: float
    gain: np.ndarray
    shift: np.ndarray
    result: np.ndarray


def normalised(given: np.ndarray, norm: nn.Module | None) -> Norm | None:
    """LayerNorm or RMSNorm of `given` (width,), written out; None without a norm.

    Raises:
        UnsupportedError: For a norm of another kind, or over another number of components.
    """
    if norm is None or isinstance(norm, nn.Identity):
        return None
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    centred = isinstance(norm, nn.LayerNorm)
    if not centred and not type(norm).__name__.lower().startswith("rmsnorm"):
        raise UnsupportedError(f"This model normalises with {type(norm).__name__}, which is not written out here.")
    gain = numbers(weight) if isinstance(weight, Tensor) else np.ones_like(given)
    shift = numbers(bias) if isinstance(bias, Tensor) else np.zeros_like(given)
    if gain.shape != given.shape or shift.shape != given.shape:
        raise UnsupportedError(
            f"This model normalises {gain.size} components at once where {given.size} were expected."
        )
    mean = float(given.mean()) if centred else 0.0
    eps = getattr(norm, "eps", None)
    eps = torch.finfo(torch.float32).eps if eps is None else float(eps)
    deviation = float(np.sqrt(((given - mean) ** 2).mean() + eps))
    result = (given - mean) / deviation * gain + shift
    return Norm("layer" if centred else "rms", given, mean, deviation, gain, shift, result)


@dataclass(frozen=True, eq=False)
class Rotation:
    """A rotation written out: result = given * cos + partner * sin; pairs of components rotate by an angle for each position.

    Attributes:
        given: (head_dim,) input.
        partner: (head_dim,): the other component of each pair, negative for the first of a pair.
        cos, sin: (head_dim,) of the angle.
        result: (head_dim,) output.
    """

    given: np.ndarray
    partner: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    result: np.ndarray


def rotated(given: np.ndarray, table: np.ndarray, half: bool) -> Rotation:
    """Vectors rotated by a table of angles.

    Args:
        given: (..., head_dim).
        table: (..., 2 * head_dim): sines, then cosines, as in timm.
        half: Whether the components of a pair are half a vector apart instead of neighbours.
    """
    sin, cos = np.split(table, 2, axis=-1)
    partner = np.empty_like(given)
    if half:
        middle = given.shape[-1] // 2
        partner[..., :middle], partner[..., middle:] = -given[..., middle:], given[..., :middle]
    else:
        partner[..., ::2], partner[..., 1::2] = -given[..., 1::2], given[..., ::2]
    return Rotation(given, partner, cos, sin, given * cos + partner * sin)


@dataclass(frozen=True, eq=False)
class Slice:
    """One head's part of a linear layer.

    Attributes:
        weight: (head_dim, width).
        bias: (head_dim,) or None.
    """

    weight: np.ndarray
    bias: np.ndarray | None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(..., width) -> (..., head_dim)."""
        projected = x @ self.weight.T
        return projected if self.bias is None else projected + self.bias


@dataclass(frozen=True, eq=False)
class Projection:
    """A token's query, key or value in one head.

    Attributes:
        token: Index of the token.
        slice: W (head_dim, width) and its bias.
        plain: (head_dim,): W x + b.
        norm: The norm of queries and keys; None if the model has none.
        rotation: The rotation of this token's vector; None without one, as for prefix tokens.
        result: (head_dim,) after norm and rotation.
    """

    token: int
    slice: Slice
    plain: np.ndarray
    norm: Norm | None
    rotation: Rotation | None
    result: np.ndarray


def slices(module: nn.Module, heads: int, head: int) -> tuple[Slice, Slice, Slice]:
    """The query, key and value slices of one head, from one joint linear layer or from three.

    Args:
        module: The attention module.
        heads: Its number of heads.
        head: Counted from 0.

    Raises:
        UnsupportedError: If the module has neither.
    """
    fused = getattr(module, "qkv", None)
    if isinstance(fused, nn.Linear):
        # timm orders the rows as (query, key, value), each of them by head
        weight = numbers(fused.weight.reshape(3, heads, -1, fused.in_features)[:, head])  # (3, head_dim, width)
        bias = _fused_bias(module, fused)
        biases = [None] * 3 if bias is None else bias.reshape(3, heads, -1)[:, head]  # (3, head_dim)
        one, two, three = (Slice(weight[part], biases[part]) for part in range(3))
        return one, two, three
    named = (getattr(module, name, None) for name in ("q_proj", "k_proj", "v_proj"))
    maps = [each for each in named if isinstance(each, nn.Linear)]
    if len(maps) != 3:
        raise UnsupportedError(
            f"{type(module).__name__} does not make queries, keys and values with plain linear maps, so there are no W_q, "
            "W_k and W_v to show. The page Who looks at whom still shows its weights."
        )
    groups = getattr(module, "num_kv_groups", 1)  # several query heads may share one key and value head
    places = ((heads, head), (heads // groups, head // groups), (heads // groups, head // groups))
    one, two, three = (_separate(each, *place) for each, place in zip(maps, places, strict=True))
    return one, two, three


def _separate(linear: nn.Linear, heads: int, head: int) -> Slice:
    weight = numbers(linear.weight.reshape(heads, -1, linear.in_features)[head])  # (head_dim, width)
    # bias: (heads * head_dim,) -> (heads, head_dim) -> (head_dim,)
    return Slice(weight, None if linear.bias is None else numbers(linear.bias).reshape(heads, -1)[head])


def _fused_bias(module: nn.Module, fused: nn.Linear) -> np.ndarray | None:
    """(3 * heads * head_dim,): the layer's own bias, or the separate ones of BEiT and EVA; None without a bias."""
    if isinstance(fused.bias, Tensor):
        return numbers(fused.bias)
    parts = [getattr(module, name, None) for name in ("q_bias", "k_bias", "v_bias")]
    given = [numbers(part) for part in parts if isinstance(part, Tensor)]
    if not given:
        return None
    size = fused.out_features // 3
    return np.concatenate([numbers(part) if isinstance(part, Tensor) else np.zeros(size) for part in parts])
