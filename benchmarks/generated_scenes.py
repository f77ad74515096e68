"""Scenes whose objects and boxes are known: cut-outs of the gallery's photographs pasted on other photographs.

    python benchmarks/generated_scenes.py FOLDER [--count 300]

writes them as PNG with their boxes as COCO. Nothing is downloaded; the same seed makes the same scenes. Outlines are drawn
by hand, as coordinates of the photograph in thousandths of its sides; what lies inside an outline is the object, by definition.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter

import vitviz
from vitviz.analysis.localization import Box
from vitviz.analysis.masks import Annotation, coco

SIDE = 448
Outline = tuple[tuple[int, int], ...]

# (photograph of the gallery, outline), or (photograph, (centre x, centre y, radius x, radius y)); in thousandths
POLYGONS: dict[str, tuple[str, Outline]] = {
    "arch": ("arch", ((200, 215), (420, 205), (425, 150), (600, 150), (605, 225), (775, 240), (790, 890), (195, 890))),
    "astronaut": (
        "astronaut",
        ((304, 107), (357, 43), (464, 36), (536, 79), (582, 179), (564, 268), (600, 339), (589, 411), (714, 482), (768, 589),
         (732, 679), (607, 768), (571, 893), (571, 1000), (71, 1000), (71, 625), (143, 482), (236, 429), (221, 375),
         (304, 304), (314, 214)),
    ),
    "space shuttle": (
        "astronaut",
        ((779, 36), (821, 18), (857, 54), (893, 214), (893, 393), (921, 536), (714, 554), (732, 393), (768, 214)),
    ),
    "cup": (
        "coffee",
        ((321, 54), (536, 27), (686, 108), (679, 323), (793, 484), (779, 672), (679, 860), (500, 978), (321, 957), (179, 806),
         (129, 591), (161, 430), (304, 269)),
    ),
    "crocodile": (
        "crocodile",
        ((71, 203), (179, 181), (268, 275), (393, 326), (536, 449), (714, 580), (839, 667), (904, 761), (875, 812), (714, 783),
         (571, 739), (536, 812), (429, 725), (357, 616), (250, 580), (196, 435), (89, 326)),
    ),
    "tower": ("dam", ((369, 230), (570, 175), (570, 574), (490, 601), (382, 590))),
    "upper dog": (
        "dogs",
        ((312, 268), (376, 236), (473, 239), (522, 304), (511, 386), (457, 375), (403, 421), (349, 375), (306, 357)),
    ),
    "lower dog": (
        "dogs",
        ((484, 482), (538, 446), (618, 450), (672, 500), (656, 589), (591, 607), (602, 643), (538, 636), (495, 571)),
    ),
    "fire engine": (
        "fire-engine",
        ((79, 216), (143, 43), (589, 43), (589, 155), (964, 103), (982, 733), (911, 819), (839, 845), (536, 905), (375, 948),
         (214, 819), (71, 819), (18, 733), (79, 603)),
    ),
    "orange": (
        "fruits",
        ((375, 114), (482, 106), (625, 418), (661, 760), (607, 970), (321, 989), (161, 760), (179, 456), (286, 247)),
    ),
    "goldfish": (
        "goldfish",
        ((20, 57), (100, 94), (221, 330), (402, 401), (522, 283), (723, 226), (884, 245), (863, 448), (944, 708), (972, 849),
         (924, 943), (763, 896), (602, 755), (562, 849), (341, 920), (361, 825), (442, 755), (341, 708), (120, 778), (60, 708),
         (241, 613), (281, 495), (181, 425), (40, 236)),
    ),
    "koala": (
        "koala",
        ((381, 268), (452, 243), (548, 257), (667, 279), (786, 293), (762, 375), (690, 393), (786, 500), (833, 679),
         (762, 821), (643, 857), (476, 821), (381, 714), (452, 571), (286, 589), (167, 518), (152, 446), (357, 464),
         (429, 393), (371, 339)),
    ),
    "motorcycle": (
        "motorcycle",
        ((125, 381), (179, 328), (268, 344), (464, 360), (607, 317), (696, 159), (732, 185), (768, 344), (839, 503),
         (911, 714), (911, 847), (839, 910), (732, 847), (696, 714), (464, 741), (411, 873), (268, 899), (179, 794),
         (171, 608), (232, 503)),
    ),
    "panda": (
        "panda",
        ((214, 243), (339, 108), (464, 65), (589, 162), (768, 378), (839, 595), (804, 811), (536, 892), (304, 838), (286, 649),
         (232, 595), (214, 432)),
    ),
}  # fmt: skip
ELLIPSES: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "helmet": ("astronaut", (770, 850, 200, 180)),
    "lime": ("fruits", (840, 475, 160, 175)),
    "lemon": ("fruits", (835, 760, 195, 235)),
    "kiwi": ("fruits", (70, 835, 155, 205)),
    "coin 1": ("coins", (885, 140, 92, 117)),
    "coin 2": ("coins", (903, 615, 82, 104)),
    "coin 3": ("coins", (120, 860, 70, 90)),
    "coin 4": ("coins", (450, 862, 75, 95)),
    "coin 5": ("coins", (561, 172, 60, 78)),
    "coin 6": ("coins", (707, 389, 66, 82)),
}
# (photograph of the gallery or of scikit-image, (left, top, right, bottom) without an object); in thousandths
BACKGROUNDS: tuple[tuple[str, tuple[int, int, int, int]], ...] = (
    ("bricks", (0, 0, 1000, 1000)),
    ("dam", (0, 560, 700, 1000)),
    ("dogs", (560, 0, 1000, 460)),
    ("dogs", (0, 600, 520, 1000)),
    ("coffee", (800, 0, 1000, 1000)),
    ("crocodile", (0, 480, 420, 1000)),
    ("panda", (0, 850, 1000, 1000)),
    ("koala", (560, 0, 1000, 230)),
    ("motorcycle", (0, 850, 1000, 1000)),
    ("astronaut", (610, 0, 715, 300)),
    ("skimage: brick", (0, 0, 1000, 1000)),
    ("skimage: grass", (0, 0, 1000, 1000)),
    ("skimage: gravel", (0, 0, 1000, 1000)),
    ("skimage: moon", (0, 0, 1000, 1000)),
)


@dataclass(frozen=True, eq=False)
class Scene:
    """One made-up picture.

    picture  RGB, SIDE x SIDE
    names    of the objects, from back to front
    masks    one (SIDE, SIDE) boolean an object: its pixels; objects do not touch
    """

    picture: Image.Image
    names: tuple[str, ...]
    masks: tuple[np.ndarray, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Around each object's pixels."""
        found = []
        for mask in self.masks:
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            found.append(Box(int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1))
        return tuple(found)


