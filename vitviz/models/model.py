"""`Model`, a loaded model, and the choice of its device and precision."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from vitviz.capture.modules import copied, input_channels, unwrapped
from vitviz.errors import ModelError
from vitviz.outputs import OODDetector, OutputKind, output_kind
from vitviz.tokens import TokenLayout

# Environment variable with the device for "auto", for a server or test that should not use the machine's GPU.
DEVICE = "VITVIZ_DEVICE"
# Environment variable with the precision for "auto".
DTYPE = "VITVIZ_DTYPE"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(device: str) -> torch.device:
    """A torch device. "auto" is that of the environment variable VITVIZ_DEVICE, else a GPU if there is one, else the CPU.

    Raises:
        ModelError: For a device that this machine does not have.
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
    """The precision of the forward pass. "auto" is that of the environment variable VITVIZ_DTYPE, else float32.

    Raises:
        ModelError: For a precision other than "float32" and "bfloat16".
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
    """The preprocessing of a model's evaluation.

    Attributes:
        mean, std: One number for each channel (three of RGB, or one of grey), on values in [0, 1].
        interpolation: "bicubic", "bilinear", ... as timm names them.
        crop_fraction: Of a centre crop: the shorter side is resized to input size / crop_fraction before the crop.
        framing: Of the model's published accuracy: "crop", or "squash" if the image is resized to the input's shape.
        crop_rounding: Rounding of a centre crop's margins when they are not integers: "even" as in torchvision, "down" as in
            transformers, which leaves the smaller margin at the top and left.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop_fraction: float = 1.0
    framing: str = "crop"
    crop_rounding: str = "even"


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model. Passes run in evaluation mode and restore the mode of every part.

    Attributes:
        name: The name it was loaded by: "embedded", a name of timm's registry, or "hf:" and a name of the hub.
        architecture: timm's name of the architecture, or the class in transformers.
        module: The unmodified timm module, or one of transformers with timm's names for its parts (`HuggingFaceModule`);
            wrappers (torch.compile, DataParallel) are removed.
        layout: Which token is which patch at the model's first attention, at this input size.
        input_size: (height, width) in pixels.
        preprocessing: The preprocessing of its evaluation.
        labels: One label for each output, or None if they are unknown or there is no classifier.
        weights: "embedded", "pretrained", "random" or "file".
        weights_hash: sha256 of the weights file, or "random:<seed>".
        output_kind: What the outputs are: classes, labels, numbers or features.
        ood_detector: Out-of-distribution detection for this model; None if it was not measured.
        groups: The group of each class, in the order of the outputs; None without groups.
        dynamic_size: Whether the same module takes other input sizes (see `vitviz.models.resized`).
        notes: Assumptions and changes made when loading it, as sentences for a user; often empty.
        lock: Hold it around a forward pass, because hooks and module state are shared by all threads.
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
    ood_detector: OODDetector | None = None
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
        """Precision of the forward pass and of its input."""
        return next(self.module.parameters()).dtype

    @cached_property
    def fingerprint(self) -> str:
        """Hash, 64 hexadecimal digits, of everything that results depend on besides the input and its size.

        That is weights, architecture, arguments of the modules (the number of heads is in no tensor's shape), preprocessing,
        labels, device and precision.
        """
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.module.state_dict().items()]
        known = (self.name, self.architecture, self.weights, self.weights_hash, self.preprocessing, self.labels)
        described = repr(
            (known, self.output_kind, str(self.device), str(self.dtype), shapes, self.module, _set(self.module))
        )
        return hashlib.sha256(described.encode()).hexdigest()

    @cached_property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @cached_property
    def background_copy(self) -> Model:
        """A copy for long computations that shares the weights and has its own modules and lock.

        Passes of this model need not wait for the copy's lock. Neither may modify a weight.
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
    """(module's name, attribute, value) of all attributes of modules that are numbers, strings or booleans."""
    return [
        (name, attribute, value)
        for name, part in module.named_modules()
        for attribute, value in sorted(vars(part).items())
        if attribute != "training" and isinstance(value, bool | int | float | str)
    ]
