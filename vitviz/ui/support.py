"""What can be shown of the chosen model, as pages say it."""

from __future__ import annotations

from vitviz.capture.coordinates.layouts import placements_of
from vitviz.support import Support, judge
from vitviz.ui.stage import Stage


def verdict_on(stage: Stage) -> Support:
    """The verdict over the loaded model at its size; one pass without numbers, remembered."""
    model = stage.model

    def work(_: object) -> Support:
        with model.lock:
            return judge(model.name, placements_of(model.module, model.input_size), model.layout)

    found: Support = stage.ask("support", work)
    return found
