"""Figures of patch features and of networks: what they say is what was computed, and their Python makes it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.analysis.features import FeatureMaps, feature_maps
from vitviz.analysis.localization import lost, mask_cut, token_cut
from vitviz.analysis.masks import pixel_mask, refine_labels, refine_mask
from vitviz.analysis.perturbation import model_input, perturbation_curve
from vitviz.analysis.receptive_field import mean_receptive_fields, receptive_fields
from vitviz.draw.objects import colour_of
from vitviz.figures.features import clusters_figure, components_figure, objects_figure, similarity_figure
from vitviz.figures.networks import (
    GalleryPhotographs,
    SharedRegion,
    distances_figure,
    fields_figure,
    perturbation_figure,
)
from vitviz.figures.traced_image import TracedImage, traced_image
from vitviz.samples import load_sample, samples


@pytest.fixture(scope="module")
def subject() -> TracedImage:
    model = vitviz.load_model("vit_tiny_patch16_224", weights="random:1", input_size=(64, 96))
    sample = samples()[0]
    image = load_sample(sample.id)
    return traced_image(vitviz.prepare(model, image), vitviz.image_hash(image), str(sample.path))


@pytest.fixture(scope="module")
def maps(subject: TracedImage) -> FeatureMaps:
    return feature_maps(subject.model, subject.trace.input)


def run(snippet: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(snippet, names)
    return names


def test_the_most_alike_patch_is_named(subject: TracedImage, maps: FeatureMaps):
    made = similarity_figure(subject, maps, (1, 2), "value", 3)
    unit = maps.facet("value", 3).values
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    row = unit @ unit[1 * 6 + 2]
    np.testing.assert_allclose(made.arrays["similarity"].ravel(), row, atol=1e-5)
    best = int(np.argsort(row)[-2])  # after itself
    assert f"row {best // 6}, column {best % 6}, at {row[best]:.2f}" in made.alt
    again = vitviz.similar_patches(run(made.snippet)["features"], (1, 2))
    np.testing.assert_allclose(again.values, made.arrays["similarity"], atol=1e-5)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("foreground", [False, True])
def test_components(subject: TracedImage, maps: FeatureMaps, foreground: bool, smooth: bool):
    made = components_figure(subject, maps, foreground=foreground, smooth=smooth, width=96)
    again = run(made.snippet)["found"]
    np.testing.assert_allclose(again.values[0], made.arrays["components"], atol=1e-4)
    assert made.image().size == (96, 64)
    assert f"{made.arrays['foreground'].sum()} of 24 patches" in made.alt
    assert len(made.image().getcolors(96 * 64)) > (24 if smooth else 1)


def test_clusters(subject: TracedImage, maps: FeatureMaps):
    made = clusters_figure(subject, maps, 3)
    assert set(np.unique(made.arrays["clusters"])) == {0, 1, 2} and made.alt.startswith("3 clusters")
    np.testing.assert_array_equal(run(made.snippet)["found"][0], made.arrays["clusters"])


def test_masks_and_clusters_along_edges_are_drawn_named_and_made_again(subject: TracedImage, maps: FeatureMaps):
    shown, sample = np.asarray(subject.prepared.shown), samples()[1]
    image = load_sample(sample.id)
    other = traced_image(vitviz.prepare(subject.model, image), vitviz.image_hash(image), str(sample.path))
    both = [(other, feature_maps(other.model, other.trace.input))]
    groups = vitviz.cluster_patches([maps.facet("key"), both[0][1].facet("key")], 3)
    pictures = [shown, np.asarray(other.prepared.shown)]
    edges = [refine_labels(*each) for each in zip(groups, pictures, strict=True)]
    made = clusters_figure(subject, maps, 3, others=both, along_edges=edges)
    grey = np.asarray(subject.prepared.shown.convert("L"), float)[..., None]
    colours = np.array([colour_of(label) for label in range(3)])[edges[0]]  # (height, width) -> (height, width, 3)
    drawn = np.asarray(made.image(), float)[: shown.shape[0], : shown.shape[1]]
    np.testing.assert_allclose(drawn, 0.4 * grey + 0.6 * colours, atol=0.51)
    for label, each in zip(run(made.snippet)["along_edges"], edges, strict=True):
        np.testing.assert_array_equal(label, each)
    assert made.provenance.parameters["refinement"] == "random walker" and "edges" in made.alt

    found = mask_cut(maps.facet("key"))
    masks = [refine_mask(one.mask, shown) for one in found]
    made = objects_figure(subject, found, "key", 11, width=96, along_edges=masks)
    np.testing.assert_array_equal(run(made.snippet)["masks"], made.arrays["masks_along_edges"])
    plain = objects_figure(subject, found, "key", 11, width=96)
    moved = np.any(masks, axis=0) ^ pixel_mask(np.any([one.mask for one in found], axis=0), shown.shape[:2])
    changed = (np.asarray(made.image()) != np.asarray(plain.image())).any(-1)
    assert moved.any() and not changed[~moved].any() and changed[moved].any()
    one = lost(maps.facet("key"))
    made = objects_figure(subject, [one], "key", 11, along_edges=[refine_mask(one.mask, shown)])
    np.testing.assert_array_equal(run(made.snippet)["masks"], made.arrays["masks_along_edges"])


def test_several_pictures_together(subject: TracedImage, maps: FeatureMaps):
    """One colour and one number mean the same in both; their Python makes both again."""
    sample = samples()[1]
    image = load_sample(sample.id)
    other = traced_image(vitviz.prepare(subject.model, image), vitviz.image_hash(image), str(sample.path))
    both = [(other, feature_maps(other.model, other.trace.input))]
    a, b = maps.facet("key", 5), both[0][1].facet("key", 5)
    alike = similarity_figure(subject, maps, (1, 2), "key", 5, width=96, others=both)
    np.testing.assert_allclose(alike.arrays["similarity_2"], vitviz.similar_patches(a, (1, 2), b).values, atol=1e-6)
    np.testing.assert_allclose(run(alike.snippet)["found"][1], alike.arrays["similarity_2"], atol=1e-5)
    joint = components_figure(subject, maps, "key", 5, width=96, others=both)
    expected = vitviz.principal_components([a, b])
    np.testing.assert_allclose(joint.arrays["components_2"], expected.values[1], atol=1e-5)
    assert "of 48 patches" in joint.alt and other.image_hash in str(joint.provenance)
    np.testing.assert_allclose(run(joint.snippet)["found"].values[1], expected.values[1], atol=1e-4)
    groups = clusters_figure(subject, maps, 3, "key", 5, others=both)
    for name, each in zip(("clusters", "clusters_2"), vitviz.cluster_patches([a, b], 3), strict=True):
        np.testing.assert_array_equal(groups.arrays[name], each)
    for made in (alike, joint, groups):
        assert made.image().width > 2 * 96  # beside each other


@pytest.mark.parametrize("method", [lost, token_cut, mask_cut])
def test_objects(subject: TracedImage, maps: FeatureMaps, method: Any):
    found = method(maps.facet("key"))
    found = found if isinstance(found, tuple) else (found,)
    made = objects_figure(subject, found, "key", 11, width=192)
    assert made.image().size == (192, 128)
    for box, one in zip(made.arrays["boxes"].tolist(), found, strict=True):
        assert box == [one.box.left, one.box.top, one.box.right, one.box.bottom]
        assert f"from {box[0]}, {box[1]} to {box[2]}, {box[3]} pixels, score {one.score:.2f}" in made.alt
    again = run(made.snippet)["found"]
    again = again if isinstance(again, tuple) else (again,)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)


def test_fields_and_perturbations_of_two_networks(subject: TracedImage):
    network = vitviz.load_cnn("resnet18", weights="random")
    pixels = subject.trace.input
    fields = {
        "ViT": receptive_fields(subject.model, pixels, ["patch_embed", "blocks.0"]),
        "CNN": receptive_fields(network, pixels, ["layer1", "layer2"]),
    }
    provenance = subject.provenance("effective receptive field")
    made = fields_figure(fields, provenance)
    assert made.arrays["sides_0"].tolist() == [field.side for field in fields["ViT"]]
    assert f"{fields['CNN'][0].side:.0f} pixels after layer1" in made.alt
    picture = np.asarray(subject.prepared.shown)
    curves = {
        name: perturbation_curve(each, picture, "centre", levels=(0, 0.5))
        for name, each in (("ViT", subject.model), ("CNN", network))
    }
    made = perturbation_figure(curves, {"ViT": "cat", "CNN": "dog"}, provenance)
    np.testing.assert_array_equal(made.arrays["values_1"], curves["CNN"].values)
    assert f"ViT, cat: {curves['ViT'].values[0]:.0%} of the whole picture" in made.alt
    assert made.image().size[0] > 300
    assert made.provenance.parameters["perturbation"] == "centre"
    assert made.provenance.parameters["classes"] == [
        f"ViT: cat ({curves['ViT'].target})",
        f"CNN: dog ({curves['CNN'].target})",
    ]
    labels = {"ViT": "cat", "CNN": "dog\nimport os"}
    snippet = perturbation_figure(curves, labels, provenance).snippet
    assert f"(vit, seen.shown, {curves['ViT'].target}), (cnn, cut, {curves['CNN'].target})" in snippet
    alone = perturbation_figure({"CNN": curves["CNN"]}, labels, provenance).snippet
    assert f"in ((cnn, cut, {curves['CNN'].target}),)" in alone
    assert "dog" in snippet and not any(line.strip() == "import os" for line in snippet.splitlines()), (
        "a label is no code"
    )
    curves["CNN"] = perturbation_curve(network, picture, "blur", levels=(0, 2))
    with pytest.raises(ValueError, match="different perturbations"):
        perturbation_figure(curves, {"ViT": "cat", "CNN": "dog"}, provenance)


@pytest.mark.parametrize("size", [(160, 160), (96, 160)])
def test_the_python_of_two_networks_makes_the_numbers_of_one_cut(monkeypatch, size: tuple[int, int]):
    """The second network gets what the first one's preparation cuts out, at its own size; and random orders are as many."""
    vit = vitviz.load_model("test_vit", weights="random:1", input_size=size)
    cnn = vitviz.load_cnn("test_efficientnet", weights="random:2")
    photographs = samples()[:2]

    def given(image: Image.Image) -> tuple[Image.Image, Image.Image]:
        seen = vitviz.prepare(vit, image)
        other = image.resize((160, 160), Image.Resampling.BICUBIC, box=seen.box)
        return seen.shown, seen.shown if size == (160, 160) else other

    def fields(image: Image.Image) -> list[Any]:
        both = zip((vit, cnn), given(image), strict=True)
        return [receptive_fields(model, model_input(model, np.asarray(pixels))) for model, pixels in both]

    image = load_sample(photographs[0].id)
    subject = traced_image(vitviz.prepare(vit, image), vitviz.image_hash(image), str(photographs[0].path))
    loads = (subject.loading, 'vitviz.load_cnn("test_efficientnet", weights="random:2")')
    cut = SharedRegion(loads, subject.image_name, scaled=size != cnn.input_size)
    provenance = subject.provenance("effective receptive field")
    made = fields_figure(dict(zip(("ViT", "CNN"), fields(image), strict=True)), provenance, cut=cut)
    same_sides(made.arrays, run(made.snippet)["fields"])

    pairs = zip((vit, cnn), given(image), (3, 5), strict=True)
    curves = [
        perturbation_curve(model, np.asarray(pixels), "hide", output, orders=2) for model, pixels, output in pairs
    ]
    named = dict(zip(("ViT", "CNN"), curves, strict=True))
    made = perturbation_figure(named, {"ViT": "3", "CNN": "5"}, provenance, cut=cut, orders=2)
    for index, again in enumerate(run(made.snippet)["curves"]):
        np.testing.assert_allclose(again.values, made.arrays[f"values_{index}"], rtol=1e-5)

    monkeypatch.setattr("vitviz.samples.samples", lambda: photographs)
    gallery = GalleryPhotographs(tuple(each.id for each in photographs))
    every = zip(*(fields(load_sample(each.id)) for each in photographs), strict=True)
    means = dict(zip(("ViT", "CNN"), map(mean_receptive_fields, every), strict=True))
    made = fields_figure(means, provenance, cut=cut, gallery=gallery)
    same_sides(made.arrays, run(made.snippet)["fields"])
    assert made.provenance.image_hash == "" and made.provenance.parameters["mean over photographs"] == [*gallery.names]


