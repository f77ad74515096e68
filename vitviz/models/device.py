"""Where a model runs, and in what precision."""

from __future__ import annotations

import os

import torch

from vitviz.errors import ModelError

# Names the device that "auto" stands for, for a server or a test that should not use the GPU it could have.
DEVICE = "VITVIZ_DEVICE"
# Names the precision that "auto" stands for, likewise.
DTYPE = "VITVIZ_DTYPE"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(device: str) -> torch.device:
    """ "auto" is what the environment's VITVIZ_DEVICE names, else a GPU where there is one, else the processor.

    Raises ModelError for a device that is not there.
    """
    if device == "auto":
        device = os.environ.get(DEVICE, "") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"{device!r} is not a device; use auto, cpu or cuda.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("There is no CUDA GPU that torch can use here; use device cpu or auto.")
    return chosen


def pick_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """The precision of the forward pass; "auto" is what the environment's VITVIZ_DTYPE names, else float32.

    Raises ModelError for one that is not offered.
    """
    if dtype == "auto":
        dtype = os.environ.get(DTYPE, "") or "float32"
    if dtype in DTYPES.values():
        return dtype  # type: ignore[return-value]
    if dtype not in DTYPES:
        raise ModelError(f"A model computes in {' or '.join(DTYPES)}, not in {dtype}.")
    return DTYPES[str(dtype)]
