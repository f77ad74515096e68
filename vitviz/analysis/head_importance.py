"""The importance of each head for one image by ablation, compared with the concentration of its attention.

Attention weights need not agree with importance (Jain and Wallace 2019, arXiv 1902.10186): here both are measured on the same
image and correlated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vitviz.analysis.faithfulness import rank_correlation
from vitviz.analysis.question import Question
from vitviz.capture.ablation import Ablation, HeadSwitch, ablated
from vitviz.capture.modules import heads_to_switch
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.progress import Progress, part_of

# Copies of the sequence in one batch: all heads of a small model's layer; cancelling waits for the end of a batch.
BATCH = 8


@dataclass(frozen=True, eq=False)
class HeadImportance:
    """The effect of switching off each head.

    Attributes:
        score_drop: (layers, heads) float32, decrease of the target's score when the head's output is zero; negative for
            an increase.
        likelihood_drop: (layers, heads) float32, the same for the target's likelihood (of a class, its probability).
    """

    score_drop: np.ndarray
    likelihood_drop: np.ndarray


def head_importance(question: Question, batch: int = BATCH, progress: Progress | None = None) -> HeadImportance:
    """Switches off one head after the other.

    Each layer restarts from its cached input with its heads as one batch. The time is that of heads * (layers + 1)
    / 2 forward passes.

    Args:
        question: The model, image and target.
        batch: Heads that are switched off in one batch, each in its own copy of the sequence.
        progress: Called with (block passes done, block passes in all); an exception that it raises stops the work.

    Returns:
        Decreases (layers, heads) of the target's score and of its likelihood.

    Raises:
        UnsupportedError: For a model that cannot be restarted between layers.

    Source: Michel, Levy and Neubig 2019, "Are sixteen heads really better than one?" (arXiv 1905.10650), section 3.
    """
    blocks, hidden_states = question.blocks, question.hidden_states
    counts = [heads_to_switch(block, layer, question.model.name) for layer, block in enumerate(blocks.blocks)]
    score = np.zeros((blocks.num_layers, max(counts)), np.float32)
    likelihood = np.zeros_like(score)
    whole = sum(count * (blocks.num_layers - layer) for layer, count in enumerate(counts))
    done = 0
    for layer, count in enumerate(counts):
        for start in range(0, count, batch):
            heads = range(start, min(start + batch, count))
            keep = torch.ones(len(heads), count)
            keep[torch.arange(len(heads)), list(heads)] = 0
            state = hidden_states.states[layer].expand(len(heads), -1, -1)
            report = part_of(progress, done, whole, len(heads))
            done += len(heads) * (blocks.num_layers - layer)
            only = {layer: blocks.blocks[layer]}
            with question.eval_mode(), ablated(only, Ablation(heads={layer: HeadSwitch(keep)})):
                output = blocks.read(blocks.resume(hidden_states, layer, state, report))
            target, reference = question.target, question.reference
            score[layer, start : heads.stop] = question.score() - target.score(output, reference).float().cpu().numpy()
            likelihood[layer, start : heads.stop] = (
                question.likelihood() - target.likelihood(output, reference).float().cpu().numpy()
            )
    return HeadImportance(score, likelihood)


def head_confidence(trace: Trace) -> np.ndarray:
    """(layers, heads) float32: the confidence of a head, the mean over queries of its largest weight.

    Source: Voita et al. 2019 (arXiv 1905.09418).
    """
    layers = []
    for layer in trace.sequence("Confidence"):
        largest = torch.cat([layer.rows(chunk).amax(-1) for chunk in layer.query_chunks()], 1)  # (heads, queries)
        layers.append(largest.mean(1))
    if len({row.shape for row in layers}) > 1:
        raise UnsupportedError(f"The layers of {trace.model_name} differ in heads; look at one layer at a time.")
    return torch.stack(layers).float().cpu().numpy()


def correlation_with_confidence(importance: np.ndarray, confidence: np.ndarray) -> float:
    """Spearman correlation of |importance| with confidence over all heads, in [-1, 1]; NaN if one is constant."""
    return rank_correlation(np.abs(importance), confidence)
