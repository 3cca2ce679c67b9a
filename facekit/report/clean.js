const C = JSON.parse(document.getElementById("content").textContent);
const $ = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};
const number = (value) => value.toLocaleString("en");
const cosine = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));
const REASONS = {
  inlier: "like their identity", union: "identity was there twice", inter: "identity merged with another",
  second_person: "second person, split off", relabel: "belong to another identity", intra: "not like their identity",
  duplicate_label: "label removed, it was there twice", hub: "near a hub, for review", no_embedding: "no embedding",
  excluded: "in a test set", near_duplicate: "the same picture again", low_quality: "low quality", copy: "follow their bare picture",
  override: "a person decided", unmatched: "in no decision",
};

/* ---- what a person decides ---- */
const state = { keep: new Set(), drop: new Set(), move: new Map(), merge: new Map(), split: new Set() };
const history = [];
let saved = true;
const snapshot = () => JSON.stringify(overrides());
function overrides() {
  return { format: 1, keep: [...state.keep], drop: [...state.drop], move: Object.fromEntries(state.move),
    merge: [...state.merge.values()], split: [...state.split] };
}
function restore(given) {
  state.keep = new Set(given.keep || []);
  state.drop = new Set(given.drop || []);
  state.move = new Map(Object.entries(given.move || {}).map(([key, label]) => [Number(key), label]));
  state.merge = new Map((given.merge || []).map((pair) => [pair.join(" "), pair]));
  state.split = new Set(given.split || []);
}
function decide(change) {
  history.push(snapshot());
  change();
  saved = false;
  refresh();
}
function undo() {
  if (!history.length) return;
  restore(JSON.parse(history.pop()));
  saved = false;
  refresh();
}
const forget = (key) => { state.keep.delete(key); state.drop.delete(key); state.move.delete(key); };
function setFace(face, what, label) {
  decide(() => {
    const had = faceState(face);
    forget(face.key);
    if (had === what && what !== "move") return;
    if (what === "move") state.move.set(face.key, label); else state[what].add(face.key);
  });
}
const faceState = (face) => (state.keep.has(face.key) ? "keep" : state.drop.has(face.key) ? "drop"
  : state.move.has(face.key) ? "move" : null);
function toggle(set, key, value) {
  decide(() => { if (set.has(key)) set.delete(key); else if (set instanceof Map) set.set(key, value); else set.add(key); });
}
async function save() {
  if (!C.review) return;
  try {
    const sent = snapshot();
    const answer = await fetch("/overrides", { method: "POST", body: sent,
      headers: { "Content-Type": "application/json", "X-Facekit": "review" } });
    saved = answer.ok && sent === snapshot();
    refresh(answer.ok ? "" : `not saved: ${await answer.text()}`);
  } catch {
    saved = false;
    refresh("not saved: the server does not answer: is facekit review still running?");
  }
}

/* ---- pictures ---- */
function picture(key, kind) {
  const source = C.pictures[key] || (C.review ? `/picture/${key}` : null);
  const box = $("div", { class: `face ${kind}`, title: `key ${key}` });
  box.append(source ? $("img", { src: source, alt: `key ${key}`, width: 72, height: 72, decoding: "async" })
    : document.createTextNode(`key ${key}`));
  return box;
}
const strip = (keys, kind = "") => keys.map((key, at) => picture(key, `${kind} ${at > 0 ? "extra" : ""}`));
const typical = (label, count = 3) => (C.samples[label] || []).slice(0, count);

