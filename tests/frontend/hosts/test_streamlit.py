"""A view's life in Streamlit, under Node.js: mounted once, ended by the last call, and remembered under its key."""

from __future__ import annotations

from tests.frontend.conftest import Run


def test_only_the_clean_up_of_the_last_call_ends_the_view(run: Run) -> None:
    body = """
    const log = [];
    const mount = (node) => {
      log.push(`new ${node.name}`);
      return { update: (data) => log.push(`show ${data}`), destroy: () => log.push('stop') };
    };
    const place = component(mount, {}), one = { name: 'one' }, other = { name: 'other' };
    const first = place({ parentElement: one, data: 1 });
    const second = place({ parentElement: one, data: 2 });
    first(); const elsewhere = place({ parentElement: other, data: 3 });
    second(); second(); elsewhere();
    place({ parentElement: one, data: 4 }); second();
    return log;"""
    assert run('import { component } from "./hosts/streamlit.js";\n', body) == [
        "new one",
        "show 1",
        "show 2",
        "new other",
        "show 3",
        "stop",
        "stop",
        "new one",
        "show 4",
    ]


def test_what_a_view_remembers_survives_a_remount_under_its_key(run: Run) -> None:
    body = """
    const found = [];
    const mount = (node, host) => {
      found.push(host.memory.blend ?? null);
      return { update: ({ blend }) => { host.memory.blend = blend; }, destroy: () => {} };
    };
    const place = component(mount, {});
    place({ parentElement: {}, data: { key: 'one', blend: 0.3 } })();
    place({ parentElement: {}, data: { key: 'another', blend: 0.9 } })();
    place({ parentElement: {}, data: { key: 'one', blend: 0.4 } })();
    for (let i = 0; i < 200; i++) place({ parentElement: {}, data: { key: i, blend: 0 } })();
    place({ parentElement: {}, data: { key: 'one', blend: 0 } })();
    return [...found.slice(0, 3), found.at(-1)];"""
    found = run('import { component } from "./hosts/streamlit.js";\n', body)
    assert found == [None, None, 0.3, None], "and is forgotten where there are too many"
