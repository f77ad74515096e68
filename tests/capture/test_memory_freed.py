"""Freed memory is kept for the next pass where the app, or a user, switches that on; the environment has the last word."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vitviz.capture import memory

COUNT = """
import resource, timm, torch
from vitviz.capture.memory import keep_freed_memory
from vitviz.capture.record import record
from vitviz.models.layout import layout_of

torch.set_num_threads(1)
if {switched}:
    keep_freed_memory()
module = timm.create_model("vit_small_patch16_224", depth=4).eval()
x, layout = torch.randn(1, 3, 224, 224), layout_of(module, "a model", (224, 224))
for count in range(9):
    if count == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.inference_mode():
        module(x)  # keeps nothing, so that the limits would stay low
    record(module, x, layout)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in memory.SET_BY_THE_USER} | more


def new_pages(switched: bool = True, **more: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(switched=switched)],
        env=environment(**more),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.long
@pytest.mark.skipif(not memory._has_glibc(), reason="only glibc takes these settings")
def test_traces_take_next_to_no_new_pages_after_the_first_ones():
    left_to_itself = new_pages(switched=False)  # the library sets nothing by itself: thousands in three passes
    assert new_pages() < left_to_itself / 20  # a few dozen at most; how many is up to the machine


@pytest.mark.parametrize("name", memory.SET_BY_THE_USER)
def test_what_the_user_has_set_stands(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert memory.keep_freed_memory.__wrapped__() is False


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda _: None, raising=False)
    assert memory.keep_freed_memory.__wrapped__() is False
    monkeypatch.delattr(os, "confstr")
    assert memory.keep_freed_memory.__wrapped__() is False
