"""Many threads at one model: traces, other sizes, costs and positions never meet a module that is being changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vitviz.analysis.interventions import ChangePositions, intervene
from vitviz.analysis.patches import Paste, two_scenes
from vitviz.analysis.positions import patch_embedding, position_embedding
from vitviz.analysis.relative import rotary_table
from vitviz.capture.cost import pass_cost
from vitviz.models import load_model, resized
from vitviz.models.layout import layout_of, run_on_meta
from vitviz.tracing import trace_input

THREADS, ROUNDS = 8, 3


@pytest.mark.parametrize("what", ["layout", "whole pass", "cost", "another size"])
def test_a_pass_without_numbers_does_not_run_the_shared_module(what):
    model = load_model("test_vit", weights="random")
    weight = model.module.patch_embed.proj.weight
    ran: list[str] = []
    hook = model.module.patch_embed.register_forward_pre_hook(lambda part, _: ran.append(part.proj.weight.device.type))
    match what:
        case "layout":
            assert layout_of(model.module, "test_vit", (96, 128)).grid == (6, 8)
        case "whole pass":
            assert run_on_meta(model.module, (96, 128)).shape == (1, 1000)
        case "cost":
            assert pass_cost(model.module, (96, 128)).tokens == 49
        case _:
            assert resized(model, (96, 128)).layout.grid == (6, 8)
    hook.remove()
    assert ran == [] and model.module.patch_embed.proj.weight is weight


def test_threads_that_ask_different_things_of_one_model_all_get_the_right_answer():
    model = load_model("test_vit", weights="random")
    pixels = torch.randn(3, *model.input_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = model.module(pixels[None])[0]
        positions = model.module.pos_embed[0, 1:].clone()  # (patches, width)
        patches = model.module.patch_embed(pixels[None]).reshape(100, -1)  # (1, rows, cols, width) -> (patches, width)
    scenes = two_scenes(model, pixels, -pixels, Paste((2, 3))).itself

    def ask(number: int) -> None:
        match number % 5:
            case 0:
                torch.testing.assert_close(trace_input(model, pixels).logits, logits)
            case 1:
                side = 16 * (2 + number)
                assert resized(model, (side, side)).layout.grid == (2 + number, 2 + number)
                assert pass_cost(model.module, (side, side)).tokens == (2 + number) ** 2 + 1
            case 2:
                torch.testing.assert_close(position_embedding(model, model.layout).vectors, positions)
                torch.testing.assert_close(patch_embedding(model, pixels, model.layout), patches)
            case 3:
                with intervene(model, ChangePositions("zero")) as changed:
                    assert not torch.allclose(trace_input(changed, pixels).logits, logits)
            case _:
                np.testing.assert_allclose(two_scenes(model, pixels, -pixels, Paste((2, 3))).itself, scenes, rtol=1e-4)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(5 * THREADS * ROUNDS // 4)))  # raises what any of them raised


def test_a_rotary_table_is_read_under_the_lock():
    model = load_model("vit_small_patch16_rope_224", weights="random", input_size=64)
    with ThreadPoolExecutor(1) as pool, model.lock:
        table = pool.submit(rotary_table, model, model.layout)
        with pytest.raises(TimeoutError):
            table.result(0.05)
    assert table.result(10).grid == (4, 4)
