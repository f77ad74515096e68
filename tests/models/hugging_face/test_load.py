"""From a name to a model: folders, a hub on loopback, labels, refusals; and nothing pickled is ever opened."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

import vitviz
from tests.models.hub_server import Hub, serving
from tests.models.hugging_face.tiny import CASES, NAMES, TINIES, picture, transformers, write
from vitviz.__main__ import main
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.errors import HubError, ModelError, UnsupportedError
from vitviz.models import load_model, prepare, resized
from vitviz.models.hub import fetch
from vitviz.models.names import ModelLocation, Source, transformers_location
from vitviz.models.weights import sha256_of
from vitviz.support import support_of
from vitviz.tracing import trace_input

VIT = TINIES[0]
REPOSITORY = "somebody/tiny-vit"


@pytest.fixture
def folder(written, tmp_path):
    """A copy of the classifier's folder, to do something to."""
    return Path(shutil.copytree(written(VIT).folder, tmp_path / "tiny-vit"))


def change(file: Path, **fields: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.fixture(params=CASES)
def case(request, written):
    return written(request.param)


def test_a_folder_is_loaded_as_the_class_it_asks_for(case):
    model = case.model
    assert (model.name, model.architecture) == (f"hf:{case.folder}", case.tiny.loaded or case.tiny.made)
    assert (model.weights, model.weights_hash) == ("pretrained", sha256_of(case.folder / "model.safetensors"))
    assert model.labels == (tuple(NAMES.values()) if "id2label" in case.tiny.arguments else None)
    assert not model.module.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in model.module.parameters())


def test_what_can_be_shown_is_known_without_weights(case, tmp_path, capsys):
    bare = Path(shutil.copytree(case.folder, tmp_path / "described"))
    for weights in bare.glob("*.safetensors"):
        weights.unlink()
    support = support_of(f"hf:{bare}")
    calls = placements_of(case.model.module, case.model.input_size)
    assert (support.verdict, support.rollout) == ("global", True)
    assert sum(layer.count for layer in support.layers) == len(calls)
    assert main(["support", f"hf:{bare}"]) == 0
    assert f"hf:{bare}: global." in capsys.readouterr().out


def test_what_cannot_be_shown_is_refused_and_what_is_not_there_is_missing(folder, tmp_path):
    change(folder / "config.json", model_type="bert")
    assert support_of(f"hf:{folder}").verdict == "refused"
    with pytest.raises(ModelError):
        support_of(f"hf:{tmp_path / 'nowhere'}")


def test_every_weight_arrives(case):
    """Name by name against the model that was saved, buffers that are not in the file included."""
    own = dict(case.eager.named_parameters()) | dict(case.eager.named_buffers())
    loaded = dict(case.model.module.model.named_parameters()) | dict(case.model.module.model.named_buffers())
    if case.tiny.loaded == "SiglipVisionModel":  # the tower of two is the whole here
        loaded = {f"vision_model.{name}": tensor for name, tensor in loaded.items()}
    assert loaded
    for name, tensor in loaded.items():
        assert torch.equal(tensor, own[name]), name


def test_names_of_other_versions_are_translated(written, folder):
    """Most weights on the hub were written when the layers were called otherwise than they are in the module now."""
    now = written(VIT).eager.state_dict()
    then = load_file(folder / "model.safetensors")
    assert "vit.encoder.layer.0.attention.attention.query.weight" in then
    assert "vit.layers.0.attention.q_proj.weight" in now
    save_file(now, folder / "model.safetensors")
    for name, parameter in load_model(f"hf:{folder}").module.model.named_parameters():
        assert torch.equal(parameter, now[name]), name


def test_a_trunk_saved_without_its_pooling_layer(tmp_path):
    from tests.models.hugging_face.tiny import transformers

    bare = transformers.ViTModel(TINIES[1].model().config, add_pooling_layer=False)
    bare.save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}")
    trace = vitviz.trace(model, vitviz.load_sample("cat"))
    assert model.module.model.pooler is None
    assert trace.logits.shape == (48,)


def test_a_classifier_without_names_has_none(folder):
    change(folder / "config.json", id2label={str(i): f"LABEL_{i}" for i in range(4)})
    assert load_model(f"hf:{folder}").labels is None


def test_predictions_have_the_configurations_names(written):
    trace = vitviz.trace(written(VIT).model, vitviz.load_sample("cat"))
    best = vitviz.top_predictions(trace.logits, written(VIT).model.labels)
    assert {guess.label for guess in best} == set(NAMES.values())


