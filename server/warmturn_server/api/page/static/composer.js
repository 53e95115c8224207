/** Where a turn is written, and how it shall be asked. */

import { byId } from "./dom.js";

const PAUSE_MS = 300;
const HINTS = {
  state: "goes on from saved state and computes only what is new",
  prompt: "computes the whole conversation again, as a server does that keeps nothing",
  nothing: "no cache at all: the whole conversation again for every token",
};

export class Composer {
  /** `onSay(text)` when something is to be said, `onStop()` when enough was, `onTyped(text)` when typing pauses. */
  constructor(onSay, onStop, onTyped) {
    this.onSay = onSay;
    this.onStop = onStop;
    this.onTyped = onTyped;
    this.form = byId("composer");
    this.input = byId("input");
    this.form.addEventListener("submit", (event) => this.#submit(event));
    this.form.addEventListener("change", () => this.#hint());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("input", () => {
      this.#grow();
      this.#paused();
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.isRunning && onStop());
    byId("stop").addEventListener("click", onStop);
    this.#hint();
  }

  get reuse() {
    return this.form.elements.reuse.value;
  }

  get system() {
    return byId("system").value.trim();
  }

  set system(text) {
    byId("system").value = text;
  }

  options() {
    const options = { reuse: this.reuse };
    const temperature = byId("temperature").valueAsNumber;
    if (Number.isFinite(temperature)) options.temperature = temperature;
    const longest = byId("max-tokens").valueAsNumber;
    if (longest >= 1) options.max_output_tokens = Math.floor(longest);
    if (this.system) options.instructions = this.system;
    return options;
  }

  running(isRunning) {
    const hadFocus = this.form.contains(document.activeElement) || document.activeElement === document.body;
    this.isRunning = isRunning;
    byId("stop").hidden = !isRunning;
    byId("send").hidden = isRunning;
    if (isRunning) this.complain("");
    if (hadFocus) this.input.focus();
  }

  complain(text) {
    byId("notice").textContent = text;
  }

  suggest(text) {
    this.input.value = text;
    this.#grow();
    this.input.focus();
  }

  /** What was not kept is not lost: it can be sent again, unless something else is there already. Whether it is. */
  giveBack(text) {
    if (!this.input.value) this.suggest(text);
    return this.input.value === text;
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text || this.isRunning) return;
    this.input.value = "";
    clearTimeout(this.pause);
    this.#grow();
    this.onSay(text);
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  #paused() {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.onTyped?.(this.input.value), PAUSE_MS);
  }

  #grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, innerHeight / 3)}px`;
  }

  #hint() {
    byId("reuse-hint").textContent = HINTS[this.reuse];
  }
}
