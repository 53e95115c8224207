/** What a reply looked at: for each of its tokens, how strongly every layer attended to earlier turns, and to which
 * of their tokens. The server computes it from the saved state when it is asked for. */

import * as api from "./api.js";
import { el } from "./dom.js";

const WORTH = 0.03;
const NAMES = { template: "the template around the messages", instructions: "the instructions", reply: "this reply so far", sink: "no token (sink)" };

/** The panel for a turn that the server has in its log. */
export async function lookBack(responseId) {
  const response = await api.get(`v1/responses/${responseId}?include=warmturn.lookback`);
  const found = response.warmturn.lookback;
  return found?.looks.length ? new LookbackView(found).element : el("p", { class: "remark" }, "The server cannot tell what this reply looked at.");
}

class LookbackView {
  constructor(lookback) {
    this.lookback = lookback;
    this.finding = el("p", { class: "finding", "aria-live": "polite" });
    this.detail = el("div", { class: "detail" });
    this.tokens = lookback.looks.map((look) => this.#token(look));
    this.element = el(
      "div",
      { class: "lookback", role: "group", "aria-label": "What this reply looked at" },
      el("p", { class: "hint" }, "A token is chosen by looking at the saved state of earlier ones, in each layer at its own depth. Choose a token of the reply:"),
      el("div", { class: "tokens", role: "group", "aria-label": "Tokens of the reply" }, ...this.tokens),
      this.finding,
      this.detail,
      whole(lookback),
    );
    this.#choose(lookback.looks.reduce((best, look) => ((strongest(look)?.token_share ?? 0) > (strongest(best)?.token_share ?? 0) ? look : best)));
  }

  #token(look) {
    const share = strongest(look)?.token_share ?? 0;
    const button = el("button", { type: "button", title: `up to ${percent(share)} on one earlier token`, onclick: () => this.#choose(look) }, shown(look.text));
    tint(button, share);
    return button;
  }

  #choose(look) {
    this.lookback.looks.forEach((each, index) => this.tokens[index].setAttribute("aria-pressed", each === look));
    this.finding.textContent = this.#sentence(look);
    this.detail.replaceChildren(this.#sources(look), this.#layers(look));
  }

  #sentence(look) {
    const best = strongest(look);
    if (!best) return "There is no earlier turn to look at.";
    if (best.token_share < WORTH) return `To choose “${shown(look.text)}”, no layer gave ${percent(WORTH)} of its attention to one token of an earlier turn.`;
    const token = this.lookback.tokens[best.position];
    const source = this.lookback.sources[token.source];
    return `To choose “${shown(look.text)}”, layer ${best.layer} gave ${percent(best.token_share)} of its attention to “${shown(token.text)}”, which ${source.role === "user" ? "you said" : "the model said"} in turn ${source.turn}.`;
  }

  /** Whose state was looked at, over all layers, with the tokens that got most of it marked in the text. */
  #sources(look) {
    const marks = this.#marks(look);
    const rows = this.lookback.sources.map((source, number) => {
      const share = look.shares[number];
      if (source.kind === "sink" && !share) return null;
      return el("tr", {}, el("th", { scope: "row" }, el("small", {}, who(source)), marked(source.text || NAMES[source.kind], marks.filter((mark) => mark.source === number))), el("td", {}, percent(share)), el("td", {}, meter(share)));
    });
    return el("table", { class: "sources" }, el("caption", {}, "Whose state it looked at, all layers together"), el("tbody", {}, ...rows.filter(Boolean)));
  }

