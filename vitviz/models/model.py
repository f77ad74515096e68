"""The loaded model, and the device and precision that it runs in."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from vitviz.capture.modules import copied, input_channels, unwrapped
from vitviz.errors import ModelError
from vitviz.outputs import Doubt, OutputKind, output_kind
from vitviz.tokens import TokenLayout

# Names the device that "auto" stands for, for a server or a test that should not use the GPU it could have.
DEVICE = "VITVIZ_DEVICE"
# Names the precision that "auto" stands for, likewise.
DTYPE = "VITVIZ_DTYPE"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(device: str) -> torch.device:
    """ "auto" is what the environment's VITVIZ_DEVICE names, else a GPU where there is one, else the processor.

    Raises:
        ModelError: For a device that is not there.
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

    Raises:
        ModelError: For one that is not offered.
    """
    if dtype == "auto":
        dtype = os.environ.get(DTYPE, "") or "float32"
    if dtype in DTYPES.values():
        return dtype  # type: ignore[return-value]
    if dtype not in DTYPES:
        raise ModelError(f"A model computes in {' or '.join(DTYPES)}, not in {dtype}.")
    return DTYPES[str(dtype)]


@dataclass(frozen=True)
class Preprocessing:
    """How the model wants its pixels.

    Attributes:
        mean, std: one number for each channel (three of RGB, or one of grey), on values in [0, 1]
        interpolation: "bicubic", "bilinear", ... as timm names them
        crop_fraction: centre crop: the shorter side is resized to input size / crop_fraction, then the centre is cropped
        framing: what its makers measured it with: "crop", or "squash" where the whole image is forced into the input's shape
        crop_rounding: where half a pixel goes when the margins of a centre crop are unequal: "even" as torchvision rounds,
            "down" as transformers does, which leaves the smaller margin at the top and left
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_fraction: float = 1.0
    framing: str = "crop"
    crop_rounding: str = "even"


@dataclass(frozen=True, eq=False)
class Model:
    """A module ready to run. Whatever runs it does so in evaluation mode, and leaves the mode of its parts as it was.

    Attributes:
        name: what was asked for: "embedded", a name of timm's registry, or "hf:" and a name of the hub
        architecture: timm's name of the architecture, or the class in transformers
        module: the unmodified timm module, or transformers' with timm's names for its parts (`HuggingFaceModule`); a wrapper
            (torch.compile, DataParallel) is taken off
        layout: tokens at the model's input, at this input size
        input_size: (height, width) in pixels
        preprocessing: how pixels become input
        labels: one plain-word label an output, or None where they are not known (or there is no classifier)
        weights: "embedded", "pretrained", "random" or "file"
        weights_hash: sha256 of the weights file, or "random:<seed>"
        output_kind: what the outputs are: classes, labels, plain numbers or features
        doubt: when "perhaps none of the classes" is said of a prediction; None where it was not measured
        groups: the group that each class is listed in, in the order of the outputs; None where classes are not grouped
        dynamic_size: whether the same module takes other input sizes (see `vitviz.models.resized`)
        notes: what had to be assumed or changed to load it, in sentences for a user; often empty
        lock: hold it around a forward pass: hooks and module state are shared by every thread
    """

    name: str
    architecture: str
    module: torch.nn.Module
    layout: TokenLayout
    input_size: tuple[int, int]
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None
    weights: str
    weights_hash: str
    output_kind: OutputKind = None  # type: ignore[assignment]  # found from the module where not given
    doubt: Doubt | None = None
    groups: tuple[str, ...] | None = None
    dynamic_size: bool = False
    notes: tuple[str, ...] = ()
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", unwrapped(self.module))
        if self.output_kind is None:
            object.__setattr__(self, "output_kind", output_kind(self.module))

    def __repr__(self) -> str:
        height, width = self.input_size
        return f"Model({self.name!r}: {self.architecture}, {height}x{width} pixels, {self.layout.describe()}, {self.weights})"

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the forward pass computes in, and so what its input has to be."""
        return next(self.module.parameters()).dtype

    @cached_property
    def fingerprint(self) -> str:
        """What names everything that this model's answers depend on besides the input and its size: weights, architecture
        with what it was built with (the number of heads is in no shape), preprocessing, labels, device and precision. 64
        hexadecimal digits.
        """
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.module.state_dict().items()]
        known = (self.name, self.architecture, self.weights, self.weights_hash, self.preprocessing, self.labels)
        described = repr(
            (known, self.output_kind, str(self.device), str(self.dtype), shapes, self.module, _set(self.module))
        )
        return hashlib.sha256(described.encode()).hexdigest()

    @cached_property
    def parameters(self) -> int:
        """How many numbers were learnt."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @cached_property
    def beside(self) -> Model:
        """The same model for long work: the weights are shared, its modules and their lock are its own, so that no one who uses
        this one waits for that work. Neither may change a weight.
        """
        with self.lock:
            module = copied(self.module, [*self.module.parameters(), *self.module.buffers()])
        return replace(self, module=module, lock=threading.RLock())

    @property
    def channels(self) -> int:
        """3 for a model of RGB pictures, 1 for one of grey ones."""
        return input_channels(self.module)

    @property
    def trained(self) -> bool:
        return self.weights != "random"


def _set(module: torch.nn.Module) -> list[tuple[str, str, object]]:
    """(module's name, attribute, value) of the plain numbers, words and switches that a module was built with."""
    return [
        (name, attribute, value)
        for name, part in module.named_modules()
        for attribute, value in sorted(vars(part).items())
        if attribute != "training" and isinstance(value, bool | int | float | str)
    ]
