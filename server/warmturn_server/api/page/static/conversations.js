/** The list of conversations, newest first. */

import * as api from "./api.js";
import { byId, el } from "./dom.js";
import { firstWords, numbered, title } from "./titles.js";
import { said } from "./turn.js";

const PAGE = 30;

export class Conversations {
  constructor() {
    this.list = byId("conversations");
    this.known = new Map();
    this.shown = new Map();
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
    await this.#nameUntitled();
  }

  /** What a new one is called: its first words, with a number if another one is called so. */
  titleFor(words) {
    return numbered(firstWords(words), [...this.shown.values()].map(title));
  }

  rename(conversation) {
    const item = this.known.get(conversation.id);
    if (!item) return;
    this.shown.set(conversation.id, conversation);
    item.firstElementChild.firstChild.replaceWith(title(conversation));
  }

  /** A new one comes first, a known one stays where it is. */
  add(conversation) {
    this.#show(conversation, true);
  }

  remove(id) {
    this.known.get(id)?.remove();
    this.known.delete(id);
    this.shown.delete(id);
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
    const item = el("li", { "data-id": conversation.id }, el("a", { href: `#/c/${conversation.id}` }, title(conversation), el("small", {}, when(conversation.created_at))));
    this.known.set(conversation.id, item);
    this.shown.set(conversation.id, conversation);
    if (first) this.list.prepend(item);
    else this.list.append(item);
  }

  /** Other clients give no titles: then the first words that were said stand for one. */
  async #nameUntitled() {
    for (const conversation of [...this.shown.values()].filter((each) => !each.metadata.title && each.words == null)) {
      const page = await api.get(`v1/conversations/${conversation.id}/items?limit=1&order=asc`).catch(() => ({ data: [] }));
      conversation.words = firstWords(page.data.map((item) => said(item, " ")).join(" "));
      if (conversation.words) this.rename(conversation);
    }
  }
}

function when(seconds) {
  const date = new Date(1000 * seconds);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(undefined, isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}
