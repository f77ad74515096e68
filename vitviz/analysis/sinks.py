"""Sinks: tokens of outlying norm or attention mass, maps without them, and the norms of keys' contributions.

Darcet et al. 2024, "Vision transformers need registers" (arXiv 2309.16588): a few patches have norms far above the others and
receive a large share of all attention. How far above differs between models and layers, so thresholds are relative to the
image's own median patch. Kobayashi et al. 2020, "Attention is not only a weight" (arXiv 2004.10102), section 2:
||A[q, k] v_k W_o|| is the norm of the vector that a key contributes in one head; in a block with LayerScale g it is
||A[q, k] (v_k W_o) * g||.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.attention import query_weights
from vitviz.analysis.queries import QueryLike
from vitviz.analysis.question import ModelLike, Question
from vitviz.analysis.rollout import PAPER, RolloutOptions
from vitviz.capture.attention import Attention
from vitviz.capture.blocks import Blocks, HiddenStates
from vitviz.capture.cost import attention_calls
from vitviz.capture.events import Call
from vitviz.capture.layers import layouts_of
from vitviz.capture.modules import attention_module, eval_mode, is_norm, layer_scale, output_projection
from vitviz.capture.observe import observe
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress
from vitviz.tokens import TokenLayout

NORM_TIMES = 3.0
MASS_TIMES = 10.0
# An object covers several patches. In rollout maps of the gallery's photographs by the embedded model, for two queries each,
# patches of the highest 5% that are not outliers by mass are at most 3.2 times their second largest neighbour; the largest
# patch of each map, which is an outlier by mass, is 11 to 42 times.
ISOLATED_TIMES = 5.0


@dataclass(frozen=True, eq=False)
class TokenOutliers:
    """Norm and attention mass of each token, and which tokens are outliers.

    Attributes:
        norms: (layers + 1, tokens) float32: norm of each token before the first layer and after each.
        mass: (layers, tokens) float32: the token's share of a layer's attention, the mean over heads and queries.
        by_norm: (layers + 1, tokens) boolean: norm above `norm_times` the median patch's.
        by_mass: (layers, tokens) boolean: mass above `mass_times` the median patch's.
        norm_times, mass_times: The thresholds.
    """

    norms: np.ndarray
    mass: np.ndarray
    by_norm: np.ndarray
    by_mass: np.ndarray
    norm_times: float
    mass_times: float

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens that are outliers in any layer by either measure, ascending."""
        return tuple(np.flatnonzero(self.by_norm.any(0) | self.by_mass.any(0)).tolist())


def token_norms(question: Question) -> np.ndarray:
    """(layers + 1, tokens) float32: norm of each token before the first layer and after each."""
    return torch.stack([state[0].float().norm(dim=-1) for state in question.hidden_states.states]).cpu().numpy()


def attention_mass(trace: Trace) -> np.ndarray:
    """(layers, tokens) float32: the mean over heads and queries of each token's weight as key; each layer sums to 1."""
    shares = []
    for layer in trace.sequence("The share of all attention"):
        even = torch.full((1, layer.num_queries), 1 / layer.num_queries, device=layer.device)
        shares.append(layer.left_multiply(even)[0].mean(0).float())
    return torch.stack(shares).cpu().numpy()


def token_outliers(question: Question, norm_times: float = NORM_TIMES, mass_times: float = MASS_TIMES) -> TokenOutliers:
    """Tokens that are outliers by norm or by attention mass.

    Args:
        question: Of a model whose layers relate one grid of patches.
        norm_times: The smallest multiple of the median patch's norm; a convention of this project, not a published number.
        mass_times: The same for the attention mass.

    Returns:
        Norms (layers + 1, tokens), attention mass (layers, tokens), and which of them are above the thresholds.

    Raises:
        UnsupportedError: For a model whose states between layers cannot be read.

    Source: Darcet et al. 2024, "Vision Transformers Need Registers" (arXiv 2309.16588), section 2.
    """
    norms, mass = token_norms(question), attention_mass(question.trace)
    first = question.layout.num_prefix
    return TokenOutliers(
        norms, mass, outlying(norms, first, norm_times), outlying(mass, first, mass_times), norm_times, mass_times
    )


def outlying(values: np.ndarray, num_prefix: int, times: float) -> np.ndarray:
    """(..., tokens) boolean: above `times` the median of the row's patches."""
    return values > times * np.median(values[..., num_prefix:], axis=-1, keepdims=True)


