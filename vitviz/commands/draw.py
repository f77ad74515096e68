"""`vitviz draw photo.jpg --view rollout --out figure.png`: one of the app's figures as a PNG with its provenance."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vitviz.commands.options import add_query_option, add_subject_options, any_subject, refuse, steps, whole_file

if TYPE_CHECKING:
    from vitviz.figure import Figure
    from vitviz.figures.traced_image import TracedImage
    from vitviz.tokens import QueryLike

VIEWS = ("rollout", "heads", "positions", "patches")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("draw", help="draw rollout, heads, positions or patches as a PNG")
    add_subject_options(parser)
    parser.add_argument("--view", choices=VIEWS, required=True)
    parser.add_argument("--out", required=True, metavar="FILE.png", help="where to write")
    add_query_option(parser)
    parser.add_argument(
        "--layer", type=int, metavar="N", help="draw only the heads of this layer, counted from 0, with --view heads"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="colours up to the largest value, not the 99th percentile; for rollout and heads",
    )
    parser.add_argument("--dark", action="store_true", help="on a dark background")
    parser.add_argument("--width", type=int, default=900, metavar="PIXELS")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Traces the picture, draws the figure and writes it.

    Raises:
        VitvizError, ValueError: With a message of one sentence.
    """
    asked = {"--query": arguments.query is not None, "--layer": arguments.layer is not None, "--raw": arguments.raw}
    if arguments.view in ("positions", "patches"):
        refuse(asked, f"--view {arguments.view} shows the same for every query, layer and scale.")
    elif arguments.view == "rollout":
        refuse({"--layer": asked["--layer"]}, "rollout goes through all layers. Draw one layer with --view heads.")
    if not 100 <= arguments.width <= 4000:
        raise ValueError(f"--width is from 100 to 4000 pixels, not {arguments.width}")
    path = arguments.out if arguments.out.endswith(".png") else arguments.out + ".png"
    with whole_file(path) as part:
        figure = view(any_subject(arguments), arguments)
        part.write_bytes(figure.png())
    print(f"wrote {path}: {figure.alt}")


def view(subject: TracedImage, arguments: argparse.Namespace) -> Figure:
    """The figure of --view.

    Raises:
        UnsupportedError: For a view that is not defined for the model.
    """
    from vitviz.draw import DARK, LIGHT
    from vitviz.errors import UnsupportedError
    from vitviz.figures.attention import heads_figure, rollout_figure
    from vitviz.figures.embeddings import grid_figure
    from vitviz.figures.layers import layer_heads_figure, overview_figure

    style: dict[str, Any] = {"theme": DARK if arguments.dark else LIGHT, "width": arguments.width}
    robust = not arguments.raw
    match arguments.view:
        case "positions":
            return _positions(subject, style)
        case "patches":
            return grid_figure(subject, numbers=True, **style)
    if subject.trace.not_sequential or arguments.layer is not None:
        if arguments.view == "rollout":
            raise UnsupportedError(
                f"Rollout multiplies layers that share one grid, and those of {subject.model.name} do not. Draw them with "
                "--view heads, one of them with --layer."
            )
        if arguments.layer is None:
            return overview_figure(subject, arguments.query, robust=robust, **style)
        if not 0 <= arguments.layer < len(subject.trace.all_layers):
            raise ValueError(f"--layer is from 0 to {len(subject.trace.all_layers) - 1}, not {arguments.layer}")
        if arguments.query is not None:
            _check_asks(subject, arguments.layer, arguments.query)
        return layer_heads_figure(subject, arguments.layer, arguments.query, robust=robust, **style)
    if arguments.view == "rollout":
        return rollout_figure(subject, arguments.query, robust=robust, progress=steps("rollout", arguments), **style)
    return heads_figure(subject, arguments.query, robust=robust, **style)


def _check_asks(subject: TracedImage, index: int, query: QueryLike) -> None:
    """Raises UnsupportedError for a query that this layer does not have, in whose place another one would be drawn."""
    from vitviz.analysis.queries import layer_query, nearest_query
    from vitviz.errors import UnsupportedError
    from vitviz.tokens import cell_of_name

    layer, trace = subject.trace.all_layers[index], subject.trace
    asked = layer_query(trace, query)
    own = nearest_query(layer, asked, trace.layout.grid)
    patches_ask = bool(layer.query_layout.num_patches)
    for name in asked.names:
        here = patches_ask if cell_of_name(name) else name in own.names or (asked.pools and not patches_ask)
        if not here:
            raise UnsupportedError(
                f"--query {asked} cannot be used: {name} is not a query in layer {index} of {trace.model_name}. "
                f"Use --query {own}, or draw another layer."
            )


def _positions(subject: TracedImage, style: dict[str, Any]) -> Figure:
    """The figure of the model's kind of positions: added embeddings, rotary kernel, or the first layer's biases."""
    from vitviz.analysis.positions import position_kinds
    from vitviz.figures.embeddings import atlas_figure, bias_heads_figure, biases_of, kernel_figure

    with subject.model.lock:
        kinds = position_kinds(subject.model, subject.layout)
    if kinds[0] == "rotary":
        return kernel_figure(subject, **style)
    if kinds[0] == "relative":
        return bias_heads_figure(subject, 0, biases_of(subject)[0], **style)
    return atlas_figure(subject, **style)  # raises with the reason if there are none
