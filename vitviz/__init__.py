"""vitviz: a microscope for Vision Transformers.

Public names are imported lazily: `import vitviz` loads neither torch nor streamlit.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name -> the module that defines it
_PUBLIC: dict[str, str] = {
    "load_image": "vitviz.images",
    "image_hash": "vitviz.images",
    "load_sample": "vitviz.samples",
    "load_model": "vitviz.models",
    "load_cnn": "vitviz.models",
    "prepare": "vitviz.models",
    "resized": "vitviz.models",
    "trace": "vitviz.tracing",
    "Query": "vitviz.tokens",
    "default_query": "vitviz.analysis.queries",
    "head_maps": "vitviz.analysis.attention",
    "attention_map": "vitviz.analysis.attention",
    "layer_maps": "vitviz.analysis.layers",
    "head_statistics": "vitviz.analysis.attention",
    "entropy": "vitviz.analysis.attention",
    "attention_distance": "vitviz.analysis.attention",
    "prefix_mass": "vitviz.analysis.attention",
    "sink_tokens": "vitviz.analysis.attention",
    "RolloutOptions": "vitviz.analysis.rollout",
    "rollout": "vitviz.analysis.rollout",
    "rollout_row": "vitviz.analysis.rollout",
    "rollout_matrix": "vitviz.analysis.rollout",
    "head_rollout": "vitviz.analysis.head_rollout",
    "head_rollouts": "vitviz.analysis.head_rollout",
    "position_embedding": "vitviz.analysis.positions",
    "position_similarity": "vitviz.analysis.positions",
    "similarity_by_distance": "vitviz.analysis.positions",
    "embedding_sum": "vitviz.analysis.positions",
    "position_kinds": "vitviz.analysis.positions",
    "rotary_table": "vitviz.analysis.relative",
    "relative_biases": "vitviz.analysis.relative",
    "offset_biases": "vitviz.analysis.relative",
    "patch_pixels": "vitviz.analysis.patches",
    "filter_components": "vitviz.analysis.patches",
    "Paste": "vitviz.analysis.patches",
    "two_scenes": "vitviz.analysis.patches",
    "open_layer": "vitviz.analysis.by_hand",
    "head_by_hand": "vitviz.analysis.by_hand",
    "top_predictions": "vitviz.analysis.prediction",
    "OutputKind": "vitviz.outputs",
    "Question": "vitviz.analysis.question",
    "ClassLogit": "vitviz.analysis.targets",
    "LogitDifference": "vitviz.analysis.targets",
    "SelfDot": "vitviz.analysis.targets",
    "methods": "vitviz.explaining",
    "explain": "vitviz.explaining",
    "explain_all": "vitviz.explaining",
    "faithfulness": "vitviz.analysis.faithfulness",
    "logit_lens": "vitviz.analysis.prediction",
    "patch_lens": "vitviz.analysis.prediction",
    "head_importance": "vitviz.analysis.head_importance",
    "rollout_sinks": "vitviz.analysis.sinks",
    "token_outliers": "vitviz.analysis.sinks",
    "feature_maps": "vitviz.analysis.features",
    "patch_similarity": "vitviz.analysis.features",
    "similar_patches": "vitviz.analysis.features",
    "correspondences": "vitviz.analysis.features",
    "principal_components": "vitviz.analysis.features",
    "cluster_patches": "vitviz.analysis.features",
    "lost": "vitviz.analysis.localization",
    "token_cut": "vitviz.analysis.localization",
    "mask_cut": "vitviz.analysis.localization",
    "refine_labels": "vitviz.analysis.masks",
    "refine_mask": "vitviz.analysis.masks",
    "receptive_fields": "vitviz.analysis.receptive_field",
    "perturbation_curve": "vitviz.analysis.perturbation",
    "load_detector": "vitviz.models.hugging_face.detectors",
    "detect": "vitviz.models.hugging_face.detectors",
    "coco": "vitviz.analysis.masks",
    "intervene": "vitviz.analysis.interventions",
    "Interventions": "vitviz.analysis.interventions",
    "HidePatches": "vitviz.analysis.interventions",
    "ShufflePatches": "vitviz.analysis.interventions",
    "ChangePositions": "vitviz.analysis.interventions",
    "SwitchOffHeads": "vitviz.analysis.interventions",
    "SwitchOffLayers": "vitviz.analysis.interventions",
    "CutTokens": "vitviz.analysis.interventions",
    "head_means": "vitviz.analysis.interventions",
}

# Modules that are public as a whole: vitviz.plot.heads(trace).
_MODULES = ("plot",)

__all__ = ["__version__", *_MODULES, *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return import_module(f"vitviz.{name}")
    raise AttributeError(f"module 'vitviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_PUBLIC})
