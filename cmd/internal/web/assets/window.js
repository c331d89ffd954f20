// Place and size of an app window, from the page's address: ?x=&y=&w=&h=. The browser honours its own switches for the
// first window only, so each window places itself.

/** place moves and sizes the window as its address asks, and takes that out of the address. */
export function place() {
  const query = new URLSearchParams(location.search);
  const [x, y, w, h] = ["x", "y", "w", "h"].map((name) => (/^\d{1,5}$/.test(query.get(name) ?? "") ? Number(query.get(name)) : NaN));
  if (w > 0 && h > 0) window.resizeTo(w, h);
  if (x >= 0 && y >= 0) window.moveTo(x, y);
  if (location.search) history.replaceState(null, "", location.pathname);
}
