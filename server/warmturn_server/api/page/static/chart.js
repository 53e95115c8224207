/** One chart: a heading, uPlot's canvas, and the same values as a table for everybody who does not see the canvas. */

import { colour, el } from "./dom.js";
import { spelled } from "./words.js";

const HEIGHT = 160;
const TIME_AXIS = 26;
const VALUE_AXIS = 62;
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300];
const FONT = "11px system-ui, sans-serif";

export class Chart {
  /** See `panels.js` for what a panel says of itself. */
  constructor(panel) {
    this.panel = panel;
    this.canvas = el("div", { class: "canvas", "aria-hidden": "true" });
    this.body = el("tbody");
    this.heads = panel.columns.map((column) => el("th", { scope: "col" }, column.head));
    this.when = el("td", { class: "hint" });
    const table = el("table", { "aria-labelledby": `title-${panel.id}` }, el("thead", {}, el("tr", {}, this.when, ...this.heads)), this.body);
    this.element = el("section", { class: "panel", id: `panel-${panel.id}`, "aria-labelledby": `title-${panel.id}` }, el("h2", { id: `title-${panel.id}` }, panel.title), el("p", { class: "hint" }, panel.says), this.canvas, table);
    this.names = [];
    this.rows = [];
    new ResizeObserver(() => this.#resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
  }

  update(rows) {
    this.rows = rows;
    const latest = rows.findLast((row) => row.stats);
    const names = latest ? this.panel.names(latest.stats) : [];
    if (names.join() !== this.names.join()) {
      this.names = names;
      this.#rebuild();
    }
    this.plot?.setData(this.#data());
    if (this.plot?.cursor.idx == null) this.#tell(latest, "now");
  }

  #data() {
    const lines = this.names.map((name) => this.rows.map((row) => (row.stats ? (this.panel.value(row, name) ?? null) : null)));
    return [this.rows.map((row) => row.time), ...(this.panel.stacked ? stacked(lines) : lines)];
  }

  #rebuild() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.names.length || !this.canvas.clientWidth) return;
    this.plot = new uPlot(this.#options(), this.#data(), this.canvas);
  }

  #resize() {
    if (!this.plot) this.#rebuild();
    else if (this.canvas.clientWidth) this.plot.setSize({ width: this.canvas.clientWidth, height: HEIGHT });
  }

  #options() {
    const axis = { stroke: colour("ink-2"), font: FONT, grid: { stroke: colour("rule"), width: 1 }, ticks: { show: false } };
    return {
      width: this.canvas.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { sync: { key: "figures" }, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { y: { range: (_plot, low, high) => [Math.min(1.1 * low, 0), high > 0 ? 1.1 * high : 1] } },
      axes: [
        { ...axis, grid: { show: false }, size: TIME_AXIS, space: 80, incrs: SECONDS, values: (_plot, times) => times.map(clock) },
        { ...axis, size: VALUE_AXIS, space: 34, incrs: this.panel.steps, values: (_plot, values) => values.map((value) => (value ? this.panel.label(value) : "0")) },
      ],
      series: [{}, ...this.names.map((name, index) => this.#series(name, index))],
      hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx)] },
    };
  }

  #series(name, index) {
    const stroke = colour(this.panel.colour(name, index));
    const fill = this.panel.stacked ? stroke : undefined;
    const step = this.panel.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined;
    return { label: name, stroke, fill, width: this.panel.stacked ? 0 : 1.75, paths: step, points: { show: false } };
  }

  #point(index) {
    const row = index == null ? null : this.rows[index];
    if (row?.stats) this.#tell(row, `at ${clock(row.time)}`);
    else this.#tell(this.rows.findLast((each) => each.stats), "now");
  }

  #tell(row, when) {
    if (!row) return;
    this.when.textContent = when;
    this.body.replaceChildren(...this.names.map((name, index) => this.#line(row, name, index)));
  }

  #line(row, name, index) {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = `var(--${this.panel.colour(name, index)})`;
    const cells = this.panel.columns.map((column) => {
      const value = column.value(row, name) ?? null;
      return el("td", {}, el("data", { value: value ?? "" }, column.text(value)));
    });
    return el("tr", { "data-name": name }, el("th", { scope: "row" }, swatch, spelled(name)), ...cells);
  }
}

/** Sums from below; painted from the highest to the lowest, so every layer shows only its own part. */
function stacked(lines) {
  const sums = [];
  for (const line of [...lines].reverse()) {
    const below = sums.at(-1);
    sums.push(line.map((value, index) => (value === null ? null : value + (below?.[index] ?? 0))));
  }
  return sums.reverse();
}

const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB");
