"""Stored weights and the module they belong to: wrappers' prefixes taken off, and arguments that the tensors tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from vitviz.errors import ModelError
from vitviz.models.build import build, build_on_meta
from vitviz.models.weights import disagreement, fill

_COMPILED = "_orig_mod."  # what torch.compile puts in front of the names inside each part that it is applied to


def without_shared_prefix(state: Mapping[str, Tensor], module: nn.Module) -> tuple[dict[str, Tensor], str]:
    """(tensors under the module's names, prefix that was taken off): what DataParallel ("module."), torch.compile
    ("_orig_mod."), peft ("base_model.model.") or a training script ("state_dict.", "model.") put in front of every name.

    A prefix is taken off only where all names share it and the module has none that begins so; "" where there is none.
    """
    wanted = module.state_dict().keys()
    names = list(state)
    prefix = ""
    while names:
        first, dot, _ = names[0][len(prefix) :].partition(".")
        longer = f"{prefix}{first}{dot}"
        if not dot or any(not name.startswith(longer) for name in names):
            break
        if any(name.startswith(first + dot) for name in wanted):
            break
        prefix = longer
    return {name[len(prefix) :]: tensor for name, tensor in state.items()}, prefix


def build_filled(
    architecture: str, args: Mapping[str, Any], state: Mapping[str, Tensor], size: tuple[int, int] | None, what: str
) -> tuple[nn.Module, tuple[str, ...]]:
    """(timm's module with the tensors in it, what was done to make them fit, in sentences).

    args  of timm's builder
    size  (height, width) that the checkpoint says its input has; the module is built for it where the tensors ask for it
    what  how a sentence about the weights begins, "The weights in pets.safetensors"

    Raises ModelError that names the first few tensors that do not fit.
    """
    module = build_on_meta(architecture, **args)
    stripped, prefix = without_shared_prefix(state, module)
    notes = (f"Every name in the file begins with {prefix!r}, which was left aside.",) if prefix else ()
    if any(f".{_COMPILED}" in name for name in stripped):
        stripped = {name.replace(f".{_COMPILED}", "."): tensor for name, tensor in stripped.items()}
        notes = (*notes, f"Names in the file contain {_COMPILED!r} (torch.compile), which was left aside.")
    wrong = disagreement(module, stripped)
    if wrong is None:
        return _filled(architecture, args, stripped, what), notes
    for more, note in _adjustments(module, args, stripped, size):
        try:
            other = build_on_meta(architecture, **{**args, **more})
        except ModelError:
            continue  # an architecture without this argument
        if disagreement(other, stripped) is None:
            return _filled(architecture, {**args, **more}, stripped, what), (*notes, note)
    raise ModelError(f"{what} do not fit {architecture}: {wrong}. {_hint(module, stripped)}".strip())


def _filled(architecture: str, args: Mapping[str, Any], state: Mapping[str, Tensor], what: str) -> nn.Module:
    module = build(architecture, **args)
    fill(module, state, what)
    return module


def _adjustments(
    module: nn.Module, args: Mapping[str, Any], state: Mapping[str, Tensor], size: tuple[int, int] | None
) -> Iterator[tuple[dict[str, Any], str]]:
    """Arguments that could make the tensors fit, each with a sentence: the size that the description names, and the
    number of channels that the filters have.
    """
    sized: dict[str, Any] = {"img_size": size} if size is not None and "img_size" not in args else {}
    channels: dict[str, Any] = {}
    if "in_chans" not in args:
        for name, tensor in module.state_dict().items():
            found = state.get(name)
            if tensor.ndim == 4 and found is not None and found.ndim == 4 and found.shape[1] != tensor.shape[1]:
                channels = {"in_chans": int(found.shape[1])}
                break
    words = {
        "img_size": f"The model was built for {size[0]} x {size[1]} pixels, as its positions are." if size else "",
        "in_chans": f"The model was built with in_chans={channels.get('in_chans')}, as its filters are.",
    }
    for more in (sized, channels, {**sized, **channels}):
        if more:
            yield more, " ".join(words[name] for name in more)


def _hint(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """What to try, as a sentence; empty where nothing is known."""
    wanted = module.state_dict()
    if any("lora_" in name for name in state):
        return "They hold a low-rank adapter (LoRA); merge it into the model, as peft's merge_and_unload does, and save that."
    prefixes = Counter(name.partition(".")[0] for name in state if "." in name)
    for prefix, count in prefixes.most_common(1):
        inner = [name for name in state if name.startswith(prefix + ".") and name[len(prefix) + 1 :] in wanted]
        if inner:
            return (
                f"{count} of {len(state)} names begin with '{prefix}.'; save those alone, without what is beside them."
            )
    positions, own = state.get("pos_embed"), wanted.get("pos_embed")
    if positions is not None and own is not None and positions.shape != own.shape:
        return 'If they were trained at another input size, name it in the JSON: "input_size": [height, width].'
    return ""