  /** In which layer: what each of them looked at most among the earlier turns. */
  #layers(look) {
    const rows = look.by_layer.map((depth, layer) => {
      const token = depth && this.lookback.tokens[depth.position];
      return el("tr", {}, el("th", { scope: "row" }, String(layer)), el("td", { class: "token" }, token ? `“${shown(token.text)}”` : "nothing earlier"), el("td", {}, depth ? percent(depth.token_share) : "–"), el("td", {}, meter(depth?.token_share ?? 0)));
    });
    const head = el("tr", {}, el("th", { scope: "col" }, "layer"), el("th", { scope: "col" }, "most on, of earlier turns"), el("th", { scope: "col" }, "attention"), el("td"));
    return el("table", { class: "depths" }, el("caption", {}, "Layer by layer"), el("thead", {}, head), el("tbody", {}, ...rows));
  }

  /** Runs of neighbouring tokens of one source: together they are found in its text, each is marked by its own share. */
  #marks(look) {
    const shares = new Map();
    const seen = [...look.top.map((top) => [top.position, top.share]), ...look.by_layer.filter(Boolean).map((depth) => [depth.position, depth.token_share])];
    for (const [position, share] of seen) if (share >= WORTH) shares.set(position, Math.max(share, shares.get(position) ?? 0));
    const runs = [];
    for (const position of [...shares.keys()].sort((a, b) => a - b)) {
      const { text, source } = this.lookback.tokens[position];
      const last = runs.at(-1);
      const piece = { text, share: shares.get(position) };
      if (last?.end === position && last.source === source) Object.assign(last, { end: position + 1, text: last.text + text, pieces: [...last.pieces, piece] });
      else runs.push({ end: position + 1, source, text, pieces: [piece] });
    }
    return runs;
  }
}

/** All tokens of the reply together: one row a source, one column a layer. */
function whole(lookback) {
  const layers = lookback.layers;
  const rows = lookback.sources.map((source, number) => {
    if (!layers.some((layer) => layer.shares[number])) return null;
    const cells = layers.map((layer, index) => {
      const cell = el("td", { title: `layer ${index}: ${percent(layer.shares[number])}` }, el("span", { class: "visually-hidden" }, percent(layer.shares[number])));
      tint(cell, layer.shares[number]);
      return cell;
    });
    return el("tr", {}, el("th", { scope: "row" }, el("small", {}, who(source)), source.text || NAMES[source.kind]), ...cells);
  });
  const head = el("tr", {}, el("td"), ...layers.map((_, index) => el("th", { scope: "col" }, String(index))));
  const table = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows.filter(Boolean)));
  return el("details", { class: "whole" }, el("summary", {}, "The whole reply, by layer"), el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Attention by layer" }, table));
}

function strongest(look) {
  const depths = look.by_layer.map((depth, layer) => depth && { ...depth, layer }).filter(Boolean);
  return depths.length ? depths.reduce((best, depth) => (depth.token_share > best.token_share ? depth : best)) : null;
}

/** Only where it cannot be mistaken: text that occurs more than once is not marked. */
function marked(text, marks) {
  const line = el("span", {});
  let position = 0;
  for (const run of marks) {
    const start = onlyPlace(text, run.text);
    if (start === null || start < position) continue;
    line.append(text.slice(position, start));
    for (const { text: part, share } of trimmed(run.pieces)) line.append(...highlighted(part, share));
    position = start + run.text.trim().length;
  }
  line.append(text.slice(position));
  return line;
}

function onlyPlace(text, part) {
  const place = part.trim() ? text.indexOf(part.trim()) : -1;
  return place >= 0 && place === text.lastIndexOf(part.trim()) ? place : null;
}

/** Without the space before the first piece and behind the last one. */
function trimmed(pieces) {
  return pieces.map(({ text, share }, index) => ({ text: index ? text : text.trimStart(), share })).map(({ text, share }, index) => ({ text: index < pieces.length - 1 ? text : text.trimEnd(), share }));
}

/** The space that a token begins with is not marked. */
function highlighted(part, share) {
  const mark = el("mark", { title: percent(share) }, part.trimStart());
  tint(mark, share);
  return [part.slice(0, part.length - part.trimStart().length), mark];
}

function who(source) {
  if (source.turn == null) return "";
  return `turn ${source.turn}, ${source.role === "user" ? "you" : "reply"}`;
}

function meter(share) {
  const length = el("span", { class: "length state" });
  length.style.width = `${100 * share}%`;
  return length;
}

/** Warmer the more attention; ink stays readable on it. */
function tint(element, share) {
  element.style.backgroundColor = `color-mix(in srgb, var(--mark) ${Math.round(70 * Math.sqrt(share))}%, transparent)`;
}

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const shown = (text) => text.replaceAll("\n", "⏎").trim() || "␣";
