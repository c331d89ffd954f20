// Comparing codes: the group's and one for each other member, as digits and as words.

import { byId, el, fill, state } from "./dom.js";
import { getJSON, post } from "./feed.js";

const shapes = { verified: "on", unverified: "off", changed: "bad" };

/** verification makes the dialog work and returns a function that opens it at a member's code ("" for the top). */
export function verification() {
  const dialog = byId("verify");
  const list = byId("codes");

  async function load() {
    try {
      const codes = await getJSON("/verify");
      list.replaceChildren(...codes.map((c) => card(c)));
    } catch (problem) {
      list.replaceChildren(el("p", { class: "said" }, problem.message));
    }
  }

  function card(c) {
    const said = el("p", { class: "said", role: "alert", hidden: true });
    const set = async (right) => {
      try {
        await post("/verify", { role: c.role, code: c.digits, right });
        await load();
        find(c.role)?.querySelector("button")?.focus();
      } catch (problem) {
        said.hidden = false;
        fill(said, problem.message);
      }
    };
    const differs = () => {
      said.hidden = false;
      fill(said, "Then do not trust this chat: compare once more, slowly. If it still differs, tell whoever keeps the group's authority, by another way.");
      if (c.trust === "verified") set(false);
    };
    return el("section", { class: "code", "data-role": c.role, "aria-label": c.title },
      el("header", {}, el("h3", {}, c.title), state(shapes[c.trust] ?? "off", c.words)),
      el("p", { class: "digits", "aria-label": c.digits }, c.digits.split(" ").map((g) => el("span", {}, g, " "))),
      el("ol", { class: "spoken" }, c.spoken.map((w, i) => el("li", {}, el("span", { class: "n" }, i + 1), w))),
      c.before ? el("p", { class: "small soft" }, "It was ", el("span", { class: "mono" }, c.before)) : null,
      el("p", { class: "buttons" },
        c.trust === "verified" ? null : el("button", { type: "button", class: "primary", onclick: () => set(true) }, "They are the same"),
        c.trust === "verified" ? el("button", { type: "button", onclick: () => set(false) }, "Forget that I compared") : null,
        el("button", { type: "button", onclick: differs }, "They differ")),
      said);
  }

  const find = (role) => Array.from(list.children).find((s) => s.dataset.role === role);

  byId("verify-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  return async (role) => {
    if (!dialog.open) dialog.showModal();
    await load();
    const section = find(role);
    if (role && section) {
      section.scrollIntoView({ block: "start" });
      section.querySelector("button")?.focus();
    } else {
      dialog.scrollTop = 0;
    }
  };
}