def test_random_weights_follow_their_seed(folder):
    first, again, other = (load_model(f"hf:{folder}", weights=w) for w in ("random:3", "random:3", "random"))
    weight = [m.module.model.classifier.weight for m in (first, again, other)]
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[2])
    assert (first.labels, first.trained, first.weights_hash) == (None, False, "random:3")


def test_sizes_that_are_no_whole_number_of_patches(written):
    model = written(VIT).model
    assert model.input_size == (32, 32)
    with pytest.raises(UnsupportedError, match="multiples of 8"):
        resized(model, (36, 32))


def test_a_processor_that_leaves_part_of_a_patch_over(folder):
    """As that of SigLIP's patch14-384: the model would drop the last pixels, and here they are not made."""
    change(folder / "preprocessor_config.json", size={"height": 45, "width": 45})
    assert load_model(f"hf:{folder}").input_size == (40, 40)


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "tf_model.h5"])
def test_a_folder_with_pickled_weights_only_is_refused_and_they_stay_closed(folder, file, monkeypatch):
    class Trap:
        def __reduce__(self):
            return (open, (str(folder / "sprung"), "w"))

    (folder / "model.safetensors").unlink()
    (folder / file).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match=r"has no model.safetensors.*may run code"):
        load_model(f"hf:{folder}")
    assert not (folder / "sprung").exists()


def test_a_pickle_under_the_name_of_safetensors_is_refused(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(f"hf:{folder}")


def test_code_beside_a_model_is_never_run(folder):
    """A configuration that points to code of its own: a known kind is built from transformers, another is refused."""
    (folder / "modeling_mine.py").write_text("raise SystemExit('run')")
    (folder / "configuration_mine.py").write_text("raise SystemExit('run')")
    points = {"AutoConfig": "configuration_mine.Mine", "AutoModel": "modeling_mine.Mine"}
    change(folder / "config.json", auto_map=points)
    assert load_model(f"hf:{folder}").architecture == "ViTForImageClassification"
    change(folder / "config.json", model_type="mine")
    with pytest.raises(UnsupportedError, match="'mine'"):
        load_model(f"hf:{folder}")


def test_a_description_cannot_choose_how_attention_is_computed(written, tmp_path):
    """transformers would fetch a kernel by the name of its repository."""
    folder = Path(shutil.copytree(written(next(t for t in TINIES if t.made == "CLIPModel")).folder, tmp_path / "clip"))
    told = {"_attn_implementation": "somebody/kernel", "attn_implementation": "somebody/kernel", "use_kernels": True}
    given = json.loads((folder / "config.json").read_text())
    change(folder / "config.json", **told, vision_config={**given["vision_config"], **told})
    module = load_model(f"hf:{folder}").module
    found = {part.config._attn_implementation for part in module.modules() if hasattr(part, "config")}
    assert found == {"sdpa"}


@pytest.mark.parametrize("model_type", ["bert", "swin", "llama", None, 7, ["vit"]])
def test_other_kinds_are_refused_with_what_is_taken(folder, model_type):
    change(folder / "config.json", model_type=model_type)
    with pytest.raises(UnsupportedError, match="ViT, DINOv2 .*DINOv3 ViT .*CLIP and SigLIP"):
        load_model(f"hf:{folder}")


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"num_hidden_layers": 10**9}, ModelError, "num_hidden_layers is 1000000000"),
        ({"hidden_size": "large"}, ModelError, "hidden_size"),
        ({"hidden_size": 50}, ModelError, "ViTForImageClassification|configuration"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, UnsupportedError, "quantised"),
        ({"num_hidden_layers": 5}, ModelError, "do not fit ViTForImageClassification.*missing"),
    ],
)
def test_descriptions_that_cannot_be(folder, fields, error, words):
    change(folder / "config.json", **fields)
    with pytest.raises(error, match=words):
        load_model(f"hf:{folder}")


