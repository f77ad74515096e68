"""The recipe of the embedded models, run on generated pictures: it learns, goes on where it stopped, and repeats itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_embedded.py"
COLOURS = {"blue": (30, 60, 220), "green": (40, 190, 60), "red": (220, 50, 40), "yellow": (230, 210, 50)}
IMAGES = 50  # of each class


def pictures(folder: Path, count: int, seed: int) -> None:
    """One folder a class: a disc of the class's colour somewhere on grey noise."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:48, :48]
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(90, 160, (48, 48, 1)).repeat(3, 2)
            centre, radius = rng.integers(14, 34, 2), rng.integers(8, 14)
            disc = (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < radius**2
            pixels[disc] = colour
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


def accuracy(model: torch.nn.Module, folder: Path, size: int) -> float:
    """Over the pictures of `folder`, with plain timm and PIL."""
    right = []
    cfg = model.pretrained_cfg
    for target, name in enumerate(sorted(COLOURS)):
        for file in sorted((folder / name).iterdir()):
            pixels = np.asarray(Image.open(file).resize((size, size), Image.Resampling.BICUBIC), np.float32) / 255
            x = torch.from_numpy((pixels - np.float32(cfg["mean"])) / np.float32(cfg["std"])).permute(2, 0, 1)[None]
            with torch.inference_mode():
                right.append(int(model(x).argmax()) == target)
    return float(np.mean(right))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    pictures(folder / "seen", IMAGES, 0)
    pictures(folder / "new", 10, 1)
    (folder / "classes.tsv").write_text("".join(f"seen/{name}\t{name}\n" for name in COLOURS))
    return folder


@pytest.mark.long
def test_the_vit_learns_and_goes_on_where_it_stopped(data, tmp_path):
    torch.manual_seed(0)
    plain = timm.create_model("test_vit", num_classes=0, img_size=48)
    save_file(plain.state_dict(), tmp_path / "backbone.safetensors")
    asked = ["vit", tmp_path / "backbone.safetensors", tmp_path / "out.safetensors", "--data", data / "seen"]
    asked += ["--classes", data / "classes.tsv", "--work", tmp_path / "work", "--architecture", "test_vit"]
    asked += [
        "--model-args",
        '{"img_size": 48}',
        "--frozen",
        "2",
        "--size",
        "48",
        "--served-size",
        "48",
        "--passes",
        "2",
    ]
    asked += ["--steps", "160", "--rate", "1e-3", "--batch", "32"]

    stopped = run(*asked, "--minutes", "0")
    assert "run the same command again" in stopped.stderr
    made = (tmp_path / "work" / "pass1.npy").stat().st_mtime_ns
    finished = run(*asked)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "work" / "pass1.npy").stat().st_mtime_ns == made, "cached states were made again"

    assert (tmp_path / "out.txt").read_text().split() == sorted(COLOURS)
    state = load_file(tmp_path / "out.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in state.values() if tensor.is_floating_point())
    frozen = [name for name in plain.state_dict() if name.startswith(("patch_embed", "blocks.0.", "blocks.1."))]
    assert frozen and all(torch.equal(state[name], plain.state_dict()[name].half()) for name in frozen)
    model = timm.create_model("test_vit", num_classes=4, img_size=48).eval()
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    assert accuracy(model, data / "new", 48) > 0.5  # chance is 0.25


@pytest.mark.long
def test_the_linear_layer_of_the_cnn_learns(data, tmp_path):
    torch.manual_seed(0)
    plain = timm.create_model("test_efficientnet", num_classes=7)
    # a pass that only counts: the running means of an untrained network say nothing of what it computes
    plain.train()(torch.rand(16, 3, 48, 48))
    backbone = {name: tensor.contiguous() for name, tensor in plain.state_dict().items()}
    save_file(backbone, tmp_path / "backbone.safetensors")
    asked = ["cnn", tmp_path / "backbone.safetensors", tmp_path / "out.safetensors", "--data", data / "seen"]
    asked += [
        "--classes",
        data / "classes.tsv",
        "--architecture",
        "test_efficientnet",
        "--served-size",
        "48",
        "--epochs",
        "60",
    ]
    asked += ["--ridge", "1e-4"]
    finished = run(*asked)
    assert finished.returncode == 0, finished.stderr
    model = timm.create_model("test_efficientnet", num_classes=4).eval()
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(tmp_path / "out.safetensors").items()})
    assert accuracy(model, data / "new", 48) > 0.5


@pytest.mark.long
def test_a_class_folder_that_is_missing_is_named(data, tmp_path):
    (tmp_path / "classes.tsv").write_text("seen/red\tred\nseen/purple\tpurple\n")
    plain = timm.create_model("test_vit", num_classes=0, img_size=48)
    save_file(plain.state_dict(), tmp_path / "backbone.safetensors")
    result = run(
        "vit",
        tmp_path / "backbone.safetensors",
        tmp_path / "out.safetensors",
        "--data",
        data / "seen",
        "--classes",
        tmp_path / "classes.tsv",
    )
    assert result.returncode != 0
    assert "'seen/purple'" in result.stderr
