"""Grad-CAM on tokens, by captum.

Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2: the weight of a channel is the gradient averaged over
positions; the map is the positive part of the weighted sum of channels. In a Vision Transformer the map is taken after the
first norm of the last block, where its attention reads it: after the block, the patches of a model that reads its class
token have gradient zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import NetworkLike, Question
from vitviz.capture.modules import attention_module, eval_mode
from vitviz.errors import UnsupportedError, checked_index, need_package
from vitviz.heatmap import Heatmap
from vitviz.references import publication


class _FromLastNorm(nn.Module):
    """The model from the last attention's input on: a map (batch, width, rows, cols) -> the target's score (batch,)."""

    def __init__(self, question: Question, prefix: Tensor) -> None:
        super().__init__()
        self.seen = nn.Identity()  # the layer for captum, which expects positions as last axes
        self._question = question
        self._prefix = prefix  # (1, prefix tokens, width)

    def forward(self, grid: Tensor) -> Tensor:
        question, blocks = self._question, self._question.blocks
        patches = self.seen(grid).flatten(2).transpose(1, 2)  # (batch, width, rows, cols) -> (batch, patches, width)
        tokens = torch.cat([self._prefix.expand(patches.shape[0], -1, -1), patches], 1)

        def put_in(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return ((tokens, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": tokens})

        last = blocks.num_layers - 1
        handle = _last_attention(question).register_forward_pre_hook(put_in, with_kwargs=True)
        try:
            state = blocks.step(question.hidden_states, last, question.hidden_states.states[last])
        finally:
            handle.remove()
        return question.target.score(blocks.read(state), question.reference)


def gradcam(question: Question) -> Heatmap:
    """Heatmap (rows, cols), not negative: one forward pass, then a forward and a backward pass of the last block.

    Raises:
        UnsupportedError: For a model without a last block of the usual form, or whose last attention does not read its patches.
        MissingPackageError: Without captum.
    """
    need_package("captum", "captum", "Grad-CAM")
    hidden_states, layout = question.hidden_states, question.layout
    read: list[Tensor] = []
    last = question.blocks.num_layers - 1
    with question.model.lock, eval_mode(question.module), torch.inference_mode(False), torch.enable_grad():

        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            read.append(args[0] if args else kwargs["hidden_states"])

        handle = _last_attention(question).register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with torch.no_grad():
                question.blocks.step(hidden_states, last, hidden_states.states[last])
        finally:
            handle.remove()
        tokens = read[0].detach()  # (1, tokens, width)
        if tokens.ndim != 3 or tokens.shape[1] != layout.num_tokens:
            raise UnsupportedError(f"The last attention of {question.model.name} does not read one token a patch.")
        prefix, patches = tokens[:, : layout.num_prefix], tokens[:, layout.num_prefix :]
        grid = patches.transpose(1, 2).reshape(1, -1, *layout.grid)  # (1, patches, width) -> (1, width, rows, cols)
        model = _FromLastNorm(question, prefix)
        from captum.attr import LayerGradCam  # imported here because the import takes long

        cam = LayerGradCam(model, model.seen).attribute(grid.clone().requires_grad_(), relu_attributions=True)
    return Heatmap(cam[0, 0].detach().float().cpu().numpy(), "Grad-CAM")


class _FromLastMap(nn.Module):
    """A convolutional network from its last map (batch, channels, rows, cols) -> outputs (batch, outputs)."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.seen = nn.Identity()  # the layer for captum
        self._head = module.forward_head

    def forward(self, grid: Tensor) -> Tensor:
        return self._head(self.seen(grid))


def cnn_gradcam(model: NetworkLike, pixels: Tensor, output: int) -> Heatmap:
    """Grad-CAM of a convolutional network on its last map: (rows, cols), not negative.

    Args:
        model: A convolutional network of timm, or the embedded one.
        pixels: (3, height, width), normalised.
        output: Number of the output to explain.

    Raises:
        UnsupportedError: For a network whose last features are not a feature map.
        IndexError: For an output that does not exist.
        MissingPackageError: Without captum.
    """
    need_package("captum", "captum", "Grad-CAM")
    module: Any = model.module
    if not hasattr(module, "forward_features") or not hasattr(module, "forward_head"):
        raise UnsupportedError(f"{model.name} does not say where its last map ends and its head begins.")
    with model.lock, eval_mode(model.module), torch.inference_mode(False), torch.enable_grad():
        x = pixels.detach().to(next(model.module.parameters())).clone()[None]
        with torch.no_grad():
            grid = module.forward_features(x)
            outputs = module.forward_head(grid).shape[-1]
        if grid.ndim != 4 or getattr(module, "output_fmt", "NCHW") != "NCHW":
            raise UnsupportedError(f"The last features of {model.name} are not a map (channels, rows, cols).")
        checked_index(output, outputs, "output")
        whole = _FromLastMap(module)
        from captum.attr import LayerGradCam  # imported here because the import takes long

        cam = LayerGradCam(whole, whole.seen).attribute(grid.clone().requires_grad_(), output, relu_attributions=True)
    return Heatmap(cam[0, 0].detach().float().cpu().numpy(), "Grad-CAM")


def _last_attention(question: Question) -> nn.Module:
    attention = attention_module(question.blocks.blocks[-1])
    if attention is None:
        raise UnsupportedError(f"The last block of {question.model.name} has no attention that Grad-CAM could use.")
    return attention


METHOD = Method(
    "gradcam",
    "Grad-CAM",
    gradcam,
    per_class=True,
    signed=False,
    formula="ReLU(sum_c mean_p(d target / d Z[p, c]) Z[:, c]), Z the tokens that the last block's attention reads",
    reference=publication("grad-cam").short,
    cost="about 1.2",
    limitations="It uses only the last block, where a token also holds information from other places.",
    order=60,
)
