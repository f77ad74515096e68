// The entry that Streamlit calls: at first, and again whenever Python's data changes, with no clean-up in between.

import { View } from "./view.js";

const views = new WeakMap(); // the node Streamlit gave us -> its view

export default function ({ data, key, parentElement, setStateValue, setTriggerValue }) {
  let view = views.get(parentElement);
  if (!view) {
    view = new View(parentElement, key);
    views.set(parentElement, view);
  }
  view.update(data, {
    report: (selection) => setStateValue("selection", selection),
    stale: (layer) => setTriggerValue("stale", { layer, at: Date.now() }),
  });
  return () => {
    view.stop();
    views.delete(parentElement);
  };
}
