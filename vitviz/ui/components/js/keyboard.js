// What a key press asks for. Pure: the view decides what to do about it.

// The arrow keys as [rows, columns] to go.
export const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// Two digits typed within this time name one head: 1 and 1 is head 11.
const SECOND_DIGIT_MS = 700;

export class Keys {
  constructor() {
    this.digits = "";
    this.typedAt = -Infinity;
  }

  // -> { act, ... } or null. `inControl` says that the focus is in a slider or a list, which keep their own keys.
  read(event, numHeads, inControl) {
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    if (event.key === "Escape") return { act: "release" };
    if (event.key === "[") return { act: "layer", by: -1 };
    if (event.key === "]") return { act: "layer", by: 1 };
    if (inControl) return null;
    if (STEPS[event.key]) return { act: event.shiftKey ? "read" : "move", step: STEPS[event.key] };
    if (/^[0-9]$/.test(event.key)) return { act: "head", head: this.#head(event, numHeads) };
    if (event.key === "a") return { act: "head", head: "all" };
    if (event.key === "m") return { act: "head", head: "mean" };
    if (event.key === "d") return { act: "direction" };
    if (event.key === "l") return { act: "links" };
    return null;
  }

  #head(event, numHeads) {
    const recent = event.timeStamp - this.typedAt < SECOND_DIGIT_MS;
    const both = Number(this.digits + event.key);
    this.digits = recent && both < numHeads ? this.digits + event.key : event.key;
    this.typedAt = event.timeStamp;
    return Math.min(Number(this.digits), numHeads - 1);
  }
}