@lru_cache(maxsize=64)
def photograph(name: str) -> Image.Image:
    if name.startswith("skimage: "):
        return Image.fromarray(getattr(skimage.data, name.removeprefix("skimage: "))()).convert("RGB")
    return vitviz.load_sample(name)


@lru_cache(maxsize=64)
def cut_out(name: str) -> Image.Image:
    """RGBA: one object, cut to its outline's box."""
    source = POLYGONS[name][0] if name in POLYGONS else ELLIPSES[name][0]
    whole = photograph(source)
    mask = Image.new("L", whole.size, 0)
    across, down = whole.width / 1000, whole.height / 1000
    if name in POLYGONS:
        ImageDraw.Draw(mask).polygon([(x * across, y * down) for x, y in POLYGONS[name][1]], fill=255)
    else:
        x, y, wide, high = ELLIPSES[name][1]
        ImageDraw.Draw(mask).ellipse(
            ((x - wide) * across, (y - high) * down, (x + wide) * across, (y + high) * down), fill=255
        )
    cut = whole.convert("RGBA")
    cut.putalpha(mask)
    return cut.crop(mask.getbbox())


def cut_out_names() -> tuple[str, ...]:
    return (*POLYGONS, *ELLIPSES)


def scenes(count: int = 300, seed: int = 0) -> Iterator[Scene]:
    """`count` scenes of one, two and three objects by turns.

    Each object is 20 to 45% of the picture's side (its longer one) and may be mirrored. It lies wholly inside the picture,
    at least three patches of 14 pixels from every other; the middle of a single one is at least a tenth of the side from
    the picture's.
    """
    generator = np.random.default_rng(seed)
    for index in range(count):
        while (made := _scene(generator, 1 + index % 3)) is None:
            pass
        yield made


def _scene(generator: np.random.Generator, objects: int) -> Scene | None:
    """One scene, or None where there was no room."""
    names = generator.choice(cut_out_names(), objects, replace=False)
    sources = {(POLYGONS.get(str(name)) or ELLIPSES[str(name)])[0] for name in names}
    grounds = [ground for ground in BACKGROUNDS if ground[0] not in sources]
    source, (left, top, right, bottom) = grounds[generator.integers(len(grounds))]
    whole = photograph(source)
    region = whole.crop(
        (
            left * whole.width // 1000,
            top * whole.height // 1000,
            right * whole.width // 1000,
            bottom * whole.height // 1000,
        )
    )
    side = min(region.size)
    x, y = (int(generator.integers(length - side + 1)) for length in region.size)
    picture = region.crop((x, y, x + side, y + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    taken = np.zeros((SIDE, SIDE), bool)
    masks = []
    for name in names:
        cut = cut_out(str(name))
        scale = generator.uniform(0.2, 0.45) * SIDE / max(cut.size)
        cut = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.LANCZOS)
        if generator.random() < 0.5:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for _ in range(50):
            x, y = (int(generator.integers(SIDE - length + 1)) for length in cut.size)
            centred = max(abs(x + cut.width / 2 - SIDE / 2), abs(y + cut.height / 2 - SIDE / 2)) < SIDE / 10
            if not taken[y : y + cut.height, x : x + cut.width].any() and not (objects == 1 and centred):
                break
        else:
            return None
        alpha = cut.getchannel("A").point(lambda value: 255 if value > 127 else 0)
        soft = alpha.filter(ImageFilter.GaussianBlur(0.7))  # the edge is no line of pixels of another photograph
        picture.paste(cut.convert("RGB"), (x, y), soft)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[y : y + cut.height, x : x + cut.width] = np.asarray(alpha) > 0
        masks.append(mask)
        margin = 3 * 14
        taken[max(y - margin, 0) : y + cut.height + margin, max(x - margin, 0) : x + cut.width + margin] = True
    return Scene(picture, tuple(str(name) for name in names), tuple(masks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    sizes, annotations = {}, []
    for index, scene in enumerate(scenes(given.count, given.seed)):
        name = f"scene{index:04}.png"
        scene.picture.save(given.folder / name)
        sizes[name] = (SIDE, SIDE)
        for box, mask, kind in zip(scene.boxes, scene.masks, scene.names, strict=True):
            annotations.append(Annotation(name, (box.left, box.top, box.right, box.bottom), mask, kind))
    (given.folder / "objects.json").write_text(json.dumps(coco(sizes, annotations)), encoding="utf-8")


if __name__ == "__main__":
    main()
