// Takes a photograph with the camera: with the camera app on a phone, and elsewhere with a live video and two buttons that cover
// the element it is added to.

import { element } from "./dom.js";

const QUALITY = 0.92; // JPEG quality
const REASONS = { NotAllowedError: "camera_denied", NotFoundError: "camera_none", NotReadableError: "camera_busy" };

export class Camera {
  // words: Words with the keys that begin with "camera". taken: called with a File. failed: called with the reason as a text.
  constructor(words, { taken, failed }) {
    Object.assign(this, { words, taken, failed });
    this.opened = 0; // count of opening and closing; if it has changed during an await, the result is ignored
    this.video = element("video", { "aria-label": words.format("camera_label"), playsinline: true });
    this.video.muted = true;
    this.take = element("button", { class: "take", type: "button", text: words.format("camera_take"), disabled: true, onclick: () => this.#take() });
    const leave = element("button", { class: "link", type: "button", text: words.format("camera_close"), onclick: () => this.close() });
    // Devices whose primary pointer is coarse open their camera app through a file input. This also works without https, where
    // getUserMedia is not available.
    this.input = element("input", { type: "file", accept: "image/*", capture: "environment", hidden: true });
    this.input.addEventListener("change", () => {
      const [file] = this.input.files;
      this.input.value = "";
      if (file) taken(file);
    });
    this.node = element("div", { class: "camera", hidden: true }, this.video, element("div", {}, this.take, leave));
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
    this.tile = element("button", { class: "tile", type: "button", text: words.format("camera"), onclick: () => this.open() });
    this.tile.hidden = !navigator.mediaDevices && !this.#byProgram;
  }

  get #byProgram() {
    return window.matchMedia("(pointer: coarse)").matches;
  }

  async open() {
    if (this.#byProgram) return this.input.click();
    if (this.video.srcObject) return this.take.focus();
    const number = ++this.opened;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
      if (number !== this.opened) return stop(stream);
      this.video.srcObject = stream;
      this.node.hidden = false;
      await this.video.play();
      if (number !== this.opened) return;
      this.take.disabled = false;
      this.take.focus();
    } catch (error) {
      if (number !== this.opened) return;
      this.close();
      this.failed(REASONS[error.name] ? this.words.format(REASONS[error.name]) : error.message);
    }
  }

  // Stops the video stream, so that the browser turns the camera off.
  close() {
    this.opened++;
    const focused = this.node.contains(this.node.getRootNode().activeElement);
    if (this.video.srcObject) stop(this.video.srcObject);
    this.video.srcObject = null;
    this.take.disabled = this.node.hidden = true;
    if (focused) this.tile.focus();
  }

  async #take() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.video.videoWidth, this.video.videoHeight];
    canvas.getContext("2d").drawImage(this.video, 0, 0);
    const number = this.opened;
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    if (number !== this.opened) return;
    this.close();
    if (blob) this.taken(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
