"""Estimates operations, memory and time of a forward pass before it runs: counted on the meta device, timed by a measurement.

Operations are multiplications and additions, two for each term of a product. The seconds are an estimate from a measurement of
half a second; other load on the machine is not accounted for.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vitviz.capture.attention import Attention
from vitviz.capture.calls import AttentionCalls
from vitviz.capture.coordinates.tensor import without_numbers
from vitviz.capture.events import AttentionEvents, FusedCall
from vitviz.capture.functions import WeightedSum
from vitviz.capture.memory import free_memory
from vitviz.capture.modules import ModuleNames, blank_input, eval_mode, unwrapped
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


@dataclass(frozen=True)
class PassCost:
    """Operations and bytes of one traced forward pass of one image.

    Attributes:
        shapes: (batch, heads, queries, keys) of every attention call in order, windows folded into the batch.
        attention: Operations inside fused attention: q kT, and the weights times v.
        rest: Operations of all other products and convolutions.
        rollout: Operations of computing every weight of every layer once, as rollout does.
        kept: Bytes of the trace.
        peak: Largest number of bytes allocated at one time, with the trace and without the model's parameters.
    """

    shapes: tuple[tuple[int, ...], ...]
    attention: int
    rest: int
    rollout: int
    kept: int
    peak: int

    @property
    def tokens(self) -> int:
        """Tokens of the attention call with the most."""
        return max((max(shape[-2:]) for shape in self.shapes), default=0)


@dataclass(frozen=True)
class Estimate:
    """The time that a pass of `cost` takes on this machine.

    Attributes:
        cost: Operations and bytes of the pass.
        seconds: Time of the forward pass.
        rollout_seconds: Time of one rollout after it, or of another computation with every weight.
    """

    cost: PassCost
    seconds: float
    rollout_seconds: float


def estimate(module: nn.Module, input_size: tuple[int, int]) -> Estimate:
    """The cost of tracing one image of (height, width) pixels, on the device and in the precision that `module` has.

    Hold the model's lock. Raises whatever the module raises for a size that it does not take.
    """
    parameter = next(module.parameters())
    return timed(pass_cost(module, input_size), throughput_of(parameter.device, parameter.dtype))


def timed(cost: PassCost, throughput: Throughput) -> Estimate:
    """The time of `cost` at this throughput."""
    seconds = cost.attention / throughput.attention + cost.rest / throughput.rest
    return Estimate(cost, seconds, cost.rollout / throughput.rollout)


_known: weakref.WeakKeyDictionary[nn.Module, dict[tuple[int, int], PassCost]] = weakref.WeakKeyDictionary()


def pass_cost(module: nn.Module, input_size: tuple[int, int]) -> PassCost:
    """Counts a traced pass over one image of (height, width) pixels on the meta device, where nothing is computed.

    Counted once for each module and size, on a copy without weights. Hold the model's lock.
    """
    module = unwrapped(module)
    known = _known.setdefault(module, {})
    if input_size not in known:
        known[input_size] = _counted(module, input_size)
    return known[input_size]


def attention_calls(module: nn.Module, input_size: tuple[int, int]) -> int:
    """Number of attention calls in a pass: that of the blocks, else counted on the meta device. Hold the model's lock."""
    blocks = getattr(unwrapped(module), "blocks", None)
    return len(blocks) if isinstance(blocks, nn.Sequential) else len(pass_cost(module, input_size).shapes)


def _counted(module: nn.Module, input_size: tuple[int, int]) -> PassCost:
    bare = without_numbers(module, own_precision=True)
    counter, allocations = _Counter(), AllocationCounter([*bare.parameters(), *bare.buffers()])
    calls = AttentionCalls(counter, ModuleNames(()), refusing=False)
    with eval_mode(bare), torch.no_grad(), allocations, calls:
        bare(blank_input(bare, input_size, "meta"))
    kept = {storage_of(tensor)._cdata: storage_of(tensor).nbytes() for tensor in counter.kept}
    return PassCost(
        tuple(counter.shapes),
        counter.attention,
        allocations.operations,
        counter.rollout,
        sum(kept.values()),
        allocations.peak,
    )


class _Counter(AttentionEvents):
    """Counts attention instead of computing it, and keeps what a trace would keep, so that it counts as allocated."""

    def __init__(self) -> None:
        self.attention = self.rollout = 0
        self.shapes: list[tuple[int, ...]] = []
        self.kept: list[Tensor] = []

    def fused(self, call: FusedCall) -> Tensor:
        query, key, value = call.query, call.key, call.value
        pairs = query.shape[:-1].numel() * key.shape[-2]
        self.shapes.append((*query.shape[:-1], key.shape[-2]))
        self.attention += 2 * pairs * (query.shape[-1] + value.shape[-1])
        self.rollout += 2 * pairs * query.shape[-1]
        self.kept += [query.clone(), key.clone()]
        self.kept.append(
            torch.empty(query.shape[:-1], device="meta")
        )  # the log-sum-exp of every row, in single precision
        *batch, heads, queries = query.shape[:-1]
        # (batch, queries, heads, value_dim) -> (batch, heads, queries, value_dim), laid out as the kernel does it
        return query.new_empty(*batch, queries, heads, value.shape[-1]).transpose(-3, -2)

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        out, weights = F.multi_head_attention_forward(*args, **{**kwargs, "average_attn_weights": False})
        if weights is not None:
            self._made(weights)  # (batch, heads, queries, keys)
            weights = weights.mean(dim=1) if kwargs.get("average_attn_weights", True) else weights
        return out, weights

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        if not call.repeated:
            self._made(call.weights)
        return out

    def _made(self, weights: Tensor) -> None:
        """Counts explicit weights: in a rollout they are only multiplied with a vector."""
        self.shapes.append(tuple(weights.shape))
        self.rollout += 2 * weights.numel()
        self.kept.append(weights)


