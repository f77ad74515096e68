"""Observes a forward pass: reports every attention call without changing the model or its outputs.

No hook is registered and no function is replaced by another computation. If torch would choose its fused CPU kernel, that
kernel is called by its own name: it then also returns the log-sum-exp of every row, which it computes in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitviz.capture.calls import AttentionCalls
from vitviz.capture.events import AttentionEvents, Call, FusedCall
from vitviz.capture.functions import WeightedSum
from vitviz.capture.modules import ModuleNames, eval_mode, unordered_modules, unwrapped
from vitviz.capture.sdpa_patch import can_replace_fused, fused_replaced
from vitviz.errors import UnsupportedError

TORCHS_OWN = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
# torch.nn.attention.SDPBackend.FLASH_ATTENTION: the backend whose CPU kernel returns the log-sum-exp
FLASH_ATTENTION = 1

Receiver = Callable[[Call], None]


class Observer(AttentionEvents):
    """Passes each attention call to `receive` and changes nothing."""

    def __init__(self, names: ModuleNames, receive: Receiver) -> None:
        self.names = names
        self.receive = receive

    def fused(self, call: FusedCall) -> Tensor:
        """Returns a result that is bit-identical to that of the unobserved call."""
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
        self.receive(call.as_call(self.names.calling, lse))
        return out

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        """Takes the weights of each head before torch's own attention averages them over heads.

        torch averages the returned weights after using them, so the output does not change. They are averaged here if the model
        requested that.
        """
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
    """Whether torch would choose the kernel that also returns the log-sum-exp."""
    query, key, value, mask = call.query, call.key, call.value, call.attn_mask
    return (
        query.device.type == "cpu"
        and query.ndim == 4  # the kernel takes no other; some models fold windows and heads into one axis
        and not call.enable_gqa
        and not torch.is_autocast_enabled("cpu")
        and not (torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad))
        and (mask is None or mask.is_floating_point())
        and torch._fused_sdp_choice(query, key, value, mask, call.dropout_p, call.is_causal, scale=call.scale)
        == FLASH_ATTENTION
    )


def refuse_unseen(named: Iterable[tuple[str, nn.Module]], pool: nn.Module | None = None) -> None:
    """Raises UnsupportedError for a model with attention that a TorchFunctionMode cannot observe.

    torch's own attention modules have a fast path without torch functions. A mode disables that path, so that outputs would no
    longer be bit-identical. A scripted module runs without Python.

    Args:
        named: The result of the model's `named_modules()`.
        pool: Its attention pooling, which may be torch's own module: the fast path requires that query and key are the same
            tensor, which they are not in pooling.
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
    """Calls `receive` with a `Call` for every attention call of `module` inside the `with` block, in order, on this thread.

    The module is in evaluation mode inside. No hook is registered on it. Hold the model's lock, because modules have state.

    Args:
        module: The model.
        receive: Called with each `Call`.
        only_fused: Observe only fused calls, which is faster. If a mode is active on this thread or a hook is registered on the
            model, all functions are observed nevertheless. Calls inside a mode that starts during the pass are missed.

    Raises:
        UnsupportedError: For a model with attention that cannot be observed or followed.
    """
    module = unwrapped(module)
    named = list(unordered_modules(module))
    refuse_unseen(named, getattr(module, "attn_pool", None))
    names = ModuleNames(named)
    observer = Observer(names, receive)
    quick = only_fused and can_replace_fused(inner for _, inner in named)
    with ExitStack() as stack:
        stack.enter_context(eval_mode(module, [inner for _, inner in named]))
        if quick:
            stack.enter_context(fused_replaced(lambda *args, **kwargs: observer.fused(FusedCall(*args, **kwargs))))
        else:
            stack.enter_context(AttentionCalls(observer, names))
        yield


# Layers that mix tokens without attention. A module that contains one and multiplies no two tensors is not attention.
_CONVOLUTIONS = (
    nn.modules.conv._ConvNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)


def refuse_blocks_without_attention(
    module: nn.Module, attending: Iterable[str], ran: Iterable[nn.Module], multiplying: Iterable[str]
) -> None:
    """Raises UnsupportedError for a block without recognised attention if another block of its class has some.

    Blocks that mix tokens by convolution or pooling, or have no module in the place of the others' attention, are accepted.

    Args:
        module: The model.
        attending: Dotted names of the modules that made attention calls.
        ran: The modules that ran in the same pass.
        multiplying: Dotted names of the modules that multiplied two tensors of the pass with each other.
    """
    parts = dict(module.named_modules())
    ran, multiplying, callers = set(ran), set(multiplying), sorted(set(attending))
    inside = {around for caller in callers for around, _ in _ancestors(caller)}  # modules that contain a call

    def counts(name: str) -> bool:
        """Whether a module ran without a call in it or in a module around it that may have called on its behalf."""
        return (
            name not in inside and parts[name] in ran and not any(around in callers for around, _ in _ancestors(name))
        )

    alike: dict[type, list[str]] = {}
    for name, part in parts.items():
        if name and not type(part).__module__.startswith("torch.nn."):
            alike.setdefault(type(part), []).append(name)
    without = {kind: [name for name in names if counts(name)] for kind, names in alike.items()}
    asked: set[tuple[type, str]] = set()
    for caller in callers:
        for name, path in _ancestors(caller):
            kind = type(parts[name])
            if (kind, path) in asked:
                continue
            asked.add((kind, path))
            for other in without.get(kind, ()):
                if _attends_unseen(parts[other], path, parts[caller], other, multiplying):
                    raise UnsupportedError(
                        f"No attention was recognised in {other!r} ({kind.__name__}), although it was in {name!r}, which is of "
                        "the same class. A map without it would be wrong, so none is shown. Choose a model whose layers all "
                        "call scaled_dot_product_attention, or write softmax(scores) @ values."
                    )


def _ancestors(name: str) -> Iterator[tuple[str, str]]:
    """(name of `name` or of a module around it, path from there to `name`), innermost first, without the whole model."""
    parts = name.split(".") if name else []
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length]), ".".join(parts[length:])


def _attends_unseen(block: nn.Module, path: str, attention: nn.Module, name: str, multiplying: set[str]) -> bool:
    """Whether the module at `path` of a block, where other blocks of its class have `attention`, may also be attention."""
    try:
        part = block.get_submodule(path)
    except AttributeError:
        return False
    own = f"{name}.{path}" if path else name
    if any(one == own or one.startswith(own + ".") for one in multiplying):
        return True
    if next(part.parameters(), None) is None:
        return False
    convolves = any(isinstance(one, _CONVOLUTIONS) for one in part.modules())
    return not convolves or _kinds(part) == _kinds(attention)


def _kinds(part: nn.Module) -> list[str]:
    return sorted(type(one).__name__ for one in part.modules())
