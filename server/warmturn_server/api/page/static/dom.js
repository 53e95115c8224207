/** Elements from plain values. Strings become text, never markup. */

export const byId = (id) => document.getElementById(id);

/** `el("p", { class: "hint", onclick: handler }, "text", otherElement)` */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child != null && child !== ""));
  return element;
}

/** Reads a CSS variable as the colour it is now, in the light or the dark scheme. */
export function colour(name) {
  const probe = el("span", { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
