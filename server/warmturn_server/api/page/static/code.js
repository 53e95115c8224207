/** A block of code: what it is written in, its text, and a button that copies it. */

import { copyButton } from "./copy.js";
import { el } from "./dom.js";

export class CodeBlock {
  constructor(text, language) {
    this.code = el("code");
    this.element = el(
      "div",
      { class: "code" },
      el("div", { class: "code-head" }, el("span", {}, language || "text"), copyButton("Copy code", () => this.code.textContent)),
      el("pre", { tabindex: 0, role: "group", "aria-label": language ? `Code, ${language}` : "Code" }, this.code),
    );
    this.show(text);
  }

  show(text) {
    this.code.textContent = text;
  }
}
