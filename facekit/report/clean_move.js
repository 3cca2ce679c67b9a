"use strict";
/* ---- the dialog in which a face is given to another identity ---- */
async function ask(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? { found: await answer.json() } : { why: await answer.text() };
  } catch {
    return { why: "the server does not answer: is facekit review still running?" };
  }
}
function moveFace(face) {
  openMove(face);
  return false; // the row stays current until an identity is chosen
}
async function openMove(face) {
  if (document.getElementById("move")) return;
  const choices = $("div", { class: "choices" }), said = $("p", { role: "alert", id: "said" });
  const label = $("input", { id: "label", inputmode: "numeric", autocomplete: "off", "aria-describedby": "said" });
  const dialog = $("dialog", { id: "move", "aria-labelledby": "move-title", onclose: () => { dialog.remove(); list?.node.focus(); } },
    $("h2", { id: "move-title" }, `Which identity does key ${face.key} belong to?`),
    $("div", { class: "strip" }, picture(face.key, "first"), ...typical(face.old).map((key) => picture(key, "extra"))),
    $("p", { class: "quiet" }, "The face, and its identity now. The nearest identities:"), choices,
    $("form", { onsubmit: (event) => { event.preventDefault(); another(); } }, $("label", { for: "label" }, "another old label"),
      label, $("button", { class: "act" }, "show"),
      $("button", { class: "act", type: "button", onclick: () => dialog.close() }, "cancel")), said);
  dialog.addEventListener("keydown", (event) => {
    const at = "12345678".indexOf(event.key);
    if (at < 0 || event.target === label || event.ctrlKey || event.metaKey || event.altKey) return;
    choices.children[at]?.click();
    event.preventDefault();
  });
  const choose = (identity) => { dialog.close(); setFace(face, "move", identity.label); list?.go(list.current + 1); };
  const offer = (identity) => {
    const button = $("button", { class: "choice", type: "button", onclick: () => choose(identity) },
      $("span", { class: "name" }, choices.children.length < 8 ? $("kbd", {}, String(choices.children.length + 1)) : null,
        ` identity ${identity.label} (${counted(identity.faces, "face")})`,
        identity.similarity === undefined ? null : $("span", { class: "quiet" }, similarity(identity.similarity))),
      $("span", { class: "strip" }, ...identity.pictures.map((key) => picture(key, ""))));
    choices.append(button);
    return button;
  };
  async function another() {
    const text = label.value.trim();
    if (!/^\d{1,15}$/.test(text)) said.textContent = "an old label is a whole number";
    else if (Number(text) === face.old) said.textContent = "that is the identity it has: keep it instead";
    else {
      const { found, why } = await ask(`/identity/${text}`);
      said.textContent = found ? "" : why;
      if (found) offer(found).focus();
    }
  }
  document.body.append(dialog);
  dialog.showModal();
  const { found, why } = await ask(`/near/${face.key}`);
  if (!found || !found.length) said.textContent = why || "no identity is near this one: name one by its old label";
  for (const identity of found || []) offer(identity);
  (choices.firstChild || label).focus();
}
