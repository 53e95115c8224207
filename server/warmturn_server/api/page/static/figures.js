/** The view of the server's figures; it follows `Samples` while it is shown. */

import { Chart } from "./chart.js";
import { byId, el } from "./dom.js";
import { doubts } from "./doubts.js";
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
    if (latest?.stats) this.#tell(latest, doubts(latest.stats));
  }

  #tell(latest, uncertain) {
    const about = new Set(uncertain.map((doubt) => doubt.about));
    byId("headline").replaceChildren(...HEADLINE.map((figure) => headline(figure, latest, about.has(figure.about))));
    byId("doubts").replaceChildren(...uncertain.map((doubt) => el("li", {}, `${doubt.about}: ${doubt.words}`)));
  }
}

/** What is uncertain has a mark, and the list below says why. */
function headline({ name, value, says }, row, isUncertain) {
  const mark = isUncertain && el("a", { class: "mark", href: "#doubts", onclick: toDoubts, "aria-label": "uncertain: why", title: "uncertain: why" }, "†");
  return el("div", {}, el("dt", {}, name), el("dd", {}, value(row), mark || "", el("small", {}, typeof says === "function" ? says(row) : says)));
}

/** The address says which view is shown; it stays. */
function toDoubts(event) {
  event.preventDefault();
  byId("doubts").scrollIntoView({ block: "center" });
}
