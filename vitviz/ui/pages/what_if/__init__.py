"""What if: patches, order, heads, layers and tokens changed, and the model run again."""

from __future__ import annotations

from vitviz.ui.pages.registry import Page
from vitviz.ui.pages.what_if import text
from vitviz.ui.params import Choice, InterventionList, Number

PAGE = Page(
    name="what_if",
    place=90,
    title=text.PAGE.title,
    question=text.PAGE.question,
    params={
        "what": InterventionList(),
        "switch": Choice("hide", ("hide", "order", "heads", "cut", "worth", "sinks")),  # the section of the page
        # What hidden patches and heads that are off are replaced by.
        "hide_by": Choice("mean", ("mean", "blur", "removed")),
        "head_by": Choice("zero", ("zero", "mean")),
        "beside": Choice("attention", ("attention", "rollout")),  # the map shown before and after
        "weighed": Choice("later", ("later", "now")),  # whether every head is switched off in turn
        # The multiple of the median from which a token counts as a sink, by its norm and by the attention it gets.
        "norm_times": Number(3.0, 1.5, 20.0, 0.5),
        "mass_times": Number(10.0, 2.0, 50.0, 1.0),
    },
)
