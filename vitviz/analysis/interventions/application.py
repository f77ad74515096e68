"""Applies interventions to a model inside a `with` block, and compares the outputs with and without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from vitviz.analysis.interventions.base import Intervention, existing_index
from vitviz.analysis.interventions.text import Interventions
from vitviz.analysis.positions import added_vectors
from vitviz.analysis.question import ModelLike, Question
from vitviz.capture.ablation import Ablation, HeadSwitch, ablated
from vitviz.capture.blocks import Blocks, Output, final_norm
from vitviz.capture.embeddings import first_sequence_module
from vitviz.capture.modules import eval_mode, heads_to_switch
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap

if TYPE_CHECKING:
    from vitviz.analysis.interventions.switch_off_heads import HeadMeans

AnyModel = TypeVar("AnyModel", bound=ModelLike)


@contextmanager
def intervene(
    model: AnyModel, *interventions: Intervention | Interventions, head_means: HeadMeans | None = None
) -> Iterator[AnyModel]:
    """Applies the interventions, in order, to every pass of `model` inside the `with` block; yields the same model.

        with vitviz.intervene(model, HidePatches((17, 18)), SwitchOffHeads(((11, 3),))) as changed:
            trace = vitviz.trace(changed, image)

    Holds the model's lock, in evaluation mode. Parameters are not modified, and hooks are removed afterwards, also
    after an exception.

    Args:
        model: Any model with a lock.
        *interventions: Applied together.
        head_means: Required for heads that are replaced by their mean output (see `head_means`).

    Yields:
        `model` itself, while it is changed.

    Raises:
        ValueError: For patches, tokens, layers or heads that do not exist, and if no key is left to attend to.
        UnsupportedError: For an intervention that is not possible in this model; inside the block, if attention is to be
            changed and none is recognised.
    """
    items = [item for given in interventions for item in (given if isinstance(given, Interventions) else (given,))]
    with model.lock, ExitStack() as stack:
        stack.enter_context(eval_mode(model.module))
        for item in items:
            item.check(model)
        application = Application(model, stack, head_means)
        for item in items:
            item.apply(application)
        application.finish()
        yield model


class Application:
    """Collects the changes of the interventions of one `with` block; `finish` applies those of one module together."""

    def __init__(self, model: ModelLike, stack: ExitStack, means: HeadMeans | None) -> None:
        """Starts without changes.

        Args:
            model: The model that is changed.
            stack: Removes the hooks at the end of the `with` block.
            means: Mean outputs of heads, if given.
        """
        self.model, self.layout = model, model.layout
        self._stack, self._means = stack, means
        self._positions: list[Callable[[Tensor], Tensor]] = []
        self._off: dict[int, dict[int, str]] = {}
        self._cut: dict[int, set[int]] = {}
        self._cut_anywhere: set[int] = set()
        self._removed: set[int] = set()

    def pixels(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replaces the model's input x (batch, 3, height, width) by change(x)."""
        self._hold(self.model.module.register_forward_pre_hook(lambda _module, args: (change(args[0]), *args[1:])))

    def positions(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replaces the position embeddings p (patches, width) by change(p)."""
        self._positions.append(change)

    def skip(self, layer: int) -> None:
        """The layer returns its input. Raises ValueError for a layer that does not exist."""
        existing_index(layer, len(self._blocks), "layer")
        self._hold(self._blocks[layer].register_forward_hook(lambda _module, args, _out: args[0]))

    def switch_off(self, layer: int, head: int, fill: str) -> None:
        """The head's output is zero, or its mean ("mean"). Raises ValueError for a layer or head that does not exist."""
        existing_index(layer, len(self._blocks), "layer")
        existing_index(head, heads_to_switch(self._blocks[layer], layer, self.model.name), "head")
        self._off.setdefault(layer, {})[head] = fill

    def cut(self, tokens: Iterable[int], layers: Iterable[int] | None = None) -> None:
        """No query attends to these tokens in these layers, by default in all. Raises ValueError for an unknown layer."""
        tokens = set(tokens)
        self._cut_anywhere |= tokens
        for layer in range(len(self._blocks) + 1) if layers is None else layers:
            if layers is not None:
                existing_index(layer, len(self._blocks), "layer")
            # a pooling layer has the number after the last layer
            self._cut.setdefault(layer, set()).update(tokens)

    def remove(self, tokens: Iterable[int]) -> None:
        """No query attends to these tokens, and pooling leaves them out."""
        tokens = set(tokens)
        self._removed |= tokens
        if tokens:
            self.cut(tokens)

    def finish(self) -> None:
        """Registers the hooks. Raises ValueError if no key is left, UnsupportedError if a change is not possible."""
        layout = self.layout
        if len(self._cut_anywhere) >= layout.num_tokens or len(self._removed) >= layout.num_patches:
            raise ValueError("at least one token has to be left to attend to")
        if self._positions:
            entrance = first_sequence_module(self.model.module)
            if entrance is None:
                raise UnsupportedError(f"Where {self.model.name} adds positions to its patches could not be found.")
            self._hold(entrance.register_forward_pre_hook(self._position_hook()))
        heads = {layer: self._head_switch(layer, fills) for layer, fills in self._off.items()}
        ablation = Ablation(heads, {layer: sorted(tokens) for layer, tokens in self._cut.items()}, layout.num_tokens)
        if ablation.heads or ablation.cut:
            self._stack.enter_context(ablated(self._attending_parts(), ablation))
        norm = final_norm(self.model.module)
        if self._removed and norm is not None and _averages(self.model.module):
            self._hold(norm.register_forward_hook(_without(self._removed, layout.num_tokens)))

    def _hold(self, handle: RemovableHandle) -> None:
        self._stack.callback(handle.remove)

    @property
    def _blocks(self) -> tuple[nn.Module, ...]:
        return Blocks(self.model.module).blocks

    def _attending_parts(self) -> dict[int, nn.Module]:
        """Layer -> block; a pooling layer has the number after the last layer."""
        parts = dict(enumerate(self._blocks))
        pool = getattr(self.model.module, "attn_pool", None)
        if isinstance(pool, nn.Module):
            parts[len(parts)] = pool
        return parts

    def _position_hook(self) -> Callable[..., Any]:
        """A hook that adds the difference between the changed and the unchanged position embeddings."""
        model, layout = self.model, self.layout
        before = added_vectors(model, layout).float()  # (patches, width)
        after = before
        for change in self._positions:
            after = change(after)
        with torch.inference_mode(False), torch.no_grad():
            difference = (after - before).clone()

        def add(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            tokens = args[0]
            if tokens.ndim != 3 or tokens.shape[1] not in (layout.num_tokens, layout.num_patches):
                raise UnsupportedError(
                    f"{model.name} has {tuple(tokens.shape)} tokens where its positions are added, not {layout.num_tokens}."
                )
            # the class token may be added later, as in XCiT
            prefix, patches = tokens[:, : -layout.num_patches], tokens[:, -layout.num_patches :]
            return (torch.cat([prefix, patches + difference.to(patches)], 1), *args[1:])

        return add

    def _head_switch(self, layer: int, fills: dict[int, str]) -> HeadSwitch:
        keep = torch.ones(1, heads_to_switch(self._blocks[layer], layer, self.model.name))
        keep[:, list(fills)] = 0
        by_mean = [head for head, fill in fills.items() if fill == "mean"]
        if not by_mean:
            return HeadSwitch(keep)
        means = self._means
        if means is None:
            raise ValueError(
                "heads are to be replaced by their mean output, and no means were given; compute them with head_means"
            )
        if len(means.layers) <= layer or means.layers[layer].shape[:2] != (keep.shape[1], self.layout.num_prefix + 1):
            raise ValueError("the heads' mean outputs given belong to another model")
        fill = torch.zeros_like(whole := means.fill(layer, self.layout))
        fill[by_mean] = whole[by_mean]
        return HeadSwitch(keep, fill)


def _averages(module: nn.Module) -> bool:
    """Whether the output is pooled over all patches without attention, so that a masked token would still be counted."""
    pool = str(getattr(module, "global_pool", ""))
    return not isinstance(getattr(module, "attn_pool", None), nn.Module) and ("avg" in pool or "max" in pool)


def _without(removed: set[int], num_tokens: int) -> Callable[..., Tensor]:
    kept = [token for token in range(num_tokens) if token not in removed]

    def leave_out(_module: nn.Module, _args: Any, tokens: Tensor) -> Tensor:
        return tokens[:, kept] if tokens.shape[1] == num_tokens else tokens

    return leave_out


@dataclass(frozen=True, eq=False)
class Effect:
    """Outputs without and with the interventions.

    Attributes:
        before, after: Outputs of one pass each, a batch of 1.
        likelihood_before, likelihood_after: The target's likelihood; of a class or label, its probability.
        similarity: (rows, cols) cosine of each patch's final tokens in both passes; None if the model gives no tokens, or if
            some were removed from the sequence.
    """

    before: Output
    after: Output
    likelihood_before: float
    likelihood_after: float
    similarity: Heatmap | None

    @property
    def change(self) -> float:
        """Difference of the likelihoods, after - before."""
        return self.likelihood_after - self.likelihood_before


def effect(
    question: Question, *interventions: Intervention | Interventions, head_means: HeadMeans | None = None
) -> Effect:
    """One pass with the interventions and one without, which the question caches. Raises as `intervene`."""
    before = question.reference  # outside the block: the unchanged model
    with intervene(question.model, *interventions, head_means=head_means) as changed, question.eval_mode():
        after = question.run(question.x, changed.module)
    try:
        likelihood = float(question.target.likelihood(after, before)[0])
    except UnsupportedError:
        likelihood = float("nan")  # the target's token has no known index in a shorter sequence
    return Effect(before, after, question.likelihood(), likelihood, _similarity(question, before, after))


def _similarity(question: Question, before: Output, after: Output) -> Heatmap | None:
    layout = question.layout
    if before.tokens is None or after.tokens is None or before.tokens.shape != after.tokens.shape:
        return None
    if before.tokens.shape[1] != layout.num_tokens:
        return None
    with torch.no_grad():
        cosine = F.cosine_similarity(before.tokens[0].float(), after.tokens[0].float(), dim=-1)  # (tokens,)
    return Heatmap(layout.patches(cosine.cpu().numpy()), "cosine with the token before", signed=True)
