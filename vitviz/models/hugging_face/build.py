"""Builds modules of transformers from their configuration, with or without weights. The only file that imports transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.errors import ModelError, UnsupportedError
from vitviz.models.hugging_face.module import MODEL_TYPES, HuggingFaceModule, ModelType
from vitviz.models.registry import BUILDING, SkipInitialisation, first_line

_CHOOSE_CODE = {"auto_map", "attn_implementation", "experts_implementation", "use_kernels", "custom_pipelines"}
# Above the values of every existing model; larger values in a configuration would exhaust memory.
_LARGEST = {
    "num_hidden_layers": 512,
    "num_attention_heads": 1 << 10,
    "hidden_size": 1 << 16,
    "intermediate_size": 1 << 19,
    "num_labels": 1 << 20,
    "num_register_tokens": 1 << 12,
    "num_channels": 1 << 10,
    "image_size": 1 << 13,
    "patch_size": 1 << 12,
    "projection_dim": 1 << 16,
    "mlp_ratio": 1 << 6,
    "pooler_output_size": 1 << 16,
    "d_model": 1 << 14,
    "encoder_layers": 128,
    "decoder_layers": 128,
    "encoder_attention_heads": 1 << 10,
    "decoder_attention_heads": 1 << 10,
    "encoder_ffn_dim": 1 << 17,
    "decoder_ffn_dim": 1 << 17,
    "num_queries": 1 << 14,
    "num_detection_tokens": 1 << 14,
}
_MAY_BE_NONE = ("num_register_tokens", "num_labels")
_LARGEST_NUMBER = 1e12


@dataclass(frozen=True)
class Plan:
    """What to build for a configuration.

    Attributes:
        kind: Its entry of MODEL_TYPES.
        made: The class to build, a name in HEADS.
        config: That class's configuration, of transformers' own type.
    """

    kind: ModelType
    made: str
    config: Any


def library() -> Any:
    """The package transformers.

    Raises:
        ModelError: If it is not installed; the message says how to install it.
    """
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            'Names that begin with "hf:" need Hugging Face\'s transformers, which is not installed here; '
            'pip install "vitviz[transformers]" brings it. Names of timm\'s registry need nothing more.'
        ) from error
    return transformers


def planned(name: str, given: Mapping[str, Any]) -> Plan:
    """The plan for the content of a config.json.

    Raises:
        UnsupportedError: For a model that is not in MODEL_TYPES.
    """
    transformers = library()
    model_type = given.get("model_type")
    kind = MODEL_TYPES.get(model_type) if isinstance(model_type, str) else None
    if kind is None and model_type is None and isinstance(given.get("architecture"), str):
        where = name.removeprefix("hf:")
        raise UnsupportedError(
            f"{name} was written by timm and not by transformers; ask for it as hf-hub:{where}, or local-dir: and the path of "
            "a folder."
        )
    if kind is None:
        raise UnsupportedError(
            f"{name} is of the type {str(model_type)[:60]!r}. Of the models in transformers, ViT, DINOv2 with and without "
            "registers, DINOv3 ViT and the vision towers of CLIP and SigLIP are taken; many others have a name in timm."
        )
    if any(part.get("quantization_config") for part in (given, _tower(given))):
        raise UnsupportedError(f"{name} is quantised, so its layers are not plain linear ones; choose other weights.")
    asked = given.get("architectures")
    first = asked[0] if isinstance(asked, list) and asked else None
    made = first if first in kind.classes else kind.otherwise
    refuse_outsized(name, given)
    try:
        with quiet():
            config = getattr(transformers, kind.config).from_dict(plain(given))
            if not isinstance(config, getattr(transformers, made).config_class):
                width = config.projection_dim if kind.config == "CLIPConfig" else None
                config = config.vision_config
                config.projection_dim = width
    except Exception as error:  # transformers' checks raise errors of many types
        raise ModelError(f"transformers cannot read the configuration of {name}: {first_line(error)}") from error
    config.output_attentions = config.output_hidden_states = False  # the fused call does not return them
    if made == "SiglipForImageClassification":
        config.vision_config.vision_use_head = False  # unused: the classifier averages patches
    return Plan(kind, made, config)


def plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without fields that select code: the model's own, or kernels that transformers would download."""
    kept = {key: value for key, value in given.items() if not key.startswith("_") and key not in _CHOOSE_CODE}
    return {key: plain(value) if isinstance(value, dict) else value for key, value in kept.items()}