def test_weights_of_another_shape_are_named(folder):
    state = load_file(folder / "model.safetensors")
    save_file({**state, "classifier.weight": torch.zeros(9, 48)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="do not fit ViTForImageClassification"):
        load_model(f"hf:{folder}")


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_description_that_is_none(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match="config.json is not"):
        load_model(f"hf:{folder}")


def test_a_folder_that_is_not_there():
    with pytest.raises(ModelError, match="no folder with a config.json"):
        load_model("hf:./nowhere/at-all")


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("hf:google/vit-base-patch16-224", ModelLocation("google/vit-base-patch16-224")),
        ("hf:gpt2", ModelLocation("gpt2")),
        ("hf:owner/name@v1.0", ModelLocation("owner/name", "v1.0")),
        ("hf:./owner/name", ModelLocation(folder=Path("owner/name"))),
        ("hf:../name", ModelLocation(folder=Path("../name"))),
        ("hf:/srv/models/name", ModelLocation(folder=Path("/srv/models/name"))),
        ("hf:a/b/c", ModelLocation(folder=Path("a/b/c"))),
        ("hf:~/name", ModelLocation(folder=Path.home() / "name")),
    ],
)
def test_names(name, location):
    assert transformers_location(name) == location


def test_other_weights_are_not_for_these_names(folder):
    with pytest.raises(ModelError, match='"pretrained" or "random"'):
        load_model(f"hf:{folder}", weights="other.safetensors")
    with pytest.raises(ModelError, match="seed"):
        load_model(f"hf:{folder}", weights="random:x")


def test_without_transformers_the_extra_is_named(folder, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.partition(".")[0] == "transformers":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ModelError, match=r'pip install "vitviz\[transformers\]"'):
        load_model(f"hf:{folder}")


@pytest.fixture
def hub(written, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = written(VIT).folder
    beside = {name: (folder / name).read_bytes() for name in ("config.json", "preprocessor_config.json")}
    with serving(Hub((folder / "model.safetensors").read_bytes(), REPOSITORY, beside=beside)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def test_from_the_hub_with_progress_and_again_without_it(hub, written, monkeypatch):
    seen = []
    model = load_model(f"hf:{REPOSITORY}", progress=lambda done, total: seen.append((done, total)))
    x = picture(VIT)[0]
    here, there = (trace_input(resized(m, VIT.size), x).logits for m in (model, written(VIT).model))
    assert torch.allclose(here, there, atol=1e-5)
    assert seen[-1] == (len(hub.content), len(hub.content))
    asked = {path.rpartition("/")[2] for _, path in hub.requests}
    assert asked == {"config.json", "preprocessor_config.json", "model.safetensors"}
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert load_model(f"hf:{REPOSITORY}").weights_hash == model.weights_hash
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_model(f"hf:{REPOSITORY}").preprocessing == model.preprocessing


def test_a_repository_without_an_image_processor_works_offline_too(hub, monkeypatch):
    del hub.beside["preprocessor_config.json"]
    model = load_model(f"hf:{REPOSITORY}")
    assert model.input_size == (32, 32)  # the image_size of its configuration
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_model(f"hf:{REPOSITORY}").preprocessing == model.preprocessing


def test_a_processor_that_cannot_be_asked_for_is_not_absent(hub, monkeypatch):
    """Configuration and weights came with another tool, the processor never did: nothing is assumed in its place."""
    for file in ("config.json", "model.safetensors"):
        fetch(Source(REPOSITORY, "main", file))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="preprocessor_config.json of somebody/tiny-vit is not in the cache"):
        load_model(f"hf:{REPOSITORY}")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="out of reach"):
        load_model(f"hf:{REPOSITORY}")


@pytest.mark.parametrize("index", [0, 3, 7, 8, 12])
@pytest.mark.parametrize("side", [32, 64])
def test_a_folder_without_a_processor_has_the_size_of_its_configuration(tmp_path, index, side):
    """As the module says by itself: its positions are for this size, and its own code takes it without resampling."""
    tiny = replace(TINIES[index], side=side)
    tiny.model().save_pretrained(tmp_path)
    model = load_model(f"hf:{tmp_path}")
    assert model.input_size == (side, side)
    assert model.layout.grid == (side // 8, side // 8)
    assert any(f"{side} x {side} pixels" in note for note in model.notes)
    defaults = getattr(transformers, tiny.processor)()
    assert model.preprocessing.mean == tuple(defaults.image_mean) and model.preprocessing.std == tuple(
        defaults.image_std
    )


def test_grey_models(tmp_path):
    tiny = replace(TINIES[0], arguments={**TINIES[0].arguments, "num_channels": 1})
    theirs = tiny.model()
    theirs.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.4], image_std=[0.2]).save_pretrained(
        tmp_path
    )
    model = load_model(f"hf:{tmp_path}")
    assert (model.channels, model.preprocessing.mean, model.preprocessing.std) == (1, (0.4,), (0.2,))
    image = vitviz.load_sample("cat")
    prepared = prepare(model, image, framing="squash")
    # by hand: Pillow's luminance, resized, then mean and deviation
    small = np.asarray(image.convert("L").resize((32, 32), PIL.Image.Resampling.BILINEAR), np.float32) / 255
    assert np.allclose(prepared.input[0].numpy(), (small - 0.4) / 0.2, atol=1e-6)
    with torch.no_grad():
        expected = theirs(pixel_values=prepared.input[None]).logits[0]
    assert torch.allclose(vitviz.trace(model, image, framing="squash").logits, expected, atol=1e-5)
    assert support_of(f"hf:{tmp_path}").verdict == "global"


