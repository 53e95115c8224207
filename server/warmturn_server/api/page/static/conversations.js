/** The list of conversations, newest first. */

import * as api from "./api.js";
import { byId, el } from "./dom.js";

const PAGE = 30;

export class Conversations {
  constructor() {
    this.list = byId("conversations");
    this.known = new Map();
    byId("more").addEventListener("click", () => this.load());
    byId("rail-toggle").addEventListener("click", () => this.toggle());
  }

  /** On a phone the list is folded away until it is asked for. */
  toggle(open = byId("rail-toggle").getAttribute("aria-expanded") !== "true") {
    byId("rail-toggle").setAttribute("aria-expanded", open);
  }

  /** The next page: what comes after the last one shown, whichever that is after deletions. */
  async load() {
    const last = this.list.lastElementChild;
    const after = last ? `&after=${last.dataset.id}` : "";
    const page = await api.get(`v1/conversations?limit=${PAGE}${after}`);
    for (const conversation of page.data) this.#show(conversation, false);
    byId("more").hidden = !page.has_more;
  }

  /** A new one comes first, a known one stays where it is. */
  add(conversation) {
    this.#show(conversation, true);
  }

  remove(id) {
    this.known.get(id)?.remove();
    this.known.delete(id);
  }

  mark(id) {
    for (const [each, item] of this.known) {
      const link = item.firstElementChild;
      if (each === id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  #show(conversation, first) {
    if (this.known.has(conversation.id)) return;
    const item = el("li", { "data-id": conversation.id }, el("a", { href: `#/c/${conversation.id}` }, title(conversation), el("small", {}, day(conversation.created_at))));
    this.known.set(conversation.id, item);
    if (first) this.list.prepend(item);
    else this.list.append(item);
  }
}

export const title = (conversation) => conversation.metadata.title || "Untitled";

function day(seconds) {
  const date = new Date(1000 * seconds);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? { timeStyle: "short" } : { dateStyle: "medium" });
}