def refuse_outsized(name: str, given: Mapping[str, Any]) -> None:
    for part in (given, _tower(given)):
        for field, value in part.items():
            if isinstance(value, float) and not abs(value) < _LARGEST_NUMBER:  # also true for NaN
                raise _cannot_be(name, field, value)
        for field, largest in _LARGEST.items():
            value = part.get(field)
            sides = value if isinstance(value, list) else [] if value is None else [value]
            least = 0 if field in _MAY_BE_NONE else 1
            if isinstance(value, list) and len(value) != 2:
                raise _cannot_be(name, field, value)
            for side in sides:
                whole = isinstance(side, int) or (field == "mlp_ratio" and isinstance(side, float))
                if not whole or isinstance(side, bool) or not least <= side <= largest:
                    raise _cannot_be(name, field, value)


def _cannot_be(name: str, field: str, value: Any) -> ModelError:
    return ModelError(f"The configuration of {name} says that {field[:40]} is {str(value)[:40]}, which cannot be.")


def _tower(given: Mapping[str, Any]) -> Mapping[str, Any]:
    found = given.get("vision_config")
    return found if isinstance(found, dict) else {}


def without_numbers(plan: Plan) -> HuggingFaceModule:
    """The module on the meta device: with shapes and without weights."""
    with BUILDING, torch.device("meta"), SkipInitialisation():
        return _wrapped(_made(plan))


def with_random_weights(plan: Plan, seed: int) -> HuggingFaceModule:
    """The module with random weights, initialised by transformers and reproducible by the seed."""
    with BUILDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _wrapped(_made(plan))


def with_weights(plan: Plan, state: dict[str, Tensor], what: str) -> HuggingFaceModule:
    """The module with the tensors `state`, whose names may be those of any version that transformers can translate.

    transformers is given the tensors and opens no file. Tensors that the vision model does not have (a text tower, a mask
    token) are ignored.

    Raises:
        ModelError: For tensors that are missing or of another shape.
    """
    vision = {name: tensor for name, tensor in state.items() if not name.startswith("text_")}
    more = {}
    if plan.made == "ViTModel":  # many checkpoints have no pooling layer
        more["add_pooling_layer"] = any(name.split(".")[0] == "pooler" or ".pooler." in name for name in vision)
    with BUILDING, torch.random.fork_rng(devices=[]), quiet():
        try:
            model, found = _class(plan).from_pretrained(
                None,
                config=plan.config,
                state_dict=vision,
                attn_implementation="sdpa",
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **more,
            )
        except Exception as error:  # its loaders raise errors of many types
            raise ModelError(f"{what} do not fit {plan.made}: {first_line(error)}") from error
    wrong = sorted(found["missing_keys"]) or sorted(str(key) for key in found["mismatched_keys"])
    if wrong:
        raise ModelError(
            f"{what} do not fit {plan.made}: {len(wrong)} are missing or of another shape, such as {wrong[0]}."
        )
    return _wrapped(model)


def image_processor(plan: Plan, settings: Mapping[str, Any]) -> Any:
    """transformers' image processor for its configuration.

    Raises:
        ModelError: For an invalid configuration.
    """
    names = {kind.processor for kind in MODEL_TYPES.values()}
    asked = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    asked = asked.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
    try:
        return getattr(library(), asked if asked in names else plan.kind.processor).from_dict(dict(settings))
    except Exception as error:
        raise ModelError(f"transformers cannot read the image processor's description: {first_line(error)}") from error


def _class(plan: Plan) -> Any:
    return getattr(library(), plan.made)


def _made(plan: Plan) -> nn.Module:
    try:
        return _class(plan)._from_config(plan.config, attn_implementation="sdpa", dtype=torch.float32)
    except Exception as error:
        raise ModelError(
            f"transformers cannot build {plan.made} as its configuration says: {first_line(error)}"
        ) from error


def _wrapped(model: nn.Module) -> HuggingFaceModule:
    module = HuggingFaceModule(model)
    module.eval().requires_grad_(False)
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """Disables transformers' progress bars and warnings about ignored tensors inside the `with` block."""
    logging = library().utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
