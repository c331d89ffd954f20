// The drawings of the page's sprite.

const svg = "http://www.w3.org/2000/svg";

/** icon returns one of the page's symbols, as decoration. */
export function icon(name) {
  const e = document.createElementNS(svg, "svg");
  e.setAttribute("class", "icon");
  e.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(svg, "use");
  use.setAttribute("href", `#${name}`);
  e.append(use);
  return e;
}
