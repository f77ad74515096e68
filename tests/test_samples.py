"""Every photograph of the gallery is credited, is the file its credit speaks of, and loads; the assets are found anywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitviz import assets
from vitviz.errors import ImageError
from vitviz.samples import Sample, load_sample, samples

ASSETS = Path(__file__).parents[1] / "assets"
CREDITS = (ASSETS / "CREDITS.md").read_text(encoding="utf-8")
IDS = [sample.id for sample in samples()]
MAY_BE_USED = {"CC0-1.0", "Public domain", "Free to use and publish", "Apache-2.0"} | {
    f"CC-BY-{rest}" for rest in ("1.0", "2.5", "3.0", "4.0", "SA-2.0", "SA-3.0")
}
# What each photograph shows, in the words of the embedded models, and what of it shows none of their classes.
SHOWS = {
    "motorcycle": "motorbike",
    "coffee": "espresso",
    "cat": "house cat",
    "fire-engine": "van or lorry",
    "dogs": "dog",
    "panda": "panda",
    "koala": "koala",
    "crocodile": "crocodile or alligator",
    "goldfish": "goldfish",
    "fruits": "orange",
    "arch": "triumphal arch",
    "dam": "dam",
}
PLAIN = ("motorcycle", "goldfish", "fire-engine", "koala")  # read by both models in the plain run of the tests
OUTSIDE = ("astronaut", "bricks", "coins")


def credit_in_words(sample: Sample) -> str:
    """The photograph's own section of CREDITS.md."""
    (section,) = [part for part in CREDITS.split("\n### ") if f"`samples/{sample.file}`" in part.split("\n")[0]]
    return section


class TestCredits:
    def test_no_picture_lacks_one_and_none_is_of_a_missing_picture(self) -> None:
        pictures = {path.name for path in (ASSETS / "samples").iterdir()} - {"samples.json"}
        assert pictures == {sample.file for sample in samples()}
        assert CREDITS.count("`samples/") == len(pictures)

    @pytest.mark.parametrize("sample", samples(), ids=IDS)
    def test_the_file_is_the_one_described(self, sample: Sample) -> None:
        content = (ASSETS / "samples" / sample.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sample.sha256
        assert len(content) < 250_000

    @pytest.mark.parametrize("sample", samples(), ids=IDS)
    def test_says_the_same_for_people_and_for_programs(self, sample: Sample) -> None:
        section = credit_in_words(sample)
        described = json.loads((ASSETS / "samples" / "samples.json").read_text(encoding="utf-8"))
        (fields,) = [fields for fields in described if fields["id"] == sample.id]
        for name, value in fields.items():
            if name not in ("id", "file", "shows"):
                assert value in section, name

    @pytest.mark.parametrize("sample", samples(), ids=IDS)
    def test_says_whose_it_is_and_why_it_may_be_used(self, sample: Sample) -> None:
        for name in ("title", "alt", "author", "terms", "terms_from", "source", "packaged_in", "changes"):
            assert getattr(sample, name).strip() == getattr(sample, name) != "", name
        assert sample.licence in MAY_BE_USED
        assert sample.author in sample.credit
        assert sample.licence in sample.credit

    def test_no_two_share_an_id_or_a_picture(self) -> None:
        assert len(set(IDS)) == len(IDS) == len({sample.sha256 for sample in samples()})


class TestLoading:
    @pytest.mark.parametrize("name", IDS)
    def test_each_loads(self, name: str) -> None:
        image = load_sample(name)
        assert image.mode == "RGB"
        assert max(image.size) <= 1024
        assert min(image.size) >= 224
        assert np.asarray(image).std() > 10

    def test_the_motorcycle_comes_first(self) -> None:
        assert IDS[0] == "motorcycle"
        red, green, blue = np.asarray(load_sample("motorcycle"))[210, 400].astype(int)  # its tank
        assert red > 100 > green + blue

    def test_another_name_gets_the_names_that_exist(self) -> None:
        for wrong in ("bicycle", "", "../CREDITS.md", "motorcycle.jpg"):
            with pytest.raises(ImageError, match=r"The samples are motorcycle, "):
                load_sample(wrong)

    def test_photographs_of_known_things_come_first(self) -> None:
        assert [*SHOWS, *OUTSIDE] == IDS
        assert {sample.id: sample.shows for sample in samples()} == SHOWS | dict.fromkeys(OUTSIDE, "")
        assert len(IDS) >= 12


class TestPrediction:
    """By an independent forward pass: plain timm and Pillow, with the published temperature."""

    @pytest.fixture(scope="class")
    def answers(self):
        torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
        from safetensors.torch import load_file
        from timm.layers import resample_abs_pos_embed

        from vitviz.models import embedded

        names = [line.split("\t")[0] for line in (ASSETS / "models" / "everyday_labels.tsv").read_text().splitlines()]
        vit = timm.create_model("vit_small_patch14_dinov2", num_classes=len(names), img_size=224).eval()
        state = {name: t.float() for name, t in load_file(ASSETS / "models" / f"{embedded.VIT}.safetensors").items()}
        state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], (16, 16), (37, 37), 1)
        vit.load_state_dict(state)
        cnn = timm.create_model("tf_efficientnet_lite0", num_classes=len(names)).eval()
        cnn.load_state_dict(
            {n: t.float() for n, t in load_file(ASSETS / "models" / f"{embedded.CNN}.safetensors").items()}
        )
        measured = json.loads((ASSETS / "models" / "measured.json").read_text())
        settings = (
            (vit, 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), measured[embedded.VIT]["temperature"]),
            (cnn, 256, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), measured[embedded.CNN]["temperature"]),
        )

        def answer(name: str) -> list[tuple[str, float]]:
            """(first class, its probability) by each model."""
            found = []
            image = Image.open(ASSETS / "samples" / f"{name}.jpg").convert("RGB")
            for module, side, mean, std, temperature in settings:
                scale = side / min(image.size)
                large = image.resize([int(length * scale) for length in image.size], Image.Resampling.BICUBIC)
                left, top = (round((length - 224) / 2) for length in large.size)
                pixels = np.asarray(large.crop((left, top, left + 224, top + 224)), np.float32) / 255
                x = torch.from_numpy((pixels - np.float32(mean)) / np.float32(std)).permute(2, 0, 1)[None]
                with torch.inference_mode():
                    chances = (module(x)[0] / temperature).softmax(-1)
                found.append((names[int(chances.argmax())], float(chances.max())))
            return found

        return answer

    @pytest.mark.parametrize(
        "name", [name if name in PLAIN else pytest.param(name, marks=pytest.mark.long) for name in SHOWS]
    )
    def test_what_is_known_is_named_by_both_models(self, answers, name: str) -> None:
        import vitviz

        vit, cnn = answers(name)
        assert vit[0] == cnn[0] == SHOWS[name]
        for model, expected in ((vitviz.load_model("embedded"), vit), (vitviz.load_cnn(), cnn)):
            prepared = vitviz.prepare(model, load_sample(name))
            logits = model.module(prepared.input[None])[0].detach()
            (first,) = vitviz.top_predictions(logits, model.labels, 1)
            assert first.label == expected[0]
            assert first.probability == pytest.approx(expected[1], abs=0.005)
            assert not model.ood_detector.is_ood(logits)

    @pytest.mark.parametrize("name", OUTSIDE)
    def test_what_is_outside_is_said_to_be(self, name: str) -> None:
        import vitviz

        model = vitviz.load_model("embedded")
        assert model.ood_detector.is_ood(model.module(vitviz.prepare(model, load_sample(name)).input[None])[0].detach())


