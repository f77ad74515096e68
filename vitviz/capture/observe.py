"""Observing a forward pass: every attention call inside it, handed over as it is made, with the model left as it is.

Nothing is hung on the model, switched off or rewritten: where the fused kernel for CPUs would run, the very same kernel is
called by its own name, because then it also returns the log-sum-exp of every row, which it computes anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitviz.capture.call import Call
from vitviz.capture.calls import AttentionCalls
from vitviz.capture.evaluation import evaluating, unwrapped
from vitviz.capture.events import AttentionEvents
from vitviz.capture.fused_call import FusedCall
from vitviz.capture.fused_only import can_replace_fused, fused_replaced
from vitviz.capture.module_names import ModuleNames
from vitviz.capture.products import WeightedSum
from vitviz.errors import UnsupportedError

TORCHS_OWN = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
# torch.nn.attention.SDPBackend.FLASH_ATTENTION, the backend whose CPU kernel returns the log-sum-exp
FLASH_ATTENTION = 1

Receiver = Callable[[Call], None]


class Observer(AttentionEvents):
    """Hands each attention call to `receive` and lets everything pass unchanged."""

    def __init__(self, names: ModuleNames, receive: Receiver) -> None:
        self.names = names
        self.receive = receive

    def fused(self, call: FusedCall) -> Tensor:
        """The result is bit for bit what the model would have had."""
        lse = None
        if _flash_for_cpu(call):
            out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                call.query,
                call.key,
                call.value,
                call.dropout_p,
                call.is_causal,
                attn_mask=call.attn_mask,
                scale=call.scale,
            )
        else:
            out = call.run()
        self.receive(call.seen(self.names.calling, lse))
        return out

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        """torch's own attention where it pools: it makes its weights when asked to, and averages them over heads after their
        use. Here they are taken before, and averaged as it does."""
        if not kwargs.get("need_weights", True):
            raise UnsupportedError(_unseen(self.names.calling, "MultiheadAttention"))
        averaged = kwargs.get("average_attn_weights", True)
        attend: Any = F.multi_head_attention_forward
        out, weights = attend(*args, **{**kwargs, "average_attn_weights": False})
        self.receive(Call(self.names.calling, explicit=weights))  # (batch, heads, queries, keys)
        return out, weights.mean(dim=1) if averaged else weights

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        if not call.repeated:
            self.receive(Call(call.module, v=call.values, explicit=call.weights))
        return out


def _flash_for_cpu(call: FusedCall) -> bool:
    """Whether torch would choose the kernel that returns the log-sum-exp as well."""
    query, key, value, mask = call.query, call.key, call.value, call.attn_mask
    return (
        query.device.type == "cpu"
        and query.ndim == 4  # what the kernel takes; some models fold windows and heads into one axis
        and not call.enable_gqa
        and not torch.is_autocast_enabled("cpu")
        and not (torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad))
        and (mask is None or mask.is_floating_point())
        and torch._fused_sdp_choice(query, key, value, mask, call.dropout_p, call.is_causal, scale=call.scale)
        == FLASH_ATTENTION
    )


def refuse_unseen(named: Iterable[tuple[str, nn.Module]], pool: nn.Module | None = None) -> None:
    """Raises UnsupportedError where attention would run unseen: torch's own attention modules take a path below torch
    functions, and observing would change which path they take, so that outputs would no longer be bit-identical; a
    scripted module runs without Python.

    named  what the model's `named_modules()` gives
    pool   its attention pooling, where torch's own may stand: the query there is not the keys, and for such a call there is
           no other path
    """
    allowed = set(pool.modules()) if isinstance(pool, nn.Module) else set()
    for name, child in named:
        if isinstance(child, TORCHS_OWN) and child not in allowed:
            raise UnsupportedError(_unseen(name, type(child).__name__))
        if isinstance(child, torch.jit.ScriptModule):
            raise UnsupportedError(
                f"The module {name or type(child).__name__!r} was compiled by torch.jit, so nothing inside it can be seen. Use "
                "the module that it was compiled from."
            )


def _unseen(name: str, kind: str) -> str:
    return (
        f"The module {name or kind!r} is torch's own {kind}, whose attention cannot be seen without changing its "
        "result. Use a model whose attention calls scaled_dot_product_attention, as timm's do."
    )


@contextmanager
def observe(module: nn.Module, receive: Receiver, *, only_fused: bool = False) -> Iterator[None]:
    """While inside, `receive` gets a `Call` for every attention call of `module`'s forward pass, in order, on this
    thread.

    only_fused  the fused call is all that needs to be seen, which costs less. Where another mode is active on this thread or
                a hook is registered on the model, everything is seen all the same; calls inside a mode that starts in the
                middle of the pass are not seen

    The module is in evaluation mode inside. Nothing is hung on it, so nothing can be left behind. Hold the model's lock all
    the same: modules keep state. Raises UnsupportedError for a model with attention that cannot be seen or followed.
    """
    module = unwrapped(module)
    named = list(walk(module))
    refuse_unseen(named, getattr(module, "attn_pool", None))
    names = ModuleNames(named)
    observer = Observer(names, receive)
    quick = only_fused and can_replace_fused(inner for _, inner in named)
    with ExitStack() as stack:
        stack.enter_context(evaluating(module, [inner for _, inner in named]))
        if quick:
            stack.enter_context(fused_replaced(lambda *args, **kwargs: observer.fused(FusedCall(*args, **kwargs))))
        else:
            stack.enter_context(AttentionCalls(observer, names))
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
