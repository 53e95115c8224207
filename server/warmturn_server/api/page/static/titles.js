/** What conversations are called, so that they can be told apart, and giving one another name. */

import * as api from "./api.js";
import { byId } from "./dom.js";

const LENGTH = 60;

export const title = (conversation) => conversation.metadata.title || conversation.words || "Untitled";

export function firstWords(text) {
  const words = text.split(/\s+/).filter(Boolean).join(" ");
  return words.length > LENGTH ? `${words.slice(0, LENGTH).replace(/\s+\S*$/, "")} …` : words;
}

/** `Hello!`, or `Hello! (2)` where another one is called `Hello!` already. */
export function numbered(name, others) {
  const base = name.replace(/ \(\d+\)$/, "");
  let wanted = name;
  for (let number = 2; others.includes(wanted); number += 1) wanted = `${base} (${number})`;
  return wanted;
}

/** The head of a conversation, which turns into a field while it is renamed. */
export class Title {
  /** `onRename(conversation)` hears what it is called from now on. */
  constructor(onRename, onError) {
    this.onRename = onRename;
    this.onError = onError;
    byId("rename").addEventListener("click", () => this.#edit(true));
    byId("title-form").addEventListener("submit", (event) => this.#submit(event));
    byId("title-input").addEventListener("blur", () => this.#edit(false));
    byId("title-input").addEventListener("keydown", (event) => this.#key(event));
  }

  /** What is being typed stays, if it is the same conversation that is shown anew. */
  show(conversation) {
    const isEdited = !byId("title-form").hidden && conversation?.id === this.conversation?.id;
    this.conversation = conversation;
    byId("title").textContent = conversation ? title(conversation) : "New conversation";
    byId("rename").hidden = !conversation;
    if (!isEdited) this.#edit(false);
  }

  #edit(isEdited) {
    byId("title-form").hidden = !isEdited;
    byId("title").classList.toggle("visually-hidden", isEdited || !this.conversation);
    if (!isEdited) return;
    byId("title-input").value = title(this.conversation);
    byId("title-input").select();
  }

  #key(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.#edit(false);
    byId("rename").focus();
  }

  async #submit(event) {
    event.preventDefault();
    const wanted = byId("title-input").value.trim();
    const { id, metadata } = this.conversation;
    this.#edit(false);
    byId("rename").focus();
    if (!wanted) return;
    try {
      this.onRename(await api.post(`v1/conversations/${id}`, { metadata: { ...metadata, title: wanted } }));
    } catch (error) {
      this.onError(error.message);
    }
  }
}
