"""Sanity check: does a map change when the model forgets what it has learned?

Adebayo et al. 2018, "Sanity checks for saliency maps" (arXiv 1810.03292), cascading randomisation: weights are drawn
anew from the top of the model down, and each method's map is compared with the one of the trained model. A map that
stays shows the picture, not the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vitviz.analysis.faithfulness import rank_correlation
from vitviz.analysis.question import BareModel, Question
from vitviz.capture.blocks import Blocks
from vitviz.capture.modules import copied
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress

# Rank correlation with the trained model's map from which a method counts as insensitive, once every weight is random.
INSENSITIVE = 0.5


@dataclass(frozen=True, eq=False)
class CascadeStep:
    """One step of the cascade.

    Attributes:
        name: what was randomised last: "head", "layer 11", ..., "embedding".
        maps: method -> its map with everything from the top down to here random.
        likeness: method -> Spearman correlation with the trained model's map; not-a-number where a map is constant.
    """

    name: str
    maps: Mapping[str, Heatmap]
    likeness: Mapping[str, float]


def randomised(module: nn.Module, generator: torch.Generator) -> None:
    """Draws every parameter of `module` anew from a normal distribution of that parameter's own mean and spread, in
    place.

    Scales stay those of training, so that what is tested is the weights and not a model driven out of range.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            spread = parameter.float().std(unbiased=False)
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter.float().mean() + spread * noise.to(parameter.device))


def cascade(
    question: Question,
    methods: Mapping[str, Callable[[Question], Heatmap]],
    maps: Mapping[str, Heatmap] | None = None,
    *,
    every: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[CascadeStep]:
    """Yields a step for the head, then one for each `every` blocks from the top, then the embedding below them.

    Works on a copy: the model asked about is never changed. `maps` are the trained model's where they are at hand.
    `progress` is called with (maps drawn, maps in all); raise from it to stop.
    """
    trained = {name: maps[name] if maps and name in maps else method(question) for name, method in methods.items()}
    with question.model.lock:
        module = copied(question.module)
    other = replace(question, model=BareModel(module, question.layout, question.model.name, question.kind))
    generator = torch.Generator().manual_seed(seed)
    steps = _steps(module, question.blocks.num_layers, every, question.x)
    done, whole = 0, len(steps) * len(methods)
    for name, parts in steps:
        for part in parts:
            randomised(part, generator)
        now: dict[str, Heatmap] = {}
        fresh = replace(other)  # nothing remembered from the step before
        for method, make in methods.items():
            if progress:
                progress(done, whole)
            now[method] = make(fresh)
            done += 1
        yield CascadeStep(name, now, {method: likeness(trained[method], now[method]) for method in methods})
    if progress:
        progress(whole, whole)


def likeness(one: Heatmap, other: Heatmap) -> float:
    """Spearman correlation of two maps of one grid; not-a-number where one is constant."""
    return rank_correlation(one.values, other.values)


def insensitive(last: CascadeStep, threshold: float = INSENSITIVE) -> list[str]:
    """Methods whose map is still like the trained model's when everything is random."""
    return [method for method, value in last.likeness.items() if value > threshold]


def _steps(module: nn.Module, num_layers: int, every: int, x: Tensor) -> list[tuple[str, list[nn.Module]]]:
    """(name, modules to randomise then), from the top down; every parameter of the module belongs to one of them.

    What works on x (1, 3, height, width) before the first block is part of the embedding, whatever it is called.
    """
    blocks = Blocks(module).blocks
    layers = list(range(num_layers - 1, -1, -1))
    groups = [layers[start : start + every] for start in range(0, num_layers, every)]
    middle = [(f"layer {group[-1]}", [blocks[layer] for layer in group]) for group in groups]
    embeddings = getattr(module, "embeddings", None)
    if isinstance(embeddings, nn.Module):  # one of transformers, whose parts are not the module's own children
        norm = getattr(module, "norm_pre", None)
        bottom = [embeddings, norm] if isinstance(norm, nn.Module) else [embeddings]
        taken = {id(parameter) for part in (*blocks, *bottom) for parameter in part.parameters()}
        rest = nn.ParameterList(parameter for parameter in module.parameters() if id(parameter) not in taken)
        return [("head", [rest]), *middle, ("embedding", bottom)]
    below = {"rope", "rel_pos_bias", "shared_rel_pos"} | _before(
        module, blocks[0], x
    )  # the first are not always called
    top = [child for name, child in module.named_children() if name != "blocks" and name not in below]
    bottom = [child for name, child in module.named_children() if name in below]
    return [("head", top), *middle, ("embedding", [*bottom, _Loose(module)])]


def _before(module: nn.Module, block: nn.Module, x: Tensor) -> set[str]:
    """Names of the module's own parts that a pass on x calls before `block`."""
    called: list[str] = []
    arrived: list[bool] = []

    def call(name: str) -> Callable[..., None]:
        return lambda *_: None if arrived else called.append(name)

    with ExitStack() as hooks, torch.no_grad():
        hooks.callback(block.register_forward_pre_hook(lambda *_: arrived.append(True)).remove)
        for name, child in module.named_children():
            if child is not block and name != "blocks":
                hooks.callback(child.register_forward_pre_hook(call(name)).remove)
        module(x)
    return set(called)


class _Loose(nn.Module):
    """The parameters that a module holds itself: class token, registers, position embedding."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for name, parameter in module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
