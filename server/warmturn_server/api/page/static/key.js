/** Asks for the API key when the server wants one. */

import { byId } from "./dom.js";

export async function askForKey(wasWrong) {
  const dialog = byId("key-dialog");
  byId("key").value = "";
  byId("key-error").textContent = wasWrong ? "That key was not accepted." : "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return byId("key").value ? byId("key").value : askForKey(wasWrong);
}
