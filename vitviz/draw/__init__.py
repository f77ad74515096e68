"""Draws arrays as Pillow images and matplotlib figures. Never imports torch, timm or streamlit."""

from vitviz.draw.charts import draw_bars, draw_curve, draw_scatter
from vitviz.draw.heatmap import draw_heatmap
from vitviz.draw.matrix import draw_matrix, draw_sum
from vitviz.draw.patches import draw_grid, draw_patch, draw_sequence
from vitviz.draw.scale import Scale
from vitviz.draw.small_multiples import draw_atlas, draw_board, draw_filters
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
