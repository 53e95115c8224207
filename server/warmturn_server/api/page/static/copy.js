/** Text into the clipboard, also where a page that did not come over TLS may not write it. */

import { byId, el } from "./dom.js";

const SAID_MS = 2000;

/** `text()` is asked when the button is pressed. */
export function copyButton(label, text) {
  const button = el("button", { class: "quiet", type: "button", onclick: () => copied(button, label, text()) }, label);
  return button;
}

async function copied(button, label, text) {
  const done = (await copy(text)) ? "Copied" : "Could not copy";
  button.textContent = done;
  byId("announcer").textContent = done;
  setTimeout(() => (button.textContent = label), SAID_MS);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return selectedAndCopied(text);
  }
}

function selectedAndCopied(text) {
  const holder = el("textarea", { class: "visually-hidden", "aria-hidden": "true", tabindex: -1 });
  const focused = document.activeElement;
  holder.value = text;
  document.body.append(holder);
  holder.select();
  const done = document.execCommand("copy");
  holder.remove();
  focused?.focus({ preventScroll: true });
  return done;
}
