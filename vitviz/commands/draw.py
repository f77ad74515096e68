"""`vitviz draw photo.jpg --view rollout --out figure.png`: one of the app's pictures, with its provenance inside."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vitviz.commands.options import add_subject_options, query, steps, traced_subject, whole_file

if TYPE_CHECKING:
    from vitviz.figure import Figure
    from vitviz.figures.subject import Subject

VIEWS = ("rollout", "heads", "positions", "patches")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("draw", help="draw rollout, heads, positions or patches as a PNG")
    add_subject_options(parser)
    parser.add_argument("--view", choices=VIEWS, required=True)
    parser.add_argument("--out", required=True, metavar="FILE.png", help="where to write")
    parser.add_argument(
        "--query",
        type=query,
        help="query token: cls, r3c5, mean, ... or its number; by default what the output is read from",
    )
    parser.add_argument("--raw", action="store_true", help="colours up to the largest value, not the 99th percentile")
    parser.add_argument("--dark", action="store_true", help="on a dark background")
    parser.add_argument("--width", type=int, default=900, metavar="PIXELS")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Traces, draws and writes. Raises VitvizError with one sentence."""
    if not 100 <= arguments.width <= 4000:
        raise ValueError(f"--width is from 100 to 4000 pixels, not {arguments.width}")
    path = arguments.out if arguments.out.endswith(".png") else arguments.out + ".png"
    with whole_file(path) as part:
        figure = view(traced_subject(arguments), arguments)
        part.write_bytes(figure.png())
    print(f"wrote {path}: {figure.alt}")


def view(subject: Subject, arguments: argparse.Namespace) -> Figure:
    """The figure that was asked for."""
    from vitviz.draw import DARK, LIGHT
    from vitviz.figures.heads import heads_figure
    from vitviz.figures.patches import grid_figure
    from vitviz.figures.positions import atlas_figure
    from vitviz.figures.rollout import rollout_figure

    look: dict[str, Any] = {"theme": DARK if arguments.dark else LIGHT, "width": arguments.width}
    robust = not arguments.raw
    match arguments.view:
        case "rollout":
            return rollout_figure(subject, arguments.query, robust=robust, progress=steps("rollout", arguments), **look)
        case "heads":
            return heads_figure(subject, arguments.query, robust=robust, **look)
        case "positions":
            return atlas_figure(subject, **look)
        case _:
            return grid_figure(subject, numbers=True, **look)
