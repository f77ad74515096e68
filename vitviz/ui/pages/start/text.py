"""Words of the start page."""

from __future__ import annotations

TITLE = "Start"
HEADING = "vitviz: a microscope for Vision Transformers"
LINES = """\
A Vision Transformer reads a photograph as a sequence of patches and lets every patch ask all others for information.\\
Watch it happen on a photograph of your choice: patches, positions, then attention head by head and layer by layer.\\
The model came with this server and runs on it; what you upload stays in your session and is not kept."""
LOOK = "Look around"
LOOK_TEXT = "Begin with how a picture becomes a sequence, and go on from page to page."
LOOK_LINK = "Patches"
ATTENTION = "Straight to the attention"
ATTENTION_TEXT = "Every head of every layer at once, for the token you choose, and rollout through all layers."
ATTENTION_LINK = "Rollout"
PYTHON = "Use it from Python"
PYTHON_TEXT = "Whatever a page shows, two lines make again. Every figure offers its own."
PYTHON_CODE = """import vitviz

model = vitviz.load_model("embedded")
image = vitviz.load_image("photo.jpg")
trace = vitviz.trace(model, image)
heatmap = vitviz.rollout(trace)
heatmap.values.shape
trace.layers[11].row(0)"""
GALLERY = "Choose a photograph"
