"""What is kept of computed values: within bounds, in shares of sessions, and counted as it lies in memory."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import torch

from tests.ui.compute.test_queue import Gate, key
from vitviz.models import load_model
from vitviz.ui.compute import Results
from vitviz.ui.compute.results import size_of


def test_a_model_that_leaves_its_store_is_freed_with_the_one_beside_it():
    models = Results(10**9, 1, weakly=True)
    model = load_model("test_vit", weights="random")
    alive = [weakref.ref(each) for each in (model, model.module, model.background_copy, model.background_copy.module)]
    models.put(key("model"), model)
    assert size_of(model) < 1.1 * sum(p.nbytes for p in model.module.parameters()), "its weights count once"
    models.put(key("another"), Gate())
    del model
    gc.collect()
    assert [each() for each in alive] == [None] * 4


def test_one_session_drives_out_its_own_results_and_nobody_elses():
    results = Results(max_bytes=1000, max_entries=50, max_share=300)
    other, shared = key("x", scope="b"), key("x")
    results.put(other, np.zeros(200, np.uint8))
    results.put(shared, np.zeros(200, np.uint8))
    for at in range(10):
        results.put(key(str(at), scope="a"), np.zeros(100, np.uint8))
        assert results.nbytes <= 700
    assert [at for at in range(10) if key(str(at), scope="a") in results] == [7, 8, 9]
    assert other in results and shared in results
    results.put(key("large", scope="a"), np.zeros(500, np.uint8))  # larger than a share, and all that the session has
    assert key("large", scope="a") in results and key("9", scope="a") not in results and other in results


def test_results_keep_their_bounds_and_drop_what_was_used_longest_ago():
    results = Results(max_bytes=300, max_entries=10)
    for name in "abc":
        results.put(key(name), np.zeros(100, np.uint8))
    assert results.get(key("a")) is not None  # used just now: b is the oldest
    results.put(key("d"), np.zeros(100, np.uint8))
    assert key("b") not in results and key("a") in results
    results.put(key("big"), np.zeros(301, np.uint8))
    assert key("big") not in results and results.nbytes == 300, "what does not fit does not drive out the rest"
    results.put(key("a"), np.zeros(50, np.uint8))
    assert results.nbytes == 250
    many = Results(max_bytes=10_000, max_entries=2)
    for name in "abc":
        many.put(key(name), np.zeros(1, np.uint8))
    assert len(many) == 2 and many.nbytes == 2


def test_a_view_counts_as_the_whole_that_it_keeps_alive_and_once():
    array, tensor = np.zeros(1000), torch.zeros(1000)
    assert size_of([array[:10], array[5:], tensor[:2], tensor[3:], tensor[4:].numpy()]) == 8000 + 4000
    module = torch.nn.Linear(10, 10)
    assert size_of({"m": module, "again": module}) < 4 * 110 + 200