def test_models_of_four_channels_are_refused_by_name(tmp_path):
    replace(TINIES[0], arguments={"num_channels": 4}).model().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedError, match="pictures of 4 channels"):
        load_model(f"hf:{tmp_path}")
    assert "4 channels" in support_of(f"hf:{tmp_path}").reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("image_size", value) for value in (0, -1, 10**9, "large", [32], [32, 32, 32], None, 2.5)),
        *(("patch_size", value) for value in (0, 10**9, [8], [1, 2, 3], "x")),
        *(("layer_norm_eps", value) for value in (float("nan"), float("inf"), "x", [1])),
        *(("num_attention_heads", value) for value in (0, 10**9, None)),
        *(("num_channels", value) for value in (0, 10**9, "rgb")),
        *(("id2label", value) for value in ([], {"a": 1}, "x")),
    ],
)
def test_a_field_that_cannot_be_is_one_sentence(folder, field, value):
    change(folder / "config.json", **{field: value})
    ours, theirs = f"says that {field} is .*, which cannot be", "transformers cannot read the configuration of"
    with pytest.raises(ModelError, match=f"{ours}|{theirs}"):
        load_model(f"hf:{folder}", weights="random")


def test_classes_without_names_are_no_labels(folder):
    change(folder / "config.json", id2label={"0": None})
    assert load_model(f"hf:{folder}", weights="random").labels is None


def test_a_kind_that_is_not_taken_is_refused_before_the_weights_come(hub):
    hub.beside["config.json"] = b'{"model_type": "bert"}'
    with pytest.raises(UnsupportedError, match="'bert'"):
        load_model(f"hf:{REPOSITORY}")
    assert {path.rpartition("/")[2] for _, path in hub.requests} == {"config.json"}


def test_a_repository_of_pickles_is_refused(hub):
    hub.content = b""
    hub.beside["pytorch_model.bin"] = pickle.dumps({})
    with pytest.raises(HubError, match=r"no such file, and other formats are not read"):
        load_model(f"hf:{REPOSITORY}")
    assert not any("pytorch_model" in path for _, path in hub.requests)


def test_a_hub_out_of_reach_says_what_still_works(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"config.json of somebody/tiny-vit .*out of reach.*embedded model"):
        load_model(f"hf:{REPOSITORY}")


def test_a_page_in_place_of_a_description_is_thrown_away(hub, tmp_path):
    right, hub.beside["config.json"] = hub.beside["config.json"], b"<html>a proxy's page</html>"
    with pytest.raises(HubError, match="did not send config.json"):
        load_model(f"hf:{REPOSITORY}")
    assert not list((tmp_path / "cache").rglob("config.json"))
    hub.beside["config.json"] = right
    assert load_model(f"hf:{REPOSITORY}").trained


@pytest.mark.long
def test_from_the_command_line(folder, tmp_path):
    vitviz.load_sample("cat").save(tmp_path / "photo.png")
    out = tmp_path / "trace.npz"
    command = [sys.executable, "-m", "vitviz", "trace", str(tmp_path / "photo.png"), "--model", f"hf:{folder}"]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([*command, "--out", str(out)], cwd=root, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "attention 2x3x17x17" in done.stdout
    assert "position_similarity 16x16" in done.stdout


def test_a_model_loads_the_same_twice(tmp_path):
    """Nothing of a load is left in transformers' settings, or in what the next model is drawn from."""
    from tests.models.hugging_face.tiny import transformers

    write(VIT, tmp_path)
    before = torch.random.get_rng_state(), transformers.utils.logging.get_verbosity()
    load_model(f"hf:{tmp_path}")
    load_model(f"hf:{tmp_path}", weights="random:5")
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert transformers.utils.logging.get_verbosity() == before[1]
