// The front end in a Streamlit page: what a view gets from its host, and what Streamlit's calls do to it.
//
// A view is `mount(node, host) -> { update(data), destroy() }`. Its host gives it
//   resolve(name, signal) -> Promise of the bytes that `data` calls by that name; rejects with a FetchError
//   report(value, number)   sends a choice to Python; numbers are those of core/state.js
//   act(value)              asks Python for something that happens once, such as opening a page
//   stale()                 asks Python to offer its payloads anew
//   words                   sentences by name
//   theme()                 { accent, onAccent, paper, ink, font } of the page; onAccent: what can be read on the accent
//   memory                  an object that survives a remount under the same key, for what Python does not keep

import { inkOver } from "../core/scale.js";
import { FetchError } from "../data/source.js";

// A payload lies behind its own address.
export async function resolve(url, signal) {
  let response;
  let bytes;
  try {
    response = await fetch(url, { credentials: "same-origin", signal });
    if (response.ok) bytes = await response.arrayBuffer(); // a connection may break here, too
  } catch (error) {
    throw new FetchError("network", error.message);
  }
  if (!bytes) throw new FetchError(response.status === 404 ? "gone" : "server", response.status);
  return bytes;
}

const memories = new Map(); // Python's key of a component -> what its view keeps
const REMEMBERED = 100; // components

class StreamlitHost {
  constructor(node, words) {
    Object.assign(this, { node, words, resolve });
    this.colours = null;
  }

  // Streamlit calls again with other data and with another theme.
  update(component) {
    this.component = component;
    this.colours = null;
    const key = component.data?.key;
    this.memory = memories.get(key) ?? {};
    memories.delete(key);
    memories.set(key, this.memory); // the last used is last
    if (memories.size > REMEMBERED) memories.delete(memories.keys().next().value);
  }

  report(value, number) {
    this.component.setStateValue("report", { number, value });
  }

  act(value) {
    this.component.setTriggerValue("act", value);
  }

  stale() {
    this.component.setTriggerValue("stale", Date.now());
  }

  // Read once for each call of Streamlit's: asking for a style in a frame may make the browser compute all of them.
  theme() {
    if (!this.colours) {
      const style = getComputedStyle(this.node instanceof Element ? this.node : this.node.host);
      const own = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
      const accent = own("--st-primary-color", "#007ea3");
      this.colours = {
        accent,
        onAccent: inkOver(bytesOf(accent)),
        paper: own("--st-background-color", "#ffffff"),
        ink: own("--st-text-color", "#22252b"),
        font: own("--st-font", "sans-serif"),
      };
    }
    return this.colours;
  }
}

// Red, green and blue of a colour as style sheets have it.
function bytesOf(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

// -> a component's default export: one view for each mounted on the page. Each call returns its clean-up, and Streamlit runs that of
// a call it has overtaken by another one: only the clean-up of the last call ends the view.
export function component(mount, words) {
  const mounts = new WeakMap(); // the node Streamlit gave us -> { view, host, calls }
  return (streamlit) => {
    const { parentElement } = streamlit;
    let mounted = mounts.get(parentElement);
    if (!mounted) {
      const host = new StreamlitHost(parentElement, words);
      mounted = { host, view: null, calls: 0 };
      mounts.set(parentElement, mounted);
    }
    const call = ++mounted.calls;
    mounted.host.update(streamlit);
    mounted.view ??= mount(parentElement, mounted.host);
    mounted.view.update(streamlit.data);
    return () => {
      if (call !== mounted.calls || mounts.get(parentElement) !== mounted) return;
      mounted.view.destroy();
      mounts.delete(parentElement);
    };
  };
}
