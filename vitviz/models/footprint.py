"""How much memory a model's weights will take, before any of it is allocated."""

from __future__ import annotations

import math
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from vitviz.errors import ModelError
from vitviz.models import embedded, hugging_face, timm_repository
from vitviz.models.build import build_on_meta
from vitviz.models.hugging_face.names import is_named
from vitviz.models.names import timm_place

_BYTES = 4  # of a float32 number, in which every model is built


def weight_bytes(name: str) -> int:
    """Bytes of the parameters and buffers of a model as it is built, in float32, whatever weights it is loaded with.

    name  as in `load_model`: the module is built on the meta device, and of a .safetensors file only the header is read

    Raises ModelError as `load_model` for a name that is not known or cannot be built, HubError where the description of a
    model of the hub cannot be had.
    """
    module: nn.Module
    if is_named(name):
        module = hugging_face.describe(name).bare
    elif (place := timm_place(name)) is not None:
        config = timm_repository.describe(place).config
        module = build_on_meta(config.architecture or "", **config.build_args())
    elif name.endswith(".safetensors"):
        return _of_file(Path(name))
    elif name == "embedded":
        config = embedded.embedded_config(embedded.VIT)
        module = build_on_meta(config.architecture or "", **config.build_args())
    else:
        module = build_on_meta(name)
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def _of_file(path: Path) -> int:
    try:
        with safe_open(path, "pt") as file:
            return _BYTES * sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path.name} is not a whole safetensors file.") from error
