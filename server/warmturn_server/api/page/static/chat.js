/** The conversation on the page: its turns, the one that runs, and what can be done with them. */

import * as api from "./api.js";
import { byId } from "./dom.js";
import { TurnView, isCall, said, thought } from "./turn.js";

const UNWANTED = 400;
const NOTICED_AFTER_TRIES = 10;
const TRY_AGAIN_MS = 200;

export class Chat {
  /** `composer` says how turns are asked, `titleOf(words)` what a new conversation is called; `onChange(conversation)`
   * hears of new and changed ones. */
  constructor(composer, titleOf, onChange, onFork) {
    this.composer = composer;
    this.titleOf = titleOf;
    this.onChange = onChange;
    this.list = byId("turns");
    const told = (act) => (turn) => act(turn).catch((error) => composer.complain(error.message));
    this.actions = [
      { label: "Ask again", title: "Take this turn back and ask it once more, with the reuse chosen below", onlyLast: true, run: told(() => this.again()) },
      { label: "Look back", title: "Show what this reply looked at in the earlier turns", needsResponse: true, run: told((turn) => turn.look()) },
      { label: "Branch", title: "Go on from here in a copy; this conversation stays as it is", run: told((turn) => onFork(this.conversation, turn.itemId)) },
    ];
    this.#clear(null);
  }

  get isRunning() {
    return this.running !== null;
  }

  get isEmpty() {
    return this.turns.length === 0;
  }

  /** `logged` are the turns in the server's log: what each cost, by the items that it made. */
  async show(conversation, items, logged) {
    await this.leave();
    this.#clear(conversation);
    const turnOf = new Map(logged.flatMap((turn) => turn.items.map((id) => [id, turn])));
    for (const item of items) this.#recall(item, turnOf.get(item.id));
    this.#settle();
  }

  /** A conversation in which nothing was said is not worth keeping; a reply that is left is kept as far as it came. */
  async leave() {
    const unspoken = this.#unspoken();
    this.stop();
    this.#clear(null);
    this.composer.running(false);
    if (unspoken) await api.removeConversation(unspoken.id).catch(() => {});
  }

  /** The page goes away; if it comes back, it is with an empty conversation again. */
  goAway() {
    const unspoken = this.#unspoken();
    if (!unspoken) return;
    this.conversation = null;
    api.removeAtLast(`v1/conversations/${unspoken.id}`);
  }

