"""`vitviz trace photo.jpg --out trace.npz`: attention, rollout and predictions as arrays in one file."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from vitviz.commands.options import add_query_option, add_subject_options, refuse, steps, traced_subject, whole_file
from vitviz.errors import UnsupportedError
from vitviz.figure import PROVENANCE_KEY
from vitviz.outputs import output_kind

if TYPE_CHECKING:
    from vitviz.capture.trace import Trace
    from vitviz.figure import Provenance
    from vitviz.figures.traced_image import TracedImage
    from vitviz.models import Model

# Bytes: the attention of all layers is in memory before it is written.
LARGEST_STACK = 4 << 30


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("trace", help="write attention, rollout and position similarity as arrays")
    add_subject_options(parser)
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="where to write")
    add_query_option(parser)
    parser.add_argument(
        "--layers", metavar="LIST", help="layers whose attention is written, such as 0-2,11; by default all"
    )
    parser.add_argument("--no-attention", action="store_true", help="leave the stack of attention weights out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Traces the picture and writes the arrays.

    Raises:
        VitvizError, ValueError: With a message of one sentence.
    """
    import numpy as np

    if arguments.no_attention:
        refuse({"--layers": arguments.layers is not None}, "--no-attention writes no layer's attention.")
    path = arguments.out if arguments.out.endswith(".npz") else arguments.out + ".npz"
    with whole_file(path) as part:
        subject = traced_subject(arguments, check=lambda model: refuse_a_large_stack(model, arguments))
        arrays = trace_arrays(subject.trace, subject.model, arguments)
        provenance = np.array(_provenance(subject, arguments).as_json())
        with part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays, **{PROVENANCE_KEY: provenance})
    print(
        f"wrote {path}: " + ", ".join(f"{name} {'x'.join(map(str, values.shape))}" for name, values in arrays.items())
    )


def _provenance(subject: TracedImage, arguments: argparse.Namespace) -> Provenance:
    """Provenance of the arrays: model, weights, image, framing, precision, and the query of the rollouts."""
    from vitviz.analysis.queries import query_of

    return subject.provenance("trace", query=str(query_of(subject.trace, arguments.query)))


def trace_arrays(trace: Trace, model: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Arrays by name:

    attention                  (layers, heads, tokens, tokens) float32, of the chosen layers
    layers                     (layers,) numbers of the chosen layers, counted from 0
    rollout                    (rows, cols)
    head_rollout_last_hop      (layers, heads, rows, cols), all layers
    head_rollout_leave_one_in  (layers, heads, rows, cols), all layers
    position_similarity        (patches, patches)
    logits                     (outputs,)
    probabilities              (outputs,) of classes or labels
    output_kind                the kind of the outputs, such as "multi_label_classification" or "features"
    grid                       (2,) rows and columns
    prefix                     names of the prefix tokens

    The file also has the provenance as JSON, in the text array `vitviz.provenance`. Arrays that are not defined for a model
    are left out, with a message on standard error.

    Raises:
        UnsupportedError: For a stack of attention that is too large, for a query that does not exist, and if --query was
            given and no array depends on it.
    """
    import numpy as np

    from vitviz.analysis.head_rollout import METHODS, head_rollouts
    from vitviz.analysis.positions import position_similarity
    from vitviz.analysis.queries import query_of
    from vitviz.analysis.rollout import rollout

    query_of(trace, arguments.query)  # raises before anything is computed
    chosen = layer_list(arguments.layers, trace.num_layers)
    arrays: dict[str, Any] = {}
    if not arguments.no_attention:
        arrays["attention"] = attention_stack(trace, chosen)
        arrays["layers"] = np.asarray(chosen)

    left_out: dict[str, UnsupportedError] = {}

    def attempt(name: str, compute: Any) -> None:
        try:
            arrays[name] = compute()
        except UnsupportedError as error:
            left_out[name] = error

    progress = steps("rollout", arguments)
    attempt("rollout", lambda: rollout(trace, arguments.query, progress=progress).values)
    for method in METHODS:
        attempt(
            f"head_rollout_{method}",
            lambda method=method: head_rollouts(trace, method, arguments.query, progress=progress),
        )
    if arguments.query is not None and not any("rollout" in name for name in arrays):
        raise left_out["rollout"]
    attempt("position_similarity", lambda: position_similarity(model, trace.layout))
    for name, error in left_out.items():
        print(f"vitviz: {name} left out: {error}", file=sys.stderr)
    arrays["logits"] = trace.logits.cpu().numpy()
    kind = output_kind(model)
    arrays["output_kind"] = np.asarray(str(kind))
    if kind.is_probability:
        arrays["probabilities"] = kind.read(trace.logits).cpu().numpy()
    arrays["grid"] = np.asarray(trace.layout.grid)
    arrays["prefix"] = np.asarray(trace.layout.prefix, dtype=str)
    return arrays


def attention_stack(trace: Trace, chosen: list[int]) -> Any:
    """(layers, heads, tokens, tokens) float32.

    Raises:
        UnsupportedError: For a stack that is too large, or layers of different shapes.
    """
    import numpy as np

    layers = [trace.layers[index] for index in chosen]
    shapes = {(layer.num_heads, layer.num_queries, layer.num_keys) for layer in layers}
    if len(shapes) > 1:
        raise UnsupportedError(
            f"The layers of {trace.model_name} have attention of different shapes, which one stack cannot hold. "
            "Ask for layers of one shape with --layers, or leave the stack out with --no-attention."
        )
    heads, queries, keys = shapes.pop()
    _need_memory_for(len(layers), heads, queries, keys)
    stack = np.empty((len(layers), heads, queries, keys), np.float32)
    for row, layer in zip(stack, layers, strict=True):
        row[:] = layer.weights().cpu().numpy()
    return stack


def refuse_a_large_stack(model: Model, arguments: argparse.Namespace) -> None:
    """Raises UnsupportedError for a stack of attention that will be too large, before the forward pass."""
    from vitviz.capture.cost import pass_cost

    if arguments.no_attention:
        return
    with model.lock:
        shapes = pass_cost(model.module, model.input_size).shapes
    grid = [shape for shape in shapes if shape[-2] >= model.layout.num_patches]  # without pooling layers
    if len(set(grid)) == 1:
        _need_memory_for(len(layer_list(arguments.layers, len(grid))), *grid[0][-3:])


def _need_memory_for(layers: int, heads: int, queries: int, keys: int) -> None:
    needed = 4 * layers * heads * queries * keys
    if needed > LARGEST_STACK:
        raise UnsupportedError(
            f"The attention of {layers} layers with {heads} heads and {keys} tokens takes {needed / 1e9:.1f} GB, "
            f"more than the {LARGEST_STACK / 1e9:.1f} GB that are held at once. "
            "Ask for fewer layers with --layers, or leave it out with --no-attention."
        )


def layer_list(text: str | None, num_layers: int) -> list[int]:
    """Layer numbers of a text like "0-2,11", ascending; all for None. Raises ValueError for other text."""
    if text is None:
        return list(range(num_layers))
    chosen: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise ValueError(f"{text!r} is not a list of layers; write for example 0-2,11")
        if last >= num_layers:
            raise ValueError(f"layers {text} are not in a model of {num_layers} layers, counted from 0")
        chosen.update(range(first, last + 1))
    return sorted(chosen)
