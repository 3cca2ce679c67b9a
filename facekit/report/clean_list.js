/* ---- a list of which only the visible rows exist ---- */
// As the style sheet has it: on a narrow window, where words take several lines, a row is higher.
const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
// Firefox lays nothing out below 17.8 million pixels and Chromium below 33.5: a longer list is scrolled faster instead.
const TALLEST = 15e6;
class List {
  // `drawn` tells of a row what its picture depends on: only rows for which it changed are drawn again.
  constructor(rows, draw, keys, drawn) {
    this.rows = rows; this.draw = draw; this.keys = keys; this.drawn = drawn; this.current = 0;
    this.inner = $("div", { role: "list" });
    this.node = $("div", { class: "list", tabindex: 0, role: "region", "aria-label": "rows", onscroll: () => this.paint() }, this.inner);
    this.node.style.display = rows.length ? "" : "none"; // an empty frame says nothing
    this.shown = new Map();
    this.watch = new ResizeObserver(() => this.measure());
    this.measure();
    this.watch.observe(this.node);
  }
  get height() { return Math.min(this.rows.length * this.row, TALLEST); }
  // Pixels of rows that pass while the list is scrolled by one.
  get speed() {
    const room = this.node.clientHeight;
    return this.height < this.rows.length * this.row ? (this.rows.length * this.row - room) / (this.height - room) : 1;
  }
  // Where the window begins, in pixels of rows.
  get top() { return this.node.scrollTop * this.speed; }
  set top(pixels) { this.node.scrollTop = pixels / this.speed; }
  measure() {
    const before = this.row, first = before ? this.top / before : 0;
    this.row = rowHeight();
    this.inner.style.height = `${this.height}px`;
    if (before && before !== this.row) this.top = first * this.row;
    this.paint(before !== this.row);
  }
  paint(all = false) {
    const ROW = this.row, top = this.top, focused = this.inner.contains(document.activeElement);
    const first = Math.max(0, Math.floor(top / ROW) - 4);
    const last = Math.min(this.rows.length, Math.ceil((top + this.node.clientHeight) / ROW) + 4);
    for (const [at, node] of this.shown) {
      if (all || at < first || at >= last) { node.remove(); this.shown.delete(at); }
    }
    for (let at = first; at < last; at++) {
      const known = this.shown.get(at);
      if (known?.drawn !== this.drawn(this.rows[at])) this.add(at, known);
      this.shown.get(at).style.top = `${at * ROW - top + this.node.scrollTop}px`;
    }
    if (focused && !this.inner.contains(document.activeElement)) this.node.focus({ preventScroll: true });
  }
  // In the place of a node that is there already, whose pictures are taken over.
  add(at, known) {
    const node = this.draw(this.rows[at], known?.querySelector(".strip"));
    known?.remove();
    node.drawn = this.drawn(this.rows[at]);
    for (const [name, value] of [["role", "listitem"], ["aria-setsize", this.rows.length], ["aria-posinset", at + 1]]) node.setAttribute(name, value);
    this.mark(node, at === this.current);
    node.addEventListener("click", () => this.go(at, false));
    this.inner.append(node);
    this.shown.set(at, node);
  }
  mark(node, current) {
    node?.classList.toggle("current", current);
    if (current) node?.setAttribute("aria-current", "true"); else node?.removeAttribute("aria-current");
  }
  go(at, scroll = true) {
    if (!this.rows.length) return;
    const ROW = this.row;
    this.mark(this.shown.get(this.current), false);
    this.current = Math.max(0, Math.min(this.rows.length - 1, at));
    const top = this.current * ROW, room = this.node.clientHeight;
    if (scroll && (top < this.top || room < ROW)) this.top = top;
    else if (scroll && top + ROW > this.top + room) this.top = top + ROW - room;
    this.paint();
    const node = this.shown.get(this.current);
    this.mark(node, true);
    if (scroll) spoken.textContent = `${this.current + 1} of ${number(this.rows.length)}: ${node.querySelector(".words").textContent}`;
  }
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.row));
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page };
    if (event.key in steps) this.go(this.current + steps[event.key]);
    else if (event.key === "Home") this.go(0);
    else if (event.key === "End") this.go(this.rows.length - 1);
    else if (C.review && event.key === "u") undo();
    else if (C.review && event.key === "w") save();
    else if (C.review && this.rows.length && event.key in this.keys) {
      const step = this.keys[event.key](this.rows[this.current]);
      if (step !== false) this.go(this.current + 1);
    } else return;
    event.preventDefault();
  }
}