  #unspoken() {
    const isSpoken = this.isRunning || this.turns.some((turn) => turn.itemId);
    return this.createdHere && !isSpoken ? this.conversation : null;
  }

  /** Once a turn has begun, the server ends it and keeps what was said; its last event tells. Before, stopping twice gives it up. */
  stop() {
    const running = this.running;
    if (running?.responseId) {
      api.post(`v1/responses/${running.responseId}/cancel`).catch((error) => error.status === 400 || running.abort());
    } else if (running?.isToStop) running.abort();
    else if (running) running.isToStop = true;
  }

  async say(text) {
    await this.#run(this.#append(text));
  }

  /** What the next turn will say, so far: the server prepares it, unless it does not want to. */
  async typed(text) {
    if (!(this.conversation || text.trim()) || this.isRunning || this.preparesNot) return;
    const { instructions, reuse } = this.composer.options();
    if (reuse !== "state") return;
    try {
      const { id } = await this.#opened();
      await api.post(`v1/conversations/${id}/warm`, { input: text, instructions });
    } catch (error) {
      this.preparesNot = error.status === UNWANTED;
    }
  }

  async again() {
    const turn = this.turns.at(-1);
    if (this.isRunning || !turn?.itemId) return;
    const asked = turn.askedId ?? (await this.#lastItems()).at(-2).id;
    for (const item of [turn.itemId, asked]) await api.remove(`v1/conversations/${this.conversation.id}/items/${item}`);
    turn.itemId = turn.askedId = null;
    await this.#run(turn);
  }

  async #run(turn) {
    const running = (this.running = new AbortController());
    this.composer.running(true);
    turn.begin();
    this.#settle();
    scrollToEnd();
    try {
      await this.#converse(turn, running);
    } catch (error) {
      await this.#failed(turn, error, running);
    } finally {
      if (this.running === running) {
        this.running = null;
        this.composer.running(false);
      }
      this.#settle();
    }
  }

  async #converse(turn, running) {
    const conversation = await this.#entitled(turn.said, running.signal);
    const asked = { conversation: conversation.id, input: turn.said, on_disconnect: "keep", ...this.composer.options() };
    for await (const event of api.turn(asked, running.signal)) {
      if (event.type === "response.created") this.#begun(running, event.response.id);
      else if (event.type === "response.reasoning_text.delta") turn.think(turn.thought.textContent, event.delta);
      else if (event.type === "response.output_text.delta") this.#add(turn, event.delta);
      else if (event.type === "response.completed" || event.type === "response.incomplete") this.#finish(turn, event.response);
      else if (event.type === "response.failed") throw new api.ApiError(500, event.response.error.message);
    }
    if (!turn.itemId) throw new api.Unreachable(api.WENT_AWAY);
    this.onChange(conversation);
  }

  /** The conversation; where there is none, from now on: for who types, or who says something, whoever is first. */
  async #opened(title = "") {
    return this.conversation ?? (this.beginning ??= this.#create(title));
  }

  async #create(title) {
    const { turns } = this;
    try {
      const created = await api.post("v1/conversations", { metadata: { title, system: this.composer.system } });
      if (this.turns === turns) [this.conversation, this.createdHere] = [created, true];
      else if (!turns.length) await api.removeConversation(created.id);
      return created;
    } finally {
      if (this.turns === turns) this.beginning = null;
    }
  }

  /** One that was begun for typing is called by what is said in it first. */
  async #entitled(said, signal) {
    const title = this.titleOf(said);
    const opened = await this.#opened(title);
    signal.throwIfAborted();
    if (!this.createdHere || opened.metadata.title || opened !== this.conversation) return opened;
    const called = await api.post(`v1/conversations/${opened.id}`, { metadata: { title, system: this.composer.system } });
    if (this.conversation === opened) this.conversation = called;
    return called;
  }

  #begun(running, responseId) {
    running.responseId = responseId;
    if (running.isToStop && this.running === running) this.stop();
  }

  #add(turn, text) {
    const follow = isAtEnd();
    turn.add(text);
    if (follow) scrollToEnd();
  }

  #finish(turn, response, cut) {
    const follow = isAtEnd();
    turn.finish(response, { explained: this.#isNews(response.warmturn), cut });
    this.#settle();
    if (follow) scrollToEnd();
    byId("announcer").textContent = turn.announcement;
  }

  /** Each kind of turn is explained when it happens first. */
  #isNews(report) {
    const kind = `${report.reuse} ${report.cached_tokens > 0}`;
    return !this.explained.has(kind) && Boolean(this.explained.add(kind));
  }

  async #failed(turn, error, { signal, responseId }) {
    const kept = responseId && error instanceof api.Unreachable ? await keptReply(responseId) : null;
    if (!this.turns.includes(turn)) return;
    if (kept) {
      this.#finish(turn, kept, "The connection broke here.");
      return this.onChange(this.conversation);
    }
    turn.stopped(signal.aborted ? "Stopped before it began." : error.message);
    const isBack = this.composer.giveBack(turn.said);
    if (!signal.aborted) this.composer.complain(isBack ? `${error.message.replace(/\.$/, "")}; your message is back in the box.` : error.message);
  }

  /** Items come as messages; a turn is what was asked and the reply after it. */
  #recall(item, logged) {
    if (isCall(item)) return (this.turns.at(-1) ?? this.#append("")).called(item);
    const text = said(item, "\n");
    if (item.role === "assistant") {
      const turn = this.turns.at(-1)?.itemId === undefined && this.turns.length ? this.turns.at(-1) : this.#append("");
      turn.think(thought(item));
      turn.recall(text, item.status === "incomplete", logged);
      turn.itemId = item.id;
    } else if (item.role === "user") {
      this.#append(text).askedId = item.id;
    }
  }

  #append(said) {
    const turn = new TurnView(said, this.actions);
    this.turns.push(turn);
    this.list.append(turn.element);
    return turn;
  }

  async #lastItems() {
    const page = await api.get(`v1/conversations/${this.conversation.id}/items?limit=2&order=desc`);
    return page.data.reverse();
  }

  #settle() {
    const longest = Math.max(1, ...this.turns.map((turn) => turn.report?.prompt_tokens ?? 0));
    for (const turn of this.turns) {
      turn.scale(longest);
      turn.offer(turn === this.turns.at(-1) && !this.isRunning);
    }
    byId("empty").hidden = !this.isEmpty;
  }

  #clear(conversation) {
    this.conversation = conversation;
    this.beginning = null;
    this.createdHere = false;
    this.explained = new Set();
    this.running = null;
    this.turns = [];
    this.list.replaceChildren();
  }
}

/** What a server that is still there kept of a reply whose connection broke; it may take a step to notice. */
async function keptReply(responseId) {
  for (let tries = 0; tries < NOTICED_AFTER_TRIES; tries += 1) {
    try {
      return await api.get(`v1/responses/${responseId}`);
    } catch (error) {
      if (error instanceof api.Unreachable) return null;
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    }
  }
  return null;
}

const isAtEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
const scrollToEnd = () => scrollTo({ top: document.documentElement.scrollHeight });
