// Elements, made from text nodes only: nothing here or in the pages turns text into markup.

/**
 * el makes an element. props: "class", attributes, boolean attributes (true: present, false or null: absent), and
 * listeners as functions under on… names. Children are nodes, texts, numbers, lists of those; null and false are skipped.
 */
export function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : String(value));
  }
  add(e, children);
  return e;
}

/** add appends children as el takes them. */
export function add(parent, children) {
  for (const c of [children].flat(Infinity)) {
    if (c === null || c === undefined || c === false) continue;
    parent.append(c instanceof Node ? c : document.createTextNode(String(c)));
  }
}

/** fill replaces what is in an element, unless it would show the same text and has no elements of its own. */
export function fill(parent, ...children) {
  if (children.length === 1 && !(children[0] instanceof Node) && parent.childElementCount === 0 && parent.textContent === String(children[0])) return;
  parent.replaceChildren();
  add(parent, children);
}

/** byId returns an element that the page's template has. */
export function byId(id) {
  const e = document.getElementById(id);
  if (!e) throw new Error(`the page has no #${id}`);
  return e;
}

// The characters of Invisible in package web: those that show nothing and may change how others are shown.
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\ufffd\u{e0000}-\u{e0fff}]/u;

const code = (c) => "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");

/**
 * inert shows a text that others wrote, isolated from what stands around it, with characters that hide or reorder shown
 * by their numbers. With lines, line breaks and tabs stay, and so do the joiners and selectors that emoji and several
 * scripts need, where they stand between characters that need them.
 */
export function inert(text, { lines = false } = {}) {
  const out = el("bdi", { class: lines ? "inert lines" : "inert", dir: "auto" });
  const chars = Array.from(String(text));
  let plain = "";
  chars.forEach((c, i) => {
    if (!invisible.test(c) || (lines && needed(chars, i))) {
      plain += c;
      return;
    }
    if (lines && c === "\r" && chars[i + 1] === "\n") return;
    if (plain) out.append(plain);
    plain = "";
    out.append(el("span", { class: "hidden-char", title: "a character that cannot be seen" }, code(c)));
  });
  if (plain) out.append(plain);
  return out;
}

const pictograph = /\p{Extended_Pictographic}/u;
const emojiPart = /[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f]/u;
const joining = /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Mongolian}]/u;

// needed says whether an invisible character does its ordinary work where it stands in a message.
function needed(chars, i) {
  const [before, c, after] = [chars[i - 1] ?? "", chars[i], chars[i + 1] ?? ""];
  switch (c) {
    case "\n": case "\t":
      return true;
    case "\ufe0f": case "\ufe0e":
      return pictograph.test(before) || (/[0-9#*]/.test(before) && after === "\u20e3");
    case "\u200d":
      return (emojiPart.test(before) && pictograph.test(after)) || (joining.test(before) && joining.test(after));
    case "\u200c":
      return joining.test(before) && joining.test(after);
  }
  return inFlag(chars, i);
}

// inFlag says whether a tag character stands in a flag such as Scotland's: a black flag, then tags.
function inFlag(chars, i) {
  const tag = (c) => c >= "\u{e0020}" && c <= "\u{e007f}";
  for (let k = i, n = 0; k >= 0 && n < 8; k--, n++) {
    if (chars[k] === "\u{1f3f4}") return k < i;
    if (!tag(chars[k])) return false;
  }
  return false;
}

/** accent returns the number of a role's colour, as Of in package accent does. */
export function accent(role) {
  if (/^[ABC]$/.test(role)) return role.charCodeAt(0) - 65;
  let h = 0x811c9dc5;
  for (const b of new TextEncoder().encode(role)) h = Math.imul(h ^ b, 0x01000193) >>> 0;
  return h % 12;
}

/** mark is the round sign of a role; decoration beside its name. */
export const mark = (role) => el("span", { class: "mark", "data-accent": accent(role), "aria-hidden": "true" }, Array.from(role)[0] ?? "?");

/** roleName is a role's name in its colour. */
export const roleName = (role) => el("span", { class: "role", "data-accent": accent(role) }, inert(role));

/** state is a state's shape and word: kind is on, off, wait or bad. */
export const state = (kind, word) => el("span", { class: "state", "data-state": kind }, word);

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

/** clock is a time element: the time of day, with the whole on hover. */
export function clock(when) {
  const d = new Date(when);
  return el("time", { datetime: d.toISOString(), title: d.toLocaleString() }, clockFormat.format(d));
}

/** day names a day, as people do. */
export const day = (when) => dayFormat.format(new Date(when));

/** bytes says how much that is. */
export function bytes(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(n < 10240 ? 1 : 0)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}

/** count says how many of a thing there are. */
export const count = (n, one, many = one + "s") => `${n.toLocaleString()} ${n === 1 ? one : many}`;

/** pinned keeps a scrolling element at its end while the person is there. Returns a function to call after changes. */
export function pinned(scroller) {
  let atEnd = true;
  const look = () => { atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 24; };
  const follow = () => { if (atEnd) scroller.scrollTop = scroller.scrollHeight; };
  scroller.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(follow).observe(scroller);
  follow();
  follow.atEnd = () => atEnd;
  follow.now = () => { atEnd = true; follow(); };
  return follow;
}
