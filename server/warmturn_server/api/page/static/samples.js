/** `/v1/stats` every two seconds, and what can be said from one to the next. */

import * as api from "./api.js";
import { byId } from "./dom.js";

const INTERVAL_MS = 2000;
const KEPT = 450;

export class Samples {
  constructor() {
    this.stats = null;
    this.rows = [];
    this.listeners = [];
  }

  listen(listener) {
    this.listeners.push(listener);
  }

  /** Asks for as long as the page is looked at. */
  async start() {
    for (;;) {
      if (!document.hidden) await this.#sample();
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }

  async #sample() {
    try {
      const stats = await api.get("v1/stats");
      this.rows = [...this.rows, row(stats, this.stats, Date.now() / 1000)].slice(-KEPT);
      this.stats = stats;
      tell(stats.running ? "busy" : "ready", status(stats));
    } catch (error) {
      this.rows = [...this.rows, { time: Date.now() / 1000, stats: null, rates: {} }].slice(-KEPT);
      tell("away", error.message);
    }
    for (const listener of this.listeners) listener();
  }
}

/** Rates are differences of totals; another process counts from zero, so there is none across a restart. */
export function row(stats, before, time) {
  return { time, stats, rates: before?.instance === stats.instance ? rates(stats, before) : {} };
}

function rates(stats, before) {
  const seconds = stats.uptime_seconds - before.uptime_seconds;
  const perSecond = (now, then) => (seconds > 0 ? Math.max(now - (then ?? 0), 0) / seconds : null);
  const each = (now, then) => Object.fromEntries(Object.entries(now).map(([name, value]) => [name, perSecond(value, then[name])]));
  return {
    "all computed": perSecond(stats.totals.tokens_prefilled, before.totals.tokens_prefilled),
    generated: perSecond(stats.totals.tokens_generated, before.totals.tokens_generated),
    turns: perSecond(stats.totals.turns, before.totals.turns),
    sources: each(stats.prompt_tokens_by_source, before.prompt_tokens_by_source),
  };
}

function status(stats) {
  const work = stats.running || stats.waiting ? `${stats.running} running, ${stats.waiting} waiting` : "idle";
  return `${stats.model} · ${work}`;
}

function tell(state, text) {
  byId("status").dataset.state = state;
  byId("status-text").textContent = text;
}