def same_sides(arrays: Any, again: list[Any]) -> None:
    """Sides are whole steps of pixels, which the last digit of a gradient may move by one."""
    for index, fields in enumerate(again):
        np.testing.assert_allclose([field.side for field in fields], arrays[f"sides_{index}"], atol=2)


def test_every_head_is_a_dot_and_the_gallery_is_said(monkeypatch, subject: TracedImage):
    own = np.stack([vitviz.attention_distance(layer).numpy() for layer in subject.trace.layers])
    own[0, 1] = np.nan  # no such head
    made = distances_figure(subject, own)
    layers = np.repeat(np.arange(len(own)), 3)
    expected = [(layer, value) for layer, value in zip(layers, own.ravel(), strict=True) if np.isfinite(value)]
    np.testing.assert_allclose(made.drawing.axes[0].collections[0].get_offsets(), expected)
    again = np.stack([each.numpy() for each in run(made.snippet)["distances"]])
    np.testing.assert_allclose(again[1:], own[1:], rtol=1e-4)

    photographs = samples()[1:3]
    monkeypatch.setattr("vitviz.samples.samples", lambda: photographs)
    gallery = GalleryPhotographs(tuple(each.id for each in photographs), "squash")
    traces = [vitviz.trace(subject.model, load_sample(each.id), framing="squash") for each in photographs]
    mean = np.mean([[vitviz.attention_distance(layer).numpy() for layer in trace.layers] for trace in traces], axis=0)
    made = distances_figure(subject, mean, gallery=gallery)
    np.testing.assert_allclose(np.stack([each.numpy() for each in run(made.snippet)["distances"]]), mean, rtol=1e-4)
    assert made.alt.endswith("Mean over 2 photographs of the gallery.")
    assert made.provenance.image_hash == "" and made.provenance.framing == "squashed to fit"