/* ---- a list of which only the visible rows exist ---- */
// As the style sheet has it: on a narrow window, where words take several lines, a row is higher.
const rowHeight = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
class List {
  constructor(rows, draw, keys) {
    this.rows = rows; this.draw = draw; this.keys = keys; this.current = 0;
    this.inner = $("div", { role: "list" });
    this.node = $("div", { class: "list", tabindex: 0, role: "region", "aria-label": "rows", onscroll: () => this.paint() }, this.inner);
    this.shown = new Map();
    this.watch = new ResizeObserver(() => this.measure());
    this.measure();
    this.watch.observe(this.node);
  }
  measure() {
    const before = this.row;
    this.row = rowHeight();
    this.inner.style.height = `${this.rows.length * this.row}px`;
    if (before && before !== this.row) this.node.scrollTop *= this.row / before;
    this.paint(before !== this.row);
  }
  paint(all = false) {
    const ROW = this.row, focused = this.inner.contains(document.activeElement);
    const first = Math.max(0, Math.floor(this.node.scrollTop / ROW) - 4);
    const last = Math.min(this.rows.length, Math.ceil((this.node.scrollTop + this.node.clientHeight) / ROW) + 4);
    for (const [at, node] of this.shown) {
      if (all || at < first || at >= last) { node.remove(); this.shown.delete(at); }
    }
    for (let at = first; at < last; at++) {
      if (this.shown.has(at)) continue;
      const node = this.draw(this.rows[at], at);
      node.style.top = `${at * ROW}px`;
      for (const [name, value] of [["role", "listitem"], ["aria-setsize", this.rows.length], ["aria-posinset", at + 1]]) node.setAttribute(name, value);
      this.mark(node, at === this.current);
      node.addEventListener("click", () => this.go(at, false));
      this.inner.append(node);
      this.shown.set(at, node);
    }
    if (focused && !this.inner.contains(document.activeElement)) this.node.focus({ preventScroll: true });
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
    const top = this.current * ROW;
    if (scroll && top < this.node.scrollTop) this.node.scrollTop = top;
    if (scroll && top + ROW > this.node.scrollTop + this.node.clientHeight) {
      this.node.scrollTop = top + ROW - this.node.clientHeight;
    }
    this.paint();
    this.mark(this.shown.get(this.current), true);
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
let list = null;
// On the document: a button that redraws its row takes the focus away with it.
document.addEventListener("keydown", (event) => {
  if (C.review && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "s") {
    event.preventDefault();
    save();
  } else if (!event.target.closest("input, select, textarea, dialog, nav")) list?.key(event);
});
function refresh(message) { list?.paint(true); bar(message); }
const act = (label, pressed, onclick, title) => (C.review
  ? $("button", { class: "act", "aria-pressed": String(pressed), onclick, title }, label) : null);

/* ---- panels ---- */
function faceRow(face) {
  const now = faceState(face);
  return $("div", { class: `row ${face.action} ${now ? "changed" : ""}`, "data-key": face.key },
    $("div", { class: "strip" }, picture(face.key, "first"), ...strip(typical(face.old))),
    $("div", { class: "words" },
      $("div", {}, $("span", { class: "tag" }, face.action), ` ${REASONS[face.reason] || face.reason} · ${cosine(face.similarity)}`),
      $("div", { class: "quiet" }, `key ${face.key} · identity ${face.old}`
        + (face.new >= 0 && face.action === "move" ? ` → new ${face.new}` : "") + (face.why ? ` · ${face.why}` : "")),
      now ? $("div", {}, now === "move" ? `you: move to identity ${state.move.get(face.key)}` : `you: ${now}`) : null),
    C.review ? $("div", { class: "acts" },
      act("keep", now === "keep", () => setFace(face, "keep"), "y"),
      act("drop", now === "drop", () => setFace(face, "drop"), "d"),
      act("move", now === "move", () => moveFace(face), "m")) : null);
}
const FACE_KEYS = { y: (face) => setFace(face, "keep"), d: (face) => setFace(face, "drop"), m: moveFace };
function facesPanel(panel) {
  const reasons = [...new Set(C.faces.map((face) => face.reason))];
  const choice = $("select", { "aria-label": "reason", onchange: show }, $("option", { value: "" }, "every reason"),
    ...reasons.map((reason) => $("option", { value: reason }, REASONS[reason] || reason)));
  const count = $("span", { class: "quiet" });
  const place = $("div");
  panel.append($("div", { class: "filters" }, choice, count), place);
  function show() {
    const rows = C.faces.filter((face) => !choice.value || face.reason === choice.value);
    const more = C.faces_total > C.faces.length ? ` (the ${number(C.faces.length)} most doubtful of ${number(C.faces_total)})` : "";
    count.textContent = `${number(rows.length)} faces, nearest to their threshold first${more}`;
    use(place, new List(rows, faceRow, FACE_KEYS));
  }
  show();
}
function narrowPanel(panel) {
  const place = $("div");
  panel.append($("div", { class: "filters" }, $("span", { class: "quiet" },
    `${number(C.narrow.length)} faces that were kept, the least above their threshold first`)), place);
  use(place, new List(C.narrow, faceRow, FACE_KEYS));
}
function groupRow(group) {
  const changed = group.members.some((member) => state.split.has(member.label));
  return $("div", { class: `row move ${changed ? "changed" : ""}`, "data-group": group.new },
    $("div", { class: "strip" }, ...group.members.slice(0, 4).flatMap((member, at) =>
      typical(member.label, 2).map((key, place) => picture(key, place === 0 ? "first" : at > 0 ? "extra" : "")))),
    $("div", { class: "words" },
      $("div", {}, group.members.map((member) => `identity ${member.label} (${number(member.faces)})`).join(" + ")),
      $("div", { class: "quiet" }, `weakest similarity ${cosine(group.weakest)} · new ${group.new}`),
      changed ? $("div", {}, `you: split off ${group.members.filter((m) => state.split.has(m.label)).map((m) => m.label).join(", ")}`) : null),
    C.review ? $("div", { class: "acts" }, ...group.members.slice(1, 4).map((member) =>
      act(`split ${member.label}`, state.split.has(member.label), () => toggle(state.split, member.label), "s"))) : null);
}
function groupsPanel(panel) {
  panel.append($("div", { class: "filters" }, $("span", { class: "quiet" },
    `${number(C.groups.length)} groups of identities became one, the weakest first`)));
  const place = $("div");
  panel.append(place);
  use(place, new List(C.groups, groupRow, { s: (group) => toggle(state.split, group.members[1].label) }));
}
function nearRow(pair) {
  const name = `${pair.a} ${pair.b}`, changed = state.merge.has(name);
  return $("div", { class: `row keep ${changed ? "changed" : ""}`, "data-pair": name },
    $("div", { class: "strip" }, ...typical(pair.a, 2).map((key, at) => picture(key, at ? "extra" : "first")),
      ...typical(pair.b, 2).map((key, at) => picture(key, at ? "extra" : "first"))),
    $("div", { class: "words" }, $("div", {}, `identity ${pair.a} and identity ${pair.b}`),
      $("div", { class: "quiet" }, `similarity ${cosine(pair.similarity)}, kept apart`),
      changed ? $("div", {}, "you: merge") : null),
    C.review ? $("div", { class: "acts" }, act("merge", changed, () => toggle(state.merge, name, [pair.a, pair.b]), "g")) : null);
}
function nearPanel(panel) {
  panel.append($("div", { class: "filters" }, $("span", { class: "quiet" },
    `${number(C.near.length)} pairs of identities stayed apart, the most similar first`)));
  const place = $("div");
  panel.append(place);
  use(place, new List(C.near, nearRow, { g: (pair) => toggle(state.merge, `${pair.a} ${pair.b}`, [pair.a, pair.b]) }));
}
function use(place, made) {
  list?.watch.disconnect();
  list = made;
  place.replaceChildren(made.node);
  made.paint();
  made.measure();
}

function overview(panel) {
  const most = Math.max(1, ...C.flow.map((entry) => entry.images));
  panel.append($("h2", {}, "What became of the images"), $("table", {}, $("tbody", {}, ...C.flow.map((entry) =>
    $("tr", { class: entry.action }, $("td", {}, $("span", { class: "tag" }, entry.action)), $("td", {}, REASONS[entry.reason] || entry.reason),
      $("td", { class: "n" }, number(entry.images)),
      $("td", { style: "width:min(320px,30vw)" }, $("div", { class: "meter", style: `width:${(100 * entry.images) / most}%` })))),
    $("tr", {}, $("td", {}, "all"), $("td"), $("td", { class: "n" }, number(C.flow.reduce((sum, entry) => sum + entry.images, 0))), $("td")))));
  const charts = $("div", { class: "charts wide", tabindex: 0, role: "region", "aria-label": "charts" });
  charts.append(document.getElementById("charts").content.cloneNode(true));
  panel.append(charts);
  if (C.comparison.length) {
    const columns = Object.keys(C.comparison[0]).filter((name) => name !== "agree" && name !== "mode");
    panel.append($("h2", {}, "Published and robust mode"), $("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "both modes" }, $("table", { id: "comparison" }, $("tbody", {},
      $("tr", {}, $("td", { class: "quiet" }, "mode"), ...columns.map((name) => $("td", { class: "quiet" }, name))),
      ...C.comparison.map((row, at) => $("tr", {}, $("td", {}, at ? row.mode : `${row.mode} (this report)`), ...columns.map((name) => $("td", { class: "number" }, number(row[name])))))))),
      $("p", { class: "key" }, `They do the same with ${number(C.comparison[0].agree)} of ${number(C.totals.images)} images.`));
  }
  panel.append($("h2", {}, "Settings"), $("table", {}, $("tbody", {}, ...Object.entries(C.settings).map(([name, value]) =>
    $("tr", {}, $("td", { class: "quiet" }, name), $("td", {}, String(value)))))));
}

