// The front end in a Streamlit page: what a view gets from its host, and what Streamlit's calls do to it.
//
// A view is `mount(node, host) -> { update(data), destroy() }`. Its host gives it
//   resolve(name, signal) -> Promise of the bytes that `data` calls by that name; rejects with a FetchError
//   report(value, number)   tells Python of a choice; numbers are those of core/state.js
//   act(value)              asks Python for something that happens once, such as opening a page
//   stale()                 asks Python to offer its payloads anew
//   words                   sentences by name
//   theme()                 { accent, paper, ink, font } of the page

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

class StreamlitHost {
  constructor(node, words) {
    Object.assign(this, { node, words, resolve });
    this.colours = null;
  }

  // Streamlit calls again with other data and with another theme.
  take(component) {
    this.component = component;
    this.colours = null;
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
      this.colours = {
        accent: own("--st-primary-color", "#d6006c"),
        paper: own("--st-background-color", "#ffffff"),
        ink: own("--st-text-color", "#22252b"),
        font: own("--st-font", "sans-serif"),
      };
    }
    return this.colours;
  }
}

// -> a component's default export: one view for each place on the page. Each call returns its clean-up, and Streamlit runs that of
// a call it has overtaken by another one: only the clean-up of the last call ends the view.
export function component(mount, words) {
  const places = new WeakMap(); // the node Streamlit gave us -> { view, host, calls }
  return (streamlit) => {
    const { parentElement } = streamlit;
    let place = places.get(parentElement);
    if (!place) {
      const host = new StreamlitHost(parentElement, words);
      place = { host, view: null, calls: 0 };
      places.set(parentElement, place);
    }
    const call = ++place.calls;
    place.host.take(streamlit);
    place.view ??= mount(parentElement, place.host);
    place.view.update(streamlit.data);
    return () => {
      if (call !== place.calls || places.get(parentElement) !== place) return;
      place.view.destroy();
      places.delete(parentElement);
    };
  };
}
