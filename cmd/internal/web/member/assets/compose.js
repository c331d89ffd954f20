// Writing: Enter sends, Shift+Enter begins a line, and nothing is sent while an input method is composing.

import { byId, fill } from "./dom.js";

const longest = 32 << 10; // bytes, as the node takes them

/**
 * compose makes the form work. send(text, key) sends one attempt; failed(attempt, why) shows one that did not reach the
 * server, with attempt.again() to try once more; sending is told that something goes.
 */
export function compose({ send, failed, sending }) {
  const form = byId("composer");
  const draft = byId("draft");
  const problem = byId("composer-problem");
  let composing = false;
  let queue = Promise.resolve(); // messages leave in the order in which they were written

  function grow() {
    draft.rows = 1;
    const line = parseFloat(getComputedStyle(draft).lineHeight) || 22;
    draft.rows = Math.min(12, Math.max(1, Math.round((draft.scrollHeight - 20) / line)));
  }

  function say(text) {
    problem.hidden = !text;
    fill(problem, text);
  }

  function submit() {
    const text = draft.value.replace(/\s+$/, "");
    if (!text) return;
    const size = new TextEncoder().encode(text).length;
    if (size > longest) {
      say(`This message has ${size.toLocaleString()} bytes; the longest has ${longest.toLocaleString()}.`);
      return;
    }
    say("");
    draft.value = "";
    grow();
    sending();
    const attempt = { text, key: crypto.randomUUID() };
    attempt.again = () => send(text, attempt.key);
    queue = queue.then(attempt.again).catch((why) => failed(attempt, why instanceof TypeError ? "the program does not answer" : why.message));
  }

  draft.addEventListener("compositionstart", () => { composing = true; });
  draft.addEventListener("compositionend", () => { composing = false; });
  draft.addEventListener("keydown", (e) => {
    // 229 is what some browsers report for the key that ends a composition, after they have ended it.
    if (e.key !== "Enter" || e.shiftKey || composing || e.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    submit();
  });
  draft.addEventListener("input", () => { say(""); grow(); });
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(); draft.focus(); });
  if (matchMedia("(pointer: fine)").matches) draft.focus();
}
