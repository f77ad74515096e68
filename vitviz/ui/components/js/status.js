// What a component says of its own state: that something is on its way, or what could not be fetched and how to ask once more.

import { element, setAttribute } from "./element.js";
import { say } from "./say.js";

export class Status {
  // again(): tries once more; done by itself, too, when the network is back.
  constructor(again) {
    this.again = again;
    this.text = "";
    this.node = element("p", { class: "trouble", role: "alert", hidden: true });
    window.addEventListener("online", again);
  }

  // loader: a Loader. blanks: for the name of what is missing.
  show(root, { state, error, missing }, blanks = {}) {
    setAttribute(root, "aria-busy", state === "loading");
    setAttribute(root, "data-state", state);
    const text = error ? sentence(error, missing, blanks) : "";
    if (text === this.text) return;
    this.text = text;
    this.node.hidden = !text;
    const button = element("button", { type: "button", text: say("again"), onclick: () => this.again() });
    this.node.replaceChildren(...(text ? [text, " ", button] : []));
  }

  stop() {
    window.removeEventListener("online", this.again);
  }
}

function sentence({ reason, detail }, missing, blanks) {
  return say("failed", { what: say(`missing_${missing}`, blanks), reason: say(`reason_${reason}`, { status: detail }) });
}
