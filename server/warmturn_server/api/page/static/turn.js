/** One turn on the page: what was said, the reply as it comes, and what it cost. */

import { explanation, turnLine, turnParts, usedTiers } from "./account.js";
import { copyButton } from "./copy.js";
import { byId, el } from "./dom.js";
import { lookBack } from "./lookback.js";
import { Markdown } from "./markdown.js";
import { count, milliseconds } from "./words.js";

const CUT = "This reply was cut at its token limit.";
const STOPPED = "This reply was stopped here.";
const SHORT = "This reply is not whole.";
const THOUGHT = "Thought";

export class TurnView {
  /** `actions` are buttons for a finished turn: `[{ label, title, run: (turn) => ... }]`. */
  constructor(said, actions = []) {
    this.said = said;
    this.report = null;
    this.actions = actions;
    this.text = "";
    this.reply = new Markdown();
    this.thought = el("p");
    this.thinking = el("summary");
    this.folded = el("details", { class: "thought", hidden: true }, this.thinking, this.thought);
    this.calls = el("div", { class: "calls" });
    this.note = el("div", { class: "note", role: "group", "aria-label": "What this turn cost" });
    this.asked = el("p", { class: "asked" }, el("span", { class: "visually-hidden" }, "You: "), said);
    this.tools = el("p", { class: "tools" });
    this.element = el("li", { class: "turn" }, el("article", {}, said && this.asked, this.folded, this.calls, this.reply.element, this.tools), this.note);
    this.attempts = [];
    this.panel = null;
  }

  begin() {
    this.#closePanel();
    this.element.classList.remove("stopped");
    this.element.setAttribute("aria-busy", "true");
    this.#say("");
    this.think("");
    this.note.replaceChildren();
  }

  add(text) {
    if (!this.text) this.thinking.textContent = THOUGHT;
    this.#say(this.text + text, { grows: true });
  }

  /** What the model said to itself, folded away. */
  think(text, more = "") {
    this.thought.textContent = text + more;
    this.thinking.textContent = this.isRunning && !this.text ? "Thinking …" : THOUGHT;
    this.folded.hidden = !this.thought.textContent;
  }

  get isRunning() {
    return this.element.hasAttribute("aria-busy");
  }

  /** A function that the model called, or what came of it: one line. */
  called(item) {
    this.calls.append(el("p", {}, item.type === "function_call" ? `called ${item.name}(${item.arguments})` : `result: ${item.output}`));
  }

  /** A reply from an earlier visit, with what the log says it cost; items put in by hand cost nothing. */
  recall(text, incomplete, logged) {
    this.#say(text);
    if (logged) this.#account(logged.warmturn);
    this.responseId = logged?.id;
    if (incomplete) this.note.append(remark(SHORT));
  }

  finish(response, { explained, cut = STOPPED }) {
    const report = response.warmturn;
    this.#end();
    const messages = response.output.filter((item) => item.type === "message");
    this.itemId = messages[0]?.id;
    this.responseId = response.id;
    this.#say(messages.map((item) => said(item, "")).join(""));
    this.think(response.output.map(thought).join(""));
    this.calls.replaceChildren();
    for (const item of response.output.filter(isCall)) this.called(item);
    this.attempts.push({ reuse: report.reuse, ttft_ms: report.ttft_ms });
    this.#account(report);
    if (this.attempts.length > 1) this.note.append(comparison(this.attempts));
    if (explained) this.note.append(el("p", { class: "explanation" }, explanation(report)));
    if (response.status === "incomplete") this.note.append(remark(response.incomplete_details ? CUT : cut));
  }

  /** Only the last turn can be taken back; any reply can be branched from. */
  offer(isLast) {
    const offered = this.actions.filter((action) => this.itemId && (isLast || !action.onlyLast) && (this.responseId || !action.needsResponse));
    const copying = this.text && !this.isRunning ? [copyButton("Copy", () => this.text)] : [];
    this.tools.replaceChildren(...copying, ...offered.map((action) => this.#button(action)));
  }

  stopped(reason) {
    this.#end();
    this.#say(this.text);
    this.element.classList.add("stopped");
    this.note.append(remark(reason));
  }

  /** The bar's length is the prompt's, against the longest prompt on the page. */
  scale(longestPrompt) {
    const shown = this.note.querySelector(".bar");
    if (shown) shown.style.width = `${Math.max((100 * this.report.prompt_tokens) / longestPrompt, 6)}%`;
  }

  get announcement() {
    return `${this.text} ${turnLine(this.report)}`;
  }

  /** Opens the panel about this reply, or closes it. */
  async look() {
    if (this.panel) return this.#closePanel();
    this.panel = await lookBack(this.responseId);
    this.element.firstElementChild.append(this.panel);
    this.#show(this.panel);
  }

  /** The composer lies over the end of the page; what opens behind it would not be seen. */
  #show(panel) {
    panel.style.scrollMarginBottom = `${byId("composer").offsetHeight}px`;
    panel.scrollIntoView({ block: "nearest" });
  }

  #closePanel() {
    this.panel?.remove();
    this.panel = null;
  }

  #say(text, how) {
    this.text = text;
    this.reply.show(text, how);
  }

  #account(report) {
    this.report = report;
    this.note.append(bar(report), line(report));
  }

  #end() {
    this.element.removeAttribute("aria-busy");
  }

  #button({ label, title, run }) {
    return el("button", { class: "quiet", type: "button", title, onclick: () => run(this) }, label);
  }
}

/** The prompt from its first to its last token: what was reused, then what was computed. */
export function bar(report) {
  const parts = [...usedTiers(report), ["computed", report.prefilled_tokens]].filter(([, number]) => number);
  const spoken = parts.map(([source, number]) => `${count(number)} ${source}`).join(", ");
  const track = el("div", { class: "bar", role: "img", "aria-label": `Prompt tokens by source: ${spoken}` });
  for (const [source, number] of parts) {
    const piece = el("span", { class: `piece ${source}`, title: `${count(number)} tokens ${source}` });
    piece.style.flexGrow = number;
    track.append(piece);
  }
  return track;
}

function line(report) {
  const shown = el("p", { class: "line" });
  turnParts(report).forEach((part, index) => {
    if (index) shown.append(el("span", { class: "dot" }, " · "));
    shown.append(el("span", {}, part));
  });
  return shown;
}

/** The same turn asked in several ways: the shorter the bar, the sooner the first word. */
function comparison(attempts) {
  const slowest = Math.max(...attempts.map((attempt) => attempt.ttft_ms ?? 0));
  const rows = attempts.map(({ reuse, ttft_ms }) => {
    const length = el("span", { class: `length ${reuse}` });
    length.style.width = `${slowest ? (100 * (ttft_ms ?? 0)) / slowest : 0}%`;
    return el("tr", {}, el("th", { scope: "row" }, reuse), el("td", {}, milliseconds(ttft_ms)), el("td", {}, length));
  });
  const caption = el("caption", {}, "Time to first token, this turn");
  return el("table", { class: "comparison" }, caption, el("tbody", {}, ...rows));
}

/** The text of an item without what was thought, and that alone. */
export const said = (item, between) => texts(item, (part) => part.type !== "reasoning_text").join(between);
export const thought = (item) => texts(item, (part) => part.type === "reasoning_text").join("");
export const isCall = (item) => item.type === "function_call" || item.type === "function_call_output";
const texts = (item, isMeant) => (item.content ?? []).filter(isMeant).map((part) => part.text);

const remark = (text) => el("p", { class: "remark" }, text);