/* ---- the page ---- */
const TABS = [["overview", "Overview", overview], ["faces", `Faces (${number(C.faces_total)})`, facesPanel],
  ["groups", `Merged (${number(C.groups.length)})`, groupsPanel], ["near", `Near misses (${number(C.near.length)})`, nearPanel],
  ["narrow", `Narrowly kept (${number(C.narrow.length)})`, narrowPanel]];
function open(name) {
  list?.watch.disconnect();
  list = null;
  const panel = document.getElementById("panel");
  panel.replaceChildren();
  panel.setAttribute("aria-labelledby", `tab-${name}`);
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-selected", String(button.dataset.tab === name));
    button.tabIndex = button.dataset.tab === name ? 0 : -1;
  }
  TABS.find((tab) => tab[0] === name)[2](panel);
}
function bar(message) {
  const node = document.getElementById("bar");
  node.hidden = !C.review;
  if (!C.review) return;
  const count = state.keep.size + state.drop.size + state.move.size + state.merge.size + state.split.size;
  node.replaceChildren($("strong", { id: "count" }, count === 1 ? "1 change" : `${number(count)} changes`),
    $("button", { class: "act", id: "save", onclick: save }, "save"), $("button", { class: "act", onclick: undo }, "undo"),
    $("span", { id: "status", class: "quiet", role: "status" }, message || (saved ? (count ? "saved" : "") : "not saved yet")),
    $("span", { class: "quiet hint" }, ...[["j", "next"], ["k", "previous"], ["y", "keep"], ["d", "drop"], ["m", "move"], ["s", "split"], ["g", "merge"], ["u", "undo"], ["Ctrl+S", "save"]]
      .flatMap(([letter, meaning]) => [$("kbd", {}, letter), ` ${meaning} `])));
}
{
  const t = C.totals;
  document.getElementById("sentence").textContent = `${number(t.images)} images of ${number(t.identities)} identities went in; `
    + `${number(t.keep)} were kept, ${number(t.move)} moved, ${number(t.drop)} dropped and ${number(t.review)} set aside for review; `
    + `${number(t.images_out)} images of ${number(t.identities_out)} identities came out.`;
  document.getElementById("where").textContent = C.source;
  document.getElementById("tabs").append(...TABS.map(([name, label]) =>
    $("button", { role: "tab", id: `tab-${name}`, "aria-controls": "panel", "data-tab": name,
      onclick: () => { open(name); list?.node.focus({ preventScroll: true }); } }, label)));
  document.getElementById("tabs").addEventListener("keydown", (event) => {
    const at = TABS.findIndex((tab) => `tab-${tab[0]}` === event.target.id);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    const name = TABS[(to + TABS.length) % TABS.length][0];
    open(name);
    document.getElementById(`tab-${name}`).focus();
    event.preventDefault();
  });
  if (C.overrides) restore(C.overrides);
  window.addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  open("overview");
  bar();
}
