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
const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
// How many there are and in which order; of one or none there is no order.
const listed = (count, one, many, order, none) => (count ? `${counted(count, one, many)}${count > 1 ? `, ${order}` : ""}` : none);
const similarity = (value) => (value === null || value === undefined ? "no similarity" : `similarity ${value.toFixed(3)}`);
// Of identities robust mode compares what is left when the sizes are accounted for: about 1 where they are one person.
const CORRECTED = C.settings.mode === "robust" ? ", corrected for sizes" : "";
const REASONS = {
  inlier: "like their identity", union: "identity was there twice", inter: "identity merged with another",
  second_person: "second person, split off", relabel: "belong to another identity", intra: "not like their identity",
  duplicate_label: "label removed, it was there twice", hub: "near a hub, for review", no_embedding: "no embedding",
  excluded: "in a test set", near_duplicate: "the same picture again", low_quality: "low quality", copy: "follow their bare picture",
  override: "a person decided", unmatched: "in no decision",
};

/* ---- what a person decides ---- */
const state = { keep: new Set(), drop: new Set(), move: new Map(), merge: new Map(), split: new Set() };
const history = []; // what undoes each change, the last one at the end
let saved = true, version = 0;
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
function changed() {
  saved = false;
  version++;
  refresh();
}
function undo() {
  if (!history.length) return;
  history.pop()();
  changed();
}
function put(key, what, label) {
  state.keep.delete(key); state.drop.delete(key); state.move.delete(key);
  if (what === "move") state.move.set(key, label); else if (what) state[what].add(key);
}
function setFace(face, what, label) {
  const had = faceState(face), before = state.move.get(face.key);
  history.push(() => put(face.key, had, before));
  put(face.key, had === what && what !== "move" ? null : what, label);
  changed();
}
const faceState = (face) => (state.keep.has(face.key) ? "keep" : state.drop.has(face.key) ? "drop"
  : state.move.has(face.key) ? "move" : null);