class TestAssets:
    def test_are_found_in_a_clone(self) -> None:
        assert assets.asset_path("samples", "samples.json") == ASSETS / "samples" / "samples.json"
        assert assets.asset_path("samples") == ASSETS / "samples"

    def test_a_missing_one_is_named(self) -> None:
        with pytest.raises(FileNotFoundError, match=r"assets/samples/none\.jpg is missing"):
            assets.asset_path("samples", "none.jpg")

    def test_are_found_in_an_installed_package_and_not_beside_it(self, tmp_path: Path) -> None:
        installed = tmp_path / "site-packages"
        package = Path(assets.__file__).parent
        for source in ("__init__.py", "errors.py", "assets.py", "samples.py", "images"):
            copy = shutil.copytree if (package / source).is_dir() else shutil.copy
            target = installed / "vitviz" / source
            target.parent.mkdir(parents=True, exist_ok=True)
            copy(package / source, target)
        shutil.copytree(ASSETS / "samples", installed / "vitviz" / "_assets" / "samples")
        other = installed / "assets" / "samples"  # somebody else's package of that name
        other.mkdir(parents=True)
        Image.new("RGB", (300, 300)).save(other / "cat.jpg")
        (other / "samples.json").write_text("[]")
        script = (
            "from vitviz.samples import samples, load_sample\n"
            f"assert str(samples()[0].path).startswith({str(installed / 'vitviz')!r})\n"
            "print(len(samples()), load_sample('cat').size)"
        )
        run = subprocess.run(
            [sys.executable, "-c", script],
            cwd=installed,
            env={"PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
        )
        assert run.stdout.split() == [str(len(samples())), "(451,", "300)"], run.stderr
