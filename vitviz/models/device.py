"""Where a model runs."""

from __future__ import annotations

import torch

from vitviz.errors import ModelError


def pick_device(device: str) -> torch.device:
    """ "auto" is a GPU where there is one. Raises ModelError for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"{device!r} is not a device; use auto, cpu or cuda.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("There is no CUDA GPU that torch can use here; use device cpu or auto.")
    return chosen
