/** Markdown as elements. Nothing is read as HTML at any point: markdown-it gives tokens, and a token becomes one of the
 * elements named below, or its text. So whatever a reply says, it can make nothing else. */

import { CodeBlock } from "./code.js";
import { el } from "./dom.js";
import { linked } from "./links.js";
import { steady } from "./steady.js";

const ELEMENTS = { paragraph: "p", heading: "h2", bullet_list: "ul", ordered_list: "ol", list_item: "li", blockquote: "blockquote", table: "table", thead: "thead", tbody: "tbody", tr: "tr", th: "th", td: "td", strong: "strong", em: "em", s: "s" };
const NOTHING = { blocks: 0, at: 0 };
const TOLD = ["type", "tag", "markup", "info", "content", "attrs", "children", "hidden"];

/** Underlined headings are left out: a list that begins under a line would make a heading of it for a moment. */
const parser = markdownit({ html: false, linkify: true, breaks: true }).disable("lheading");
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });

export class Markdown {
  constructor() {
    this.element = el("div", { class: "reply" });
    this.blocks = [];
    this.settled = NOTHING;
  }

  /** What stands there already and stays as it is keeps its elements, so that nothing flickers while a reply `grows`. */
  show(text, { grows = false } = {}) {
    if (!grows) this.settled = NOTHING;
    const rest = text.replace(/\r\n?/g, "\n").slice(this.settled.at);
    const wanted = topLevel(parser.parse(grows ? steady(rest) : rest, {}));
    this.#change(this.settled.blocks, wanted);
    if (grows) this.#settle(wanted, rest);
  }

  /** From the block `start` on. */
  #change(start, wanted) {
    const changed = wanted.findIndex((block, index) => block.key !== this.blocks[start + index]?.key);
    const kept = changed < 0 ? wanted.length : changed;
    const isExtended = goesOn(this.blocks[start + kept], wanted[kept]);
    if (isExtended) extend(this.blocks[start + kept], wanted[kept]);
    this.#replace(start + kept + isExtended, wanted.slice(kept + isExtended));
  }

  #replace(from, wanted) {
    for (const block of this.blocks.splice(from)) block.element.remove();
    for (const block of wanted) {
      Object.assign(block, built(block.tokens));
      this.element.append(block.element);
      this.blocks.push(block);
    }
  }

  /** What stands before the last two blocks cannot become anything else, so it is not read again at every token. */
  #settle(wanted, rest) {
    const done = wanted.length - 2;
    if (done < 1) return;
    const line = wanted[done].tokens[0].map[0];
    const length = rest.split("\n", line).join("\n").length + 1;
    this.settled = { blocks: this.settled.blocks + done, at: this.settled.at + length };
  }
}

function extend(block, { key, tokens }) {
  block.code.show(tokens[0].content);
  Object.assign(block, { key, tokens });
}

/** Runs of tokens that stand side by side at the top, each with all that it is made of as a `key`. */
function topLevel(tokens) {
  const blocks = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) blocks.push({ tokens: [] });
    blocks.at(-1).tokens.push(token);
    depth += token.nesting;
  }
  for (const block of blocks) block.key = JSON.stringify(block.tokens, TOLD);
  return blocks;
}

/** Code that grows at its end stays where it is scrolled to, and its button where it is focused. */
const goesOn = (before, now) => Boolean(before?.code && isCode(now?.tokens[0]) && before.tokens[0].info === now.tokens[0].info);

const isCode = (token) => token?.type === "fence" || token?.type === "code_block";

function built(tokens) {
  if (isCode(tokens[0])) {
    const code = codeOf(tokens[0]);
    return { code, element: code.element };
  }
  const [element] = nested(tokens);
  return { element: element instanceof Element ? element : el("p", {}, element) };
}

const codeOf = (token) => new CodeBlock(token.content, token.info.trim().split(/\s+/)[0]);

/** Elements of tokens that open, hold others and close. */
function nested(tokens) {
  const open = [{ children: [] }];
  for (const token of tokens) {
    if (token.nesting > 0) open.push({ token, children: [] });
    else if (token.nesting < 0) {
      const { token: opened, children } = open.pop();
      open.at(-1).children.push(...closed(opened, children));
    } else open.at(-1).children.push(...single(token));
  }
  return open[0].children;
}

function closed(token, children) {
  const kind = token.type.replace(/_open$/, "");
  if (kind === "link") return linked(token.attrGet("href"), children);
  if (!ELEMENTS[kind]) return children;
  if (kind === "paragraph" && token.hidden) return children;
  const element = el(ELEMENTS[kind], attributes(kind, token), ...children);
  return kind === "table" ? [el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table" }, element)] : [element];
}

function attributes(kind, token) {
  if (kind === "heading") return { class: `level-${token.markup.length}`, dir: "auto" };
  if (kind === "ordered_list") return { start: token.attrGet("start"), dir: "auto" };
  const aligned = /text-align:(center|right)/.exec(token.attrGet("style") ?? "");
  return aligned ? { class: aligned[1] } : { dir: token.block && kind !== "table" ? "auto" : null };
}

function single(token) {
  if (token.type === "inline") return nested(token.children);
  if (token.type === "softbreak" || token.type === "hardbreak") return [el("br")];
  if (token.type === "hr") return [el("hr")];
  if (token.type === "code_inline") return [el("code", {}, token.content)];
  if (token.type === "image") return linked(token.attrGet("src"), [token.content || "picture"]);
  if (isCode(token)) return [codeOf(token).element];
  return [token.content];
}
