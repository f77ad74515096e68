// The host of the views in a Streamlit page: it connects a view to Streamlit's component API.
//
// A view is `mount(node, host) -> { update(data), destroy() }`. The host has
//   resolve(name, signal) -> Promise of the bytes of a payload that `data` names; rejects with a FetchError
//   report(value, number)   sends a choice to Python, with a number of core/state.js
//   act(value)              asks Python for a single action, such as opening a page
//   stale()                 asks Python to offer its payloads again
//   words                   sentences by name
//   theme()                 { accent, onAccent, paper, ink, font } of the page; onAccent: a colour for text on the accent
//   memory                  an object that is kept if the view is mounted again under the same key, for state not in Python

import { inkOver } from "../core/scale.js";
import { FetchError } from "../data/source.js";

// Fetches a payload. In Streamlit its name is its URL.
export async function resolve(url, signal) {
  let response;
  let bytes;
  try {
    response = await fetch(url, { credentials: "same-origin", signal });
    if (response.ok) bytes = await response.arrayBuffer(); // the connection may also fail here
  } catch (error) {
    throw new FetchError("network", error.message);
  }
  if (!bytes) throw new FetchError(response.status === 404 ? "gone" : "server", response.status);
  return bytes;
}

const memories = new Map(); // the component's key in Python -> the memory of its view
const REMEMBERED = 100; // number of components

class StreamlitHost {
  constructor(node, words) {
    Object.assign(this, { node, words, resolve });
    this.colours = null;
  }

  // Called at every call by Streamlit, with new data or a new theme.
  update(component) {
    this.component = component;
    this.colours = null;
    const key = component.data?.key;
    this.memory = memories.get(key) ?? {};
    memories.delete(key);
    memories.set(key, this.memory); // moves it to the end, as the most recently used
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

  // The theme is read once per call by Streamlit, because reading a computed style during a frame may force the
  // browser to recalculate styles.
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

// -> red, green and blue of a CSS colour
function bytesOf(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

// -> the default export of a Streamlit component, with one view for each node it is mounted in. Every call returns a cleanup
// function, which Streamlit also runs when a newer call replaces it; only that of the last call destroys the view.
export function component(mount, words) {
  const mounts = new WeakMap(); // the node given by Streamlit -> { view, host, calls }
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
