/** Puts the page together: the address says what is shown, `#/`, `#/c/ID` or `#/figures`. */

import * as api from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Conversations } from "./conversations.js";
import { byId } from "./dom.js";
import { showEmpty } from "./empty.js";
import { Figures } from "./figures.js";
import { askForKey } from "./key.js";
import { Samples } from "./samples.js";
import { Title, firstWords, title } from "./titles.js";
import { said } from "./turn.js";

api.onKeyNeeded(askForKey);

const composer = new Composer((text) => chat.say(text), () => chat.stop(), (text) => chat.typed(text));
const conversations = new Conversations();
const chat = new Chat(composer, (words) => conversations.titleFor(words), spoken, fork);
const heading = new Title(renamed, (message) => composer.complain(message));
const samples = new Samples();
const figures = new Figures(samples);

/** A turn ended: its conversation gets an address of its own, without loading it again. */
function spoken(conversation) {
  if (api.isGone(conversation.id)) return;
  conversations.add(conversation);
  if (chat.conversation !== conversation) return;
  if (location.hash !== address(conversation.id)) history.pushState(null, "", address(conversation.id));
  head(conversation);
}

function renamed(conversation) {
  conversations.rename(conversation);
  if (chat.conversation?.id !== conversation.id) return;
  chat.conversation = conversation;
  head(conversation);
}

async function fork(conversation, itemId) {
  const metadata = { ...conversation.metadata, title: conversations.titleFor(title(conversation)) };
  const copy = await api.post(`v1/conversations/${conversation.id}/fork`, { item_id: itemId, metadata });
  conversations.add(copy);
  location.hash = address(copy.id);
}

const address = (id) => `#/c/${id}`;

async function route() {
  const [, view, id] = location.hash.split("/");
  const isFigures = view === "figures";
  byId("chat").hidden = isFigures;
  byId("figures").hidden = !isFigures;
  current("to-figures", isFigures);
  current("to-chat", !isFigures);
  figures.shown(isFigures);
  if (isFigures) document.title = "Figures · Warmturn";
  else await open(view === "c" ? id : null);
}

/** Opens a conversation, or an empty page for a new one. */
async function open(id) {
  conversations.toggle(false);
  if (id !== null && id === chat.conversation?.id) return head(chat.conversation);
  if (id === null && chat.conversation === null && !chat.isEmpty) return head(null);
  composer.complain("");
  try {
    const conversation = id && (await api.get(`v1/conversations/${id}`));
    const [items, turns] = id ? await Promise.all([all(`v1/conversations/${id}/items`), all(`v1/conversations/${id}/turns`)]) : [[], []];
    if (conversation) conversation.words = firstWords(items.slice(0, 1).map((item) => said(item, " ")).join(" "));
    await chat.show(conversation, items, turns);
    composer.system = conversation?.metadata.system ?? "";
    head(conversation);
    scrollTo({ top: id ? document.documentElement.scrollHeight : 0 });
  } catch (error) {
    composer.complain(error.status === 404 ? "This conversation does not exist any more." : error.message);
  }
  return byId("input").focus({ preventScroll: true });
}

async function all(path) {
  const found = [];
  for (let after = ""; after !== null; ) {
    const page = await api.get(`${path}?limit=100&order=asc${after}`);
    found.push(...page.data);
    after = page.has_more ? `&after=${page.last_id}` : null;
  }
  return found;
}

function head(conversation) {
  heading.show(conversation);
  byId("delete").hidden = !conversation;
  byId("delete").textContent = "Delete";
  document.title = conversation ? `${title(conversation)} · Warmturn` : "Warmturn";
  conversations.mark(conversation?.id);
}

/** Asked twice, because it cannot be undone. */
async function removeCurrent() {
  if (byId("delete").textContent === "Delete") {
    byId("delete").textContent = "Really delete?";
    return;
  }
  const { id } = chat.conversation;
  chat.stop();
  try {
    await api.removeConversation(id);
  } catch (error) {
    return composer.complain(error.message);
  }
  conversations.remove(id);
  location.hash = "#/";
}

function current(id, isCurrent) {
  if (isCurrent) byId(id).setAttribute("aria-current", "page");
  else byId(id).removeAttribute("aria-current");
}

byId("delete").addEventListener("click", removeCurrent);
byId("delete").addEventListener("blur", () => (byId("delete").textContent = "Delete"));
addEventListener("hashchange", route);
addEventListener("pagehide", () => chat.goAway());
byId("new").addEventListener("click", () => location.hash === "#/" && route());
showEmpty(composer, samples);
samples.start();
route();
conversations.load().catch((error) => composer.complain(error.message));