function toggle(set, key, value) {
  const turn = () => { if (set.has(key)) set.delete(key); else if (set instanceof Map) set.set(key, value); else set.add(key); };
  history.push(turn);
  turn();
  changed();
}
async function save() {
  if (!C.review) return;
  try {
    const sent = version;
    const answer = await fetch("/overrides", { method: "POST", body: JSON.stringify(overrides()),
      headers: { "Content-Type": "application/json", "X-Facekit": "review" } });
    saved = answer.ok && sent === version;
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

/* ---- keys ---- */
// What a screen reader says when another row becomes the current one.
const spoken = $("div", { id: "spoken", "aria-live": "polite" });
let list = null;
// On the document: a button that redraws its row takes the focus away with it.
document.addEventListener("keydown", (event) => {
  if (C.review && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "s") {
    event.preventDefault();
    save();
  } else if (!event.target.closest("input, select, textarea, dialog, nav")) list?.key(event);
});
function refresh(message) { list?.paint(); bar(message); }
const act = (label, pressed, onclick, title, name) => (C.review
  ? $("button", { class: "act", "aria-pressed": String(pressed), "aria-label": name, onclick, title }, label) : null);

/* ---- panels ---- */
function faceRow(face, pictures) {
  const now = faceState(face), other = face.near >= 0 && face.near !== face.old;
  const why = face.why.replace(`centre of label ${other ? face.near : face.old}; `, "");
  return $("div", { class: `row ${face.action} ${now ? "changed" : ""}`, "data-key": face.key },
    pictures || $("div", { class: "strip" }, picture(face.key, "first"), ...strip(typical(face.old, other ? 2 : 3)),
      ...(other ? [$("span", { class: "to", role: "img", "aria-label": `near identity ${face.near}` }, "→"), ...strip(typical(face.near, 2))] : [])),
    $("div", { class: "words" },
      $("div", {}, $("span", { class: "tag" }, face.action), ` ${REASONS[face.reason] || face.reason} · ${similarity(face.similarity)}`),
      $("div", { class: "quiet" }, `key ${face.key} · identity ${face.old}` + (other ? ` → identity ${face.near}` : "")
        + (face.new >= 0 && face.action === "move" ? ` (new label ${face.new})` : "") + (why ? ` · ${why}` : "")),
      now ? $("div", {}, now === "move" ? `you: move to identity ${state.move.get(face.key)}` : `you: ${now}`) : null),
    C.review ? $("div", { class: "acts" },
      act("keep", now === "keep", () => setFace(face, "keep"), "y"),
      act("drop", now === "drop", () => setFace(face, "drop"), "d"),
      act("move", now === "move", () => moveFace(face), "m")) : null);
}
const faceDrawn = (face) => `${faceState(face)} ${state.move.get(face.key)}`;
const UNSEEN = C.review || [...C.faces, ...C.narrow].every((face) => C.pictures[face.key]) ? "" : "; the first have pictures, facekit review shows all";
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
    const among = C.faces_total === C.faces.length ? ""
      : `${choice.value ? ` among the ${number(C.faces.length)} most doubtful` : ", the most doubtful"} of ${number(C.faces_total)}`;
    count.textContent = rows.length ? `${counted(rows.length, "face")}${among}, nearest to their threshold first${UNSEEN}`
      : "every face was kept where it was";
    use(place, new List(rows, faceRow, FACE_KEYS, faceDrawn));
  }
  show();
}
function narrowPanel(panel) {
  const place = $("div");
  panel.append($("div", { class: "filters" }, $("span", { class: "quiet" },
    listed(C.narrow.length, "face that was kept", "faces that were kept", `the least above their threshold first${UNSEEN}`, "no face was kept by its similarity"))), place);
  use(place, new List(C.narrow, faceRow, FACE_KEYS, faceDrawn));
}
function groupRow(group, pictures) {
  const split = group.members.map((member) => member.label).filter((label) => state.split.has(label));
  const changed = split.length > 0, each = group.members.length > 2 ? 1 : 2;
  return $("div", { class: `row move ${changed ? "changed" : ""}`, "data-group": group.new },
    pictures || $("div", { class: "strip" }, ...group.members.slice(0, 4).flatMap((member, at) =>
      typical(member.label, each).map((key, place) => picture(key, place === 0 ? "first" : at > 0 ? "extra" : "")))),
    $("div", { class: "words" },
      $("div", {}, group.members.slice(0, 3).map((member) => `identity ${member.label} (${number(member.faces)})`).join(" + ")
        + (group.members.length > 3 ? ` and ${number(group.members.length - 3)} more` : "")),
      $("div", { class: "quiet" }, `weakest ${similarity(group.weakest)}${CORRECTED} · new label ${group.new}`),
      changed ? $("div", {}, `you: split off ${split.slice(0, 3).join(", ")}${split.length > 3 ? ` and ${number(split.length - 3)} more` : ""}`) : null),
    C.review ? $("div", { class: "acts" }, $("span", { class: "quiet" }, "split"), ...group.members.slice(1, 4).map((member) =>
      act(member.label, state.split.has(member.label), () => toggle(state.split, member.label), "s", `split ${member.label}`))) : null);
}
function groupsPanel(panel) {
  panel.append($("div", { class: "filters" }, $("span", { class: "quiet" },
    listed(C.groups.length, "group of identities became one", "groups of identities became one", "the weakest first", "no identities became one"))));
  const place = $("div");
  panel.append(place);
  use(place, new List(C.groups, groupRow, { s: (group) => toggle(state.split, group.members[1].label) },
    (group) => group.members.map((member) => state.split.has(member.label)).join()));
}
function nearRow(pair, pictures) {
  const name = `${pair.a} ${pair.b}`, changed = state.merge.has(name);
  return $("div", { class: `row keep ${changed ? "changed" : ""}`, "data-pair": name },
    pictures || $("div", { class: "strip" }, ...typical(pair.a, 2).map((key, at) => picture(key, at ? "extra" : "first")),
      ...typical(pair.b, 2).map((key, at) => picture(key, at ? "extra" : "first"))),
    $("div", { class: "words" }, $("div", {}, `identity ${pair.a} and identity ${pair.b}`),
      $("div", { class: "quiet" }, `${similarity(pair.similarity)}${CORRECTED} · kept apart`),
      changed ? $("div", {}, "you: merge") : null),
    C.review ? $("div", { class: "acts" }, act("merge", changed, () => toggle(state.merge, name, [pair.a, pair.b]), "g")) : null);
}
function nearPanel(panel) {
  panel.append($("div", { class: "filters" }, $("span", { class: "quiet" },
    listed(C.near.length, "similar pair of identities stayed apart", "similar pairs of identities stayed apart", "the most similar first",
      "no identities were so similar that they nearly became one"))));
  const place = $("div");
  panel.append(place);
  use(place, new List(C.near, nearRow, { g: (pair) => toggle(state.merge, `${pair.a} ${pair.b}`, [pair.a, pair.b]) },
    (pair) => state.merge.has(`${pair.a} ${pair.b}`)));
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
  document.documentElement.classList.toggle("listing", name !== "overview");
  TABS.find((tab) => tab[0] === name)[2](panel);
  hint.replaceChildren(...HINTS[name].map(([letter, meaning]) => $("span", {}, $("kbd", {}, letter), ` ${meaning}`)));
}
const FACE_HINTS = [["y", "keep"], ["d", "drop"], ["m", "move"]], GOING = [["j", "next"], ["k", "previous"]];
const DONE = [["u", "undo"], ["Ctrl+S", "save"]];
const HINTS = { overview: DONE.slice(1), faces: [...GOING, ...FACE_HINTS, ...DONE], narrow: [...GOING, ...FACE_HINTS, ...DONE],
  groups: [...GOING, ["s", "split"], ...DONE], near: [...GOING, ["g", "merge"], ...DONE] };
const changes = $("strong", { id: "count" }), hint = $("span", { class: "quiet hint" });
const status = $("span", { id: "status", class: "quiet", role: "status" });
function bar(message) {
  const count = state.keep.size + state.drop.size + state.move.size + state.merge.size + state.split.size;
  changes.textContent = counted(count, "change");
  status.textContent = message || (saved ? (count ? "saved" : "") : "not saved yet");
}
{
  const t = C.totals;
  document.getElementById("sentence").textContent = `${number(t.images)} images of ${number(t.identities)} identities went in; `
    + `${number(t.keep)} were kept, ${number(t.move)} moved, ${number(t.drop)} dropped and ${number(t.review)} set aside for review; `
    + `${number(t.images_out)} images of ${number(t.identities_out)} identities came out.`;
  document.getElementById("where").textContent = C.source + (C.review ? "" : " · facekit review opens this page for changes");
  document.documentElement.classList.toggle("review", Boolean(C.review));
  document.getElementById("bar").hidden = !C.review;
  document.getElementById("bar").append(changes, $("button", { class: "act", id: "save", onclick: save }, "save"),
    $("button", { class: "act", onclick: undo }, "undo"), status, hint);
  document.body.append(spoken);
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