def times_median(values: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """(..., tokens): values divided by the row's median patch; 0 / 0 is 1, and other values over a median of 0 are infinite."""
    median = np.median(values[..., layout.num_prefix :], axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = values / median
    return np.where((median == 0) & (values == 0), 1.0, times).astype(np.float32)


def exclude_tokens(rows: Tensor, tokens: Iterable[int], layout: TokenLayout) -> Tensor:
    """(..., tokens): attention rows with the weights of `tokens` set to zero and the others rescaled to sum to 1.

    This changes the map only. For the model's output without these tokens, use the intervention `CutTokens`.
    """
    kept = rows.clone()
    for token in tokens:
        layout.cell_of(token)  # raises IndexError for a token that does not exist
        kept[..., token] = 0
    return kept / kept.sum(-1, keepdim=True).clamp_min(1e-30)


@dataclass(frozen=True, eq=False)
class MapSinks:
    """Sinks in a map of patches.

    Attributes:
        cells: (row, col) of each, largest value first.
        share: Their share of the map's sum.
        peak_is_sink: Whether the map's largest patch is one of them, so that a sink determines the colour scale.
        without_sinks: The map with the sinks set to zero.
    """

    cells: tuple[tuple[int, int], ...]
    share: float
    peak_is_sink: bool
    without_sinks: Heatmap


def rollout_sinks(
    trace: Trace, heatmap: Heatmap, options: RolloutOptions = PAPER, mass: np.ndarray | None = None
) -> MapSinks:
    """Sinks of a rollout map: patches with a large value because every query attends to them, whatever they show.

    A sink fulfils two conditions. In one of the multiplied layers its attention mass is over MASS_TIMES the median patch's
    (the outliers of Darcet et al. 2024), and in the map it is alone or one of two neighbours: its value is over
    ISOLATED_TIMES its second largest neighbour. A patch with the first property alone may belong to the object.

    Args:
        trace: The trace of `heatmap`.
        heatmap: `rollout` of the trace, with `options`.
        options: Of the rollout.
        mass: `attention_mass` of the trace, if computed already.

    Returns:
        Cells of the sinks, their share of the map's sum, and the map without them.

    Raises:
        UnsupportedError: As `rollout`.
    """
    options.layers(trace)  # raises if the layers cannot be multiplied
    shares = attention_mass(trace) if mass is None else mass  # (layers, tokens)
    end = None if options.last_layer is None else options.last_layer + 1
    prefix = trace.layout.num_prefix
    drawing = np.any(outlying(shares[options.first_layer : end], prefix, MASS_TIMES), axis=0)  # (tokens,)
    values = heatmap.values
    often = drawing[prefix:].reshape(values.shape)  # (patches,) -> (rows, cols)
    found: np.ndarray = often & (values > ISOLATED_TIMES * _second_neighbour(values))
    cells = sorted(zip(*np.nonzero(found), strict=True), key=lambda cell: -values[cell])
    return MapSinks(
        cells=tuple((int(row), int(col)) for row, col in cells),
        share=float(values[found].sum() / max(float(values.sum()), 1e-30)),
        peak_is_sink=bool(found.ravel()[values.argmax()]),
        without_sinks=Heatmap(np.where(found, 0, values).astype(values.dtype), heatmap.label),
    )


def _second_neighbour(values: np.ndarray) -> np.ndarray:
    """(rows, cols): the second largest of each patch's up to eight neighbours; 0 without a second one."""
    rows, cols = values.shape
    padded = np.pad(values, 1)
    shifts = [(down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1)]
    around = np.stack([padded[down : down + rows, right : right + cols] for down, right in shifts])  # (8, rows, cols)
    second: np.ndarray = np.sort(around, axis=0)[-2]
    return second


KEYS_AT_ONCE = 2048  # keys in one chunk: each has a projected value of the model's width for every head


def projected_value_norms(attention: Attention, module: nn.Module) -> Tensor:
    """(heads, keys): ||v_k W_o|| of each head, with W_o its slice of the output projection times the block's LayerScale.

    Args:
        attention: One layer of a trace with `keep_values=True`.
        module: The model.

    Raises:
        ValueError: Without values.
        UnsupportedError: If the layer's output does not go directly into a linear projection.

    Source: Kobayashi et al. 2020, "Attention is not only a weight" (arXiv 2004.10102), section 2.
    """
    if attention.v is None:
        raise ValueError("the trace kept no values; trace the image with keep_values=True")
    return _norms(attention.v, module, attention.name)


def value_norms(model: ModelLike, pixels: Tensor, progress: Progress | None = None) -> list[Tensor]:
    """`projected_value_norms` (heads, keys) of every layer, from one forward pass that keeps no values.

    Args:
        model: A model with one grid of tokens.
        pixels: (3, height, width), normalised.
        progress: Called with (attention calls done, calls in all); an exception that it raises stops the work.

    Raises:
        UnsupportedError: As `projected_value_norms`.
    """
    norms: list[Tensor] = []
    with model.lock:
        calls = attention_calls(model.module, (pixels.shape[1], pixels.shape[2])) if progress else 0

    def receive(call: Call) -> None:
        if call.v is not None and layouts_of(call, model.layout)[0].num_patches:
            norms.append(_norms(call.v[0], model.module, call.module))
        if progress:
            progress(len(norms), max(len(norms), calls))

    with model.lock, torch.inference_mode(), ExitStack() as hooks, observe(model.module, receive):
        _refuse_post_norm(model.module, hooks)
        model.module(pixels.to(next(model.module.parameters()))[None])
    return norms


def kept_value_norms(model: ModelLike, trace: Trace, hidden_states: HiddenStates) -> list[Tensor]:
    """`value_norms` from a trace with values and the states between its blocks; one block of each class is run.

    Raises:
        UnsupportedError: As `projected_value_norms`.
    """
    blocks = Blocks(model.module)
    kinds = {(type(block), *map(type, block.children())): index for index, block in enumerate(blocks.blocks)}
    with model.lock, torch.inference_mode(), eval_mode(model.module), ExitStack() as hooks:
        _refuse_post_norm(model.module, hooks)
        for index in kinds.values():
            blocks.step(hidden_states, index, hidden_states.states[index])
    return [projected_value_norms(layer, model.module) for layer in trace.sequence("The length of values")]


def _refuse_post_norm(model: nn.Module, hooks: ExitStack) -> None:
    """Makes a pass raise if a norm is applied to an attention's output: one value's contribution is not defined then."""
    given: list[Tensor] = []

    def returned(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            given.append(output)

    def normalises(_module: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and any(inputs[0] is each for each in given):
            raise UnsupportedError(
                "This model normalises what its attention gives before it is added to the token, so the share of one value has "
                "no length."
            )

    for block in model.modules():
        attention = attention_module(block)
        norms = [part for part in block.children() if is_norm(part)]
        if attention is not None and norms:
            hooks.callback(attention.register_forward_hook(returned).remove)
            for norm in norms:
                hooks.callback(norm.register_forward_pre_hook(normalises).remove)


def _norms(values: Tensor, module: nn.Module, name: str) -> Tensor:
    """(heads, keys) from values (heads, keys, value_dim) of the attention called `name`."""
    heads, _, size = values.shape
    layer = module.get_submodule(name)
    projection = output_projection(layer)
    between = getattr(layer, "norm", None)
    if (
        not isinstance(projection, nn.Linear)
        or projection.in_features != heads * size
        or isinstance(between, nn.LayerNorm)
    ):
        raise UnsupportedError(
            f"The values of {name} do not go straight into one linear projection, so their share has no length."
        )
    # out = concat_h(A_h v_h) W^T: head h is multiplied with columns h*size to (h+1)*size of the weight (width, heads * size)
    slices = projection.weight.detach().float().reshape(-1, heads, size).permute(1, 2, 0)  # (heads, size, width)
    scale = layer_scale(module, name)
    if scale is not None:
        slices = slices * scale.detach().float()  # (heads, size, width) * (width,)
    chunks = values.split(KEYS_AT_ONCE, dim=1)  # each (heads, some keys, value_dim)
    return torch.cat([(chunk.float() @ slices).norm(dim=-1) for chunk in chunks], dim=1)


def value_weighted(attention: Attention, module: nn.Module, query: QueryLike) -> Tensor:
    """(heads, keys): ||A[q, k] v_k W_o|| of one query, with LayerScale.

    Raises as `projected_value_norms`, and UnsupportedError for an unknown query.
    """
    row = query_weights(attention, query)
    return row * projected_value_norms(attention, module)
