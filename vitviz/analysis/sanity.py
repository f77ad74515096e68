"""Sanity check of explanation methods by cascading randomisation.

Adebayo et al. 2018, "Sanity checks for saliency maps" (arXiv 1810.03292), section 3: weights are randomised from the head
down to the embedding, and each method's map is compared with that of the trained model. A map that does not change depends on
the picture and not on what the model has learned.
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

# A method is insensitive if its map for a fully randomised model has a rank correlation above this with the trained model's.
INSENSITIVE = 0.5


@dataclass(frozen=True, eq=False)
class CascadeStep:
    """One step of the cascade.

    Attributes:
        name: The part randomised last: "head", "layer 11", ..., "embedding".
        maps: Method -> its map with this part and all parts above randomised.
        similarity: Method -> Spearman correlation with the trained model's map; NaN if a map is constant.
    """

    name: str
    maps: Mapping[str, Heatmap]
    similarity: Mapping[str, float]


def randomised(module: nn.Module, generator: torch.Generator) -> None:
    """Redraws every parameter of `module` in place from a normal distribution with the parameter's own mean and deviation.

    Scales stay those of training, so that activations stay in their usual range.
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
    """Yields a step for the head, then one for each `every` blocks from the last to the first, then one for the embedding.

    The model is not modified: the parameters of a copy are randomised.

    Args:
        question: The model, image and target.
        methods: Name -> function that computes the map.
        maps: The trained model's maps, if computed already.
        every: Blocks in one step.
        seed: Of the random parameters.
        progress: Called with (maps computed, maps in all); an exception that it raises stops the work.

    Source: Adebayo et al. 2018 (arXiv 1810.03292), section 3.
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
        fresh = replace(other)  # a new Question, without cached results of the step before
        for method, make in methods.items():
            if progress:
                progress(done, whole)
            now[method] = make(fresh)
            done += 1
        yield CascadeStep(name, now, {method: similarity(trained[method], now[method]) for method in methods})
    if progress:
        progress(whole, whole)


def similarity(one: Heatmap, other: Heatmap) -> float:
    """Spearman correlation of two maps of one grid; NaN if one is constant."""
    return rank_correlation(one.values, other.values)


def insensitive(last: CascadeStep, threshold: float = INSENSITIVE) -> list[str]:
    """Methods whose map after the last step has a correlation above `threshold` with the trained model's."""
    return [method for method, value in last.similarity.items() if value > threshold]


def _steps(module: nn.Module, num_layers: int, every: int, x: Tensor) -> list[tuple[str, list[nn.Module]]]:
    """(name, modules to randomise) of each step, from the head down; every parameter of the module is in one of them.

    Children that a pass on x (1, 3, height, width) calls before the first block belong to the embedding, whatever their name.
    """
    blocks = Blocks(module).blocks
    layers = list(range(num_layers - 1, -1, -1))
    groups = [layers[start : start + every] for start in range(0, num_layers, every)]
    middle = [(f"layer {group[-1]}", [blocks[layer] for layer in group]) for group in groups]
    embeddings = getattr(module, "embeddings", None)
    if isinstance(embeddings, nn.Module):  # of a model of transformers, whose parts are not the module's own children
        norm = getattr(module, "norm_pre", None)
        bottom = [embeddings, norm] if isinstance(norm, nn.Module) else [embeddings]
        taken = {id(parameter) for part in (*blocks, *bottom) for parameter in part.parameters()}
        rest = nn.ParameterList(parameter for parameter in module.parameters() if id(parameter) not in taken)
        return [("head", [rest]), *middle, ("embedding", bottom)]
    below = {"rope", "rel_pos_bias", "shared_rel_pos"} | _before(
        module, blocks[0], x
    )  # a pass need not call all children before the first block
    top = [child for name, child in module.named_children() if name != "blocks" and name not in below]
    bottom = [child for name, child in module.named_children() if name in below]
    return [("head", top), *middle, ("embedding", [*bottom, _OwnParameters(module)])]


def _before(module: nn.Module, block: nn.Module, x: Tensor) -> set[str]:
    """Names of the module's children that a pass on x calls before `block`."""
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


class _OwnParameters(nn.Module):
    """The parameters of a module outside its children: class token, registers, position embedding."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for name, parameter in module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
