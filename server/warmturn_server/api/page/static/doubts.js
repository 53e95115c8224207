/** What makes the server's figures uncertain, in words; the same as `warmturn.doubts` says it since the server's start. */

import { count, counted, seconds } from "./words.js";

const ENOUGH_CONTROLS = 5;

/** From `/v1/stats`. */
export function doubts(stats) {
  const first = aboutFirstText(stats).map((words) => ({ about: "first text", words }));
  return [...first, ...aboutSavings(stats).map((words) => ({ about: "saved", words }))];
}

/** Control turns in place of reuse are slow on purpose; those after the reply are nobody's wait. */
function aboutFirstText(stats) {
  const replaced = stats?.controls?.turns?.replace ?? 0;
  return replaced > 0 ? [`${counted(replaced, "control turn")} among them, computed in full on purpose`] : [];
}

function aboutSavings(stats) {
  const estimated = stats?.saved_seconds?.estimated;
  const unknown = estimated?.unknown_turns ?? 0;
  const leftOut = `${count(unknown)} of ${counted(unknown + (estimated?.turns ?? 0), "turn")} left out of the estimate: what they saved cannot be said`;
  return [...(unknown ? [leftOut] : []), ...byControls(stats?.controls)];
}

function byControls(controls) {
  const found = [];
  const measured = controls?.measured_turns ?? 0;
  if (measured > 0 && measured < ENOUGH_CONTROLS) found.push(`only ${counted(measured, "control turn")} to check the estimate by`);
  const { value, ci95 } = controls?.estimate_bias_seconds ?? {};
  if (value != null && ci95 && (ci95[0] > 0 || ci95[1] < 0)) found.push(`by control turns the estimate is ${seconds(Math.abs(value))} a turn too ${value > 0 ? "high" : "low"}`);
  const dropped = Object.values(controls?.dropped ?? {}).reduce((sum, number) => sum + number, 0);
  if (dropped) found.push(`${counted(dropped, "control turn")} given up, which may be no chance sample`);
  return found;
}
