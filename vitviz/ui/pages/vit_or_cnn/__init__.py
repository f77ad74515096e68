"""ViT or CNN: a Vision Transformer and a convolutional network on one photograph."""

from __future__ import annotations

from vitviz.ui.pages.registry import Page
from vitviz.ui.pages.vit_or_cnn import text
from vitviz.ui.params import Choice, Name
from vitviz.ui.selection import MODEL_NAME

PAGE = Page(
    name="vit_or_cnn",
    place=92,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "side_by_side": Choice(
            "reach", ("reach", "heads", "perturbation", "answers"), former={"stress": "perturbation"}
        ),
        "cnn": Name(MODEL_NAME),  # "": the embedded one
        "reach_of": Choice("picture", ("picture", "gallery")),
        "perturbation": Choice("shuffle", tuple(text.PERTURBATIONS)),
        "vit_map": Choice("rollout", ("rollout", "attention", "gradcam")),
    },
)
