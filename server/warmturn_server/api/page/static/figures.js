/** The view of the server's figures; it follows `Samples` while it is shown. */

import { Chart } from "./chart.js";
import { byId, el } from "./dom.js";
import { HEADLINE, PANELS } from "./panels.js";

export class Figures {
  constructor(samples) {
    this.samples = samples;
    this.isShown = false;
    this.charts = PANELS.map((panel) => new Chart(panel));
    byId("charts").append(...this.charts.map((chart) => chart.element));
    samples.listen(() => this.#update());
  }

  shown(isShown) {
    this.isShown = isShown;
    this.#update();
  }

  #update() {
    if (!this.isShown) return;
    for (const chart of this.charts) chart.update(this.samples.rows);
    const latest = this.samples.rows.at(-1);
    byId("figures-note").textContent = latest && !latest.stats ? "The server does not answer; these are its last figures." : "Every two seconds, from /v1/stats. Point at a chart for its values at that moment.";
    if (latest?.stats) byId("headline").replaceChildren(...HEADLINE.map((figure) => headline(figure, latest)));
  }
}

function headline({ name, value, says }, row) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value(row), el("small", {}, typeof says === "function" ? says(row) : says)));
}
