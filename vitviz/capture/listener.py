"""Listening to a forward pass: every attention call inside it, seen as it is made, with the model left as it is.

A `TorchFunctionMode` sees each torch function that the model's own code calls on this thread; where a model is known to call
nothing but the fused one, a stand-in for that one hears as much for less. Nothing is hung on the model, switched off or
rewritten: where the fused kernel for CPUs would run, the very same kernel is called by its own name, because then it also hands
over the log-sum-exp of every row, which it computes anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture.call import Call
from vitviz.capture.fused_call import FUSED, FusedCall
from vitviz.capture.speaker import Speaker
from vitviz.capture.stand_in import can_stand_in, standing_in
from vitviz.errors import UnsupportedError

SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax}
MATMUL = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm}
TORCHS_OWN = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
STEPS_FOLLOWED = 8  # between a softmax and its product; models take one to five
# torch.nn.attention.SDPBackend.FLASH_ATTENTION, the backend whose CPU kernel returns the log-sum-exp
FLASH_ATTENTION = 1

Receiver = Callable[[Call], None]


class _Listener(TorchFunctionMode):
    """Hands each attention call to `receive` and lets everything pass unchanged."""

    def __init__(self, speaker: Speaker, receive: Receiver) -> None:
        super().__init__()
        self.speaker = speaker
        self.receive = receive
        self.softmaxed: tuple[str, Tensor] | None = None  # a softmax that no product has used yet
        self.derived: list[Tensor] = []  # it, and what was made of it since: its transpose, its heads mixed

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is FUSED:
            return self.fused(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            return self._pooled(*args, **kwargs)
        if func in SOFTMAX:
            result = func(*args, **kwargs)
            if over_scores(result, args, kwargs):
                self.softmaxed, self.derived = (self.speaker.name, result), [result]
            return result
        if self.softmaxed is None:
            return func(*args, **kwargs)
        if func in MATMUL:
            self._product(*args, **kwargs)
        result = func(*args, **kwargs)
        self._follow(args, result)
        return result

    def fused(self, *args: Any, **kwargs: Any) -> Tensor:
        """The fused call with its own arguments; the result is bit for bit what the model would have had."""
        asked = FusedCall(*args, **kwargs)
        lse = None
        if _flash_for_cpu(asked):
            out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                asked.query,
                asked.key,
                asked.value,
                asked.dropout_p,
                asked.is_causal,
                attn_mask=asked.attn_mask,
                scale=asked.scale,
            )
        else:
            out = asked.run()
        self.receive(asked.heard(self.speaker.name, lse))
        return out

    def _pooled(self, query: Tensor, key: Tensor, *rest: Any, **kwargs: Any) -> Any:
        """torch's own attention where it pools: it makes its weights for whoever asks, and averages them over heads after
        their use. Here they are taken before, and averaged as it does."""
        if not kwargs.get("need_weights", True):
            raise UnsupportedError(_unseen(self.speaker.name, "MultiheadAttention"))
        averaged = kwargs.get("average_attn_weights", True)
        attend: Any = F.multi_head_attention_forward
        out, weights = attend(query, key, *rest, **{**kwargs, "average_attn_weights": False})
        self.receive(Call(self.speaker.name, explicit=weights))  # (batch, heads, queries, keys)
        return out, weights.mean(dim=1) if averaged else weights

    def _follow(self, args: tuple[Any, ...], result: Any) -> None:
        """Remembers what was made of the softmax's output, as long as it has as many entries."""
        same_size = isinstance(result, Tensor) and self.derived and result.numel() == self.derived[0].numel()
        if same_size and any(a is weights for a in args for weights in self.derived):
            self.derived = [*self.derived[-STEPS_FOLLOWED:], result]

    def _product(self, left: Any, right: Any = None, **_: Any) -> None:
        """A product after a softmax: the factor that was made of it are the weights as used, also where heads were
        mixed before.

        Models that keep channels in front of tokens put the values to the left: values (.., dim, keys) @ weights (..,
        keys, queries).
        """
        assert self.softmaxed is not None
        speaker, softmaxed = self.softmaxed
        if any(left is weights for weights in self.derived):
            weights, values, changed = left, right, left is not softmaxed
        elif any(right is weights for weights in self.derived):
            weights, values, changed = right.mT, left.mT, len(self.derived) > 2
        else:
            return
        self.softmaxed, self.derived = None, []
        self.receive(Call(speaker, v=values, explicit=weights, softmaxed=softmaxed if changed else None))


def over_scores(result: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a softmax normalises rows of keys: over the last axis, of a batch of matrices."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return result.ndim >= 3 and dim in (-1, result.ndim - 1)


def _flash_for_cpu(asked: FusedCall) -> bool:
    """Whether torch would choose the kernel that returns the log-sum-exp as well."""
    query, key, value, mask = asked.query, asked.key, asked.value, asked.attn_mask
    return (
        query.device.type == "cpu"
        and query.ndim == 4  # what the kernel takes; some models fold windows and heads into one axis
        and not asked.enable_gqa
        and not torch.is_autocast_enabled("cpu")
        and not (torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad))
        and (mask is None or mask.is_floating_point())
        and torch._fused_sdp_choice(query, key, value, mask, asked.dropout_p, asked.is_causal, scale=asked.scale)
        == FLASH_ATTENTION
    )


def refuse_unseen(named: Iterable[tuple[str, nn.Module]], pool: nn.Module | None = None) -> None:
    """Raises UnsupportedError where attention would run out of sight: torch's own attention modules take a path below
    torch functions, and listening would change which path they take, so that outputs would no longer be bit-
    identical.

    named  what the model's `named_modules()` gives
    pool   its attention pooling, where torch's own may stand: the query there is not the keys, and for such a call there is
           no other path
    """
    allowed = set(pool.modules()) if isinstance(pool, nn.Module) else set()
    for name, child in named:
        if isinstance(child, TORCHS_OWN) and child not in allowed:
            raise UnsupportedError(_unseen(name, type(child).__name__))


def _unseen(name: str, kind: str) -> str:
    return (
        f"The module {name or kind!r} is torch's own {kind}, whose attention cannot be heard without changing its "
        "result. Use a model whose attention calls scaled_dot_product_attention, as timm's do."
    )


@contextmanager
def listen(module: nn.Module, receive: Receiver, *, only_fused: bool = False) -> Iterator[None]:
    """While inside, `receive` gets a `Call` for every attention call of `module`'s forward pass, in order, on this
    thread.

    only_fused  the fused call is all that needs to be heard, which costs less. Where somebody else listens on this thread or
                has hung something on the model, everything is heard all the same; calls inside what begins to listen in the
                middle of the pass are not heard

    Nothing is hung on the module, so nothing can be left behind. Hold the model's lock all the same: modules keep state.
    Raises UnsupportedError for a model with attention that cannot be heard.
    """
    named = list(walk(module))
    refuse_unseen(named, getattr(module, "attn_pool", None))
    listener = _Listener(Speaker(named), receive)
    quick = only_fused and can_stand_in(inner for _, inner in named)
    with standing_in(listener.fused) if quick else listener:
        yield


def walk(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module inside, by dotted name, as `named_modules()` has them, in no order. It takes a third of the time, and every
    pass has to wait for it.
    """
    waiting = [("", module)]
    while waiting:
        name, parent = waiting.pop()
        yield name, parent
        prefix = name + "." if name else ""
        waiting += [(prefix + own, child) for own, child in parent._modules.items() if child is not None]