class AllocationCounter(TorchDispatchMode):
    """Counts the operations of all products and the bytes allocated at one time, on the meta device."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        super().__init__()
        self.operations = self.peak = self.now = 0
        self._given = [storage_of(tensor) for tensor in given]  # kept, so that their id is not reused
        self._alive: dict[int, weakref.ref[Any]] = {}
        self._free = {storage._cdata for storage in self._given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.operations += count(*args, **(kwargs or {}), out_val=result)
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor):
                self._enter(storage_of(each))
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        name, nbytes = storage._cdata, storage.nbytes()
        if name in self._alive or name in self._free:
            return

        def gone(_: object) -> None:
            del self._alive[name]
            self.now -= nbytes

        self._alive[name] = weakref.ref(storage, gone)
        self.now += nbytes
        self.peak = max(self.peak, self.now)


def need_memory(cost: PassCost, device: torch.device) -> None:
    """Raises UnsupportedError if the pass needs more memory than is free; otherwise the process would be killed in the pass."""
    free = free_memory(device)
    if free is not None and cost.peak > free:
        raise UnsupportedError(
            f"{cost.tokens:,} tokens need about {gigabytes(cost.peak)} of memory, and {gigabytes(free)} are free. "
            "Choose a smaller input size."
        )


def pictures_at_once(module: nn.Module, input_size: tuple[int, int], most: int) -> int:
    """The batch size, 1 to `most`, at which a pass over pictures of (height, width) pixels takes half of the free memory.

    Hold the model's lock.
    """
    free = free_memory(next(module.parameters()).device)
    return most if free is None else max(1, min(most, free // 2 // max(pass_cost(module, input_size).peak, 1)))


def need_memory_for_weights(name: str, nbytes: int, device: torch.device) -> None:
    """Raises UnsupportedError if the weights of the model `name` are larger than the memory that is free on `device`."""
    free = free_memory(device)
    if free is not None and nbytes > free:
        raise UnsupportedError(
            f"The weights of {name} take {gigabytes(nbytes)} of memory, and {gigabytes(free)} are free. Choose a smaller model."
        )


def format_duration(seconds: float) -> str:
    """An estimated duration, rounded: "under 1 s", "20 s", "4 min", "1.5 h"."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def gigabytes(nbytes: int) -> str:
    """A size as text: "1.2 GB", "0.02 GB"."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e8 else f"{nbytes / 1e9:.2f} GB"


def storage_of(tensor: Tensor) -> torch.UntypedStorage:
    """The storage of a tensor, shared by all its views."""
    return tensor.untyped_storage()


# Few queries and many keys: keys of a long sequence do not fit the processor's cache, and a short one would be too fast.
QUERIES, SIDE, HEADS, HEAD_DIM = 128, 100, 6, 64
WIDTH, TOKENS = 384, 1024
REPEATS = 3


@dataclass(frozen=True)
class Throughput:
    """Operations a second, two for each term of a product.

    Attributes:
        attention: Inside the fused call.
        rest: In the remainder of a block, including the time of functions between its products.
        rollout: Of weights that are computed in chunks and multiplied with a vector.
    """

    attention: float
    rest: float
    rollout: float


def throughput_of(device: torch.device, dtype: torch.dtype) -> Throughput:
    """The throughput of `device` in `dtype` with torch's current number of threads; measured once, in about half a second."""
    return _measured(device, dtype, torch.get_num_threads())


@lru_cache(maxsize=16)
def _measured(device: torch.device, dtype: torch.dtype, _threads: int) -> Throughput:
    layout = TokenLayout((), (SIDE, SIDE), (1, 1))
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        q = torch.rand(1, HEADS, QUERIES, HEAD_DIM, device=device, dtype=dtype)
        k = torch.rand(1, HEADS, SIDE * SIDE, HEAD_DIM, device=device, dtype=dtype)
        few = TokenLayout((), (1, QUERIES), (1, 1))
        lse = torch.zeros(HEADS, QUERIES, device=device)
        layer = Attention("throughput", few, layout, q=q[0] / HEAD_DIM, k=k[0], scale=HEAD_DIM**-0.5, lse=lse)
        even = torch.full((1, QUERIES), 1 / QUERIES, device=device)
        with torch.device(device):
            wide, narrow, norm = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        for part in (wide, narrow, norm):
            part.to(dtype)
        x = torch.rand(1, TOKENS, WIDTH, device=device, dtype=dtype)
        pairs = HEADS * QUERIES * SIDE * SIDE
        return Throughput(
            attention=4 * pairs * HEAD_DIM / _seconds(device, lambda: F.scaled_dot_product_attention(q, k, k)),
            rest=16 * TOKENS * WIDTH**2 / _seconds(device, lambda: x + narrow(F.gelu(wide(norm(x))))),
            rollout=2 * pairs * HEAD_DIM / _seconds(device, lambda: layer.left_multiply(even)),
        )


def _seconds(device: torch.device, work: Callable[[], object]) -> float:
    """The shortest of a few repetitions after a warm-up: other load on the machine can only make one longer."""
    taken = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return max(min(taken[1:]), 1e-9)
