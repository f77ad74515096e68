"""What a model's outputs are, found from its module, its configuration or the registry, and how numbers are read."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg, split_model_name_tag

from vitviz.outputs import OutputKind, has_classifier, output_kind, output_name


def test_values_by_hand():
    logits = torch.tensor([2.0, 0.5, -4.54])
    whole = math.exp(2.0) + math.exp(0.5) + math.exp(-4.54)
    assert OutputKind.CLASSES.read(logits).tolist() == pytest.approx([math.exp(v) / whole for v in (2.0, 0.5, -4.54)])
    assert OutputKind.LABELS.read(logits).tolist() == pytest.approx([1 / (1 + math.exp(-v)) for v in (2.0, 0.5, -4.54)])
    assert OutputKind.LABELS.read(logits)[2] == pytest.approx(0.011, abs=5e-4)
    assert OutputKind.NUMBERS.read(logits).tolist() == pytest.approx([2.0, 0.5, -4.54])
    assert (OutputKind.LABELS.text(0.9234), OutputKind.NUMBERS.text(3.25)) == ("92.3%", "3.25")


def test_every_tower_of_images_and_texts_in_the_registry_has_no_classifier():
    """Told by the rule from the number of outputs alone, compared with what the names say that the weights are."""
    embeds, classifies = set(), set()
    for name in timm.list_models(pretrained=True):
        cfg = get_pretrained_cfg(name)
        module = SimpleNamespace(num_classes=cfg.num_classes, pretrained_cfg=cfg)
        (classifies if has_classifier(module) else embeds).add(name)

    def is_tower(name: str) -> bool:
        architecture, tag = split_model_name_tag(name)
        tower = any(word in architecture for word in ("clip", "_mci", "pe_core")) or "clip" in tag
        tuned = "ft_in1k" in tag or "in12k" in tag  # trained on as a classifier of ImageNet
        return tower and not tuned

    no_head = {name for name in embeds | classifies if get_pretrained_cfg(name).num_classes == 0}
    assert no_head <= embeds
    assert {name for name in embeds - no_head if not is_tower(name)} == set()
    assert {name for name in classifies if is_tower(name)} == set()
    assert len(embeds - no_head) > 100


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("vit_base_patch32_clip_224", {}, OutputKind.CLASSES),  # timm's own default is fine-tuned on ImageNet
        ("vit_base_patch32_clip_224.openai", {}, OutputKind.FEATURES),
        ("vit_pe_core_tiny_patch16_384", {}, OutputKind.FEATURES),
        ("vit_pe_core_tiny_patch16_384", {"num_classes": 10}, OutputKind.CLASSES),
        ("vit_base_patch16_siglip_224", {}, OutputKind.FEATURES),
        ("test_vit", {}, OutputKind.CLASSES),
        ("test_vit", {"num_classes": 512}, OutputKind.CLASSES),  # as many as CLIP has, and a classifier all the same
        ("test_vit", {"num_classes": 1}, OutputKind.LABELS),
        ("test_vit", {"num_classes": 0}, OutputKind.FEATURES),
    ],
)
def test_a_module_of_timm_tells_what_its_outputs_are(name, arguments, kind):
    with torch.device("meta"):
        module = timm.create_model(name, **arguments)
    assert output_kind(module) is kind


def test_what_is_stated_comes_first():
    assert output_kind(SimpleNamespace(output_kind="regression", num_classes=3)) is OutputKind.NUMBERS
    model = SimpleNamespace(output_kind=None, module=SimpleNamespace(output_kind=OutputKind.LABELS, num_classes=3))
    assert output_kind(model) is OutputKind.LABELS
    assert output_kind(torch.nn.Linear(2, 2)) is OutputKind.FEATURES


def test_an_output_without_a_name_has_its_number():
    assert output_name(("cat", ""), 0) == "cat"
    assert output_name(("cat", ""), 1, OutputKind.LABELS) == "label 1"
    assert output_name(None, 7, OutputKind.NUMBERS) == "output 7"


def test_a_label_that_several_outputs_have_is_told_apart_by_its_number():
    labels = ("crane", "maillot", "crane", "")
    assert [output_name(labels, index) for index in range(4)] == [
        "crane (class 0)",
        "maillot",
        "crane (class 2)",
        "class 3",
    ]
