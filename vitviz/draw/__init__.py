"""Arrays in, pictures out: Pillow images and matplotlib figures. Never imports torch, timm or streamlit."""

from vitviz.draw.atlas import draw_atlas
from vitviz.draw.bars import draw_bars
from vitviz.draw.board import draw_board
from vitviz.draw.curve import draw_curve, draw_scatter
from vitviz.draw.filters import draw_filters
from vitviz.draw.grid import draw_grid
from vitviz.draw.heatmap import draw_heatmap
from vitviz.draw.matrix import draw_matrix
from vitviz.draw.patch import draw_patch
from vitviz.draw.scale import Scale
from vitviz.draw.sequence import draw_sequence
from vitviz.draw.strips import draw_sum
from vitviz.draw.theme import DARK, LIGHT, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "Scale",
    "Theme",
    "draw_atlas",
    "draw_bars",
    "draw_board",
    "draw_curve",
    "draw_filters",
    "draw_grid",
    "draw_heatmap",
    "draw_matrix",
    "draw_patch",
    "draw_scatter",
    "draw_sequence",
    "draw_sum",
]
