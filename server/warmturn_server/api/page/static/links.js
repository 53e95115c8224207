/** Links that lead out of the page, and where they lead. Pictures are links too: none is loaded from anywhere. */

import { el } from "./dom.js";

const SCHEMES = ["http:", "https:", "mailto:"];

/** The link, with its host behind it where the words do not say it; without a whole address only the words. */
export function linked(address, children) {
  const url = parsed(address);
  if (!url) return children;
  const link = el("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow", title: url.href }, ...children);
  const says = link.textContent.toLowerCase();
  return !url.host || says.includes(url.host) ? [link] : [link, el("small", { class: "host" }, ` (${url.host})`)];
}

function parsed(address) {
  try {
    const url = new URL(address);
    return SCHEMES.includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}
