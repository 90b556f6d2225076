// What the page does: a picture in, its request to the API, the reply over the picture.

import * as api from "./api.js";
import { Overlay, colour, cutout, mask } from "./overlay.js";
import { snippets } from "./snippets.js";

const $ = (id) => document.getElementById(id);
const overlay = new Overlay($("outlines"), $("labels"));

/** The picture: `blob` or `url`, its `name`, and `shown`, a URL under which the page can show it. */
let picture = null;
/** What the API said of it, and which of its classes are left out. */
let reply = null;
let without = new Set();
/** The index of the object that was clicked on. */
let chosen = null;
let running = new AbortController();

// Pictures in.

/** Takes a picture, shows it, and asks what is on it. */
async function take(next) {
  running.abort();
  if (picture?.shown) URL.revokeObjectURL(picture.shown);
  picture = { ...next, shown: next.blob && URL.createObjectURL(next.blob) };
  forget();
  preview();
  $("compute").disabled = false;
  tellSnippet();
  await compute();
}

/** Shows nothing of the picture before. */
function forget() {
  reply = null;
  chosen = null;
  reveal(false);
  say("");
}

async function compute() {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  await attempt(async () => {
    say("Looking …");
    $("stage").classList.add("busy");
    const [answer, blob] = await Promise.all([
      api.predict(picture, signal),
      picture.shown ? null : api.fetched(picture.url, signal),
    ]);
    if (blob) {
      picture.shown = URL.createObjectURL(blob);
      preview();
    }
    present(answer);
  });
}

/** Runs what may fail, and says so where it does. */
async function attempt(action) {
  $("error").textContent = "";
  try {
    await action();
  } catch (error) {
    // Another picture was chosen meanwhile.
    if (error.name === "AbortError") return;
    say("");
    $("error").textContent = error instanceof api.Failure ? error.message : `This page has a fault: ${error.message}`;
  }
  $("stage").classList.remove("busy");
}

$("load").addEventListener("click", () => $("file").click());
$("random").addEventListener("click", () => attempt(async () => take(await api.sample())));
$("compute").addEventListener("click", compute);
for (const input of [$("file"), $("capture")]) {
  input.addEventListener("change", () => {
    takeFile(input.files[0]);
    // So that the same file can be chosen again.
    input.value = "";
  });
}
$("address").addEventListener("submit", (event) => {
  event.preventDefault();
  takeUrl($("url").value.trim());
});

function takeFile(file) {
  if (file) take({ blob: file, name: file.name || "picture" });
}

function takeUrl(url) {
  take({ url, name: url });
}

addEventListener("paste", (event) => {
  if (event.target.closest?.("input")) return;
  const text = event.clipboardData.getData("text").trim();
  const [file] = event.clipboardData.files;
  if (file) takeFile(file);
  else if (/^https?:\/\//.test(text)) takeUrl(text);
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  const url = event.dataTransfer.getData("text/uri-list");
  if (file) takeFile(file);
  else if (url) takeUrl(url);
});

// The camera. Browsers give it to safe origins only; a phone's own camera serves for the others.

let stream = null;

$("camera").addEventListener("click", async () => {
  if (!navigator.mediaDevices) {
    $("capture").click();
    return;
  }
  await attempt(async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      throw new api.Failure(`There is no picture from the camera: ${error.message}.`);
    }
    $("video").srcObject = stream;
    $("viewfinder").showModal();
  });
});
$("shoot").addEventListener("click", () => {
  const video = $("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  $("viewfinder").close();
  canvas.toBlob((blob) => blob && take({ blob, name: "camera.jpg" }), "image/jpeg", 0.95);
});
$("cancel").addEventListener("click", () => $("viewfinder").close());
$("viewfinder").addEventListener("close", () => stream?.getTracks().forEach((track) => track.stop()));

// What was found.

function present({ reply: found, steps, took }) {
  reply = found;
  without = new Set();
  chosen = null;
  $("picture").src = picture.shown;
  $("stage").style.setProperty("--ratio", reply.width / reply.height);
  reveal(true);
  overlay.show(reply);
  overlay.choose(null);
  const parts = steps.map(([name, ms]) => `${name} ${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)}`);
  $("timings").textContent = `${reply.width} × ${reply.height} pixels, answered in ${took.toFixed(0)} ms: ${parts.join(", ")}.`;
  $("objects").replaceChildren(...reply.detections.map(objectEntry));
  $("classes").replaceChildren(...[...new Set(reply.detections.map(({ label }) => label))].map(classChip));
  refresh();
}

/** An object in the list: pointing at it shows it alone, a click keeps that. */
function objectEntry(found, index) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.append(swatch(found.class_id), text("name", found.label), text("count", found.score.toFixed(2)));
  for (const over of ["pointerenter", "focus"]) button.addEventListener(over, () => overlay.choose(index));
  for (const out of ["pointerleave", "blur"]) button.addEventListener(out, () => overlay.choose(chosen));
  button.addEventListener("click", () => {
    chosen = chosen === index ? null : index;
    overlay.choose(chosen);
    refresh();
  });
  item.append(button);
  return item;
}

function classChip(label) {
  const chip = document.createElement("label");
  chip.dataset.name = label;
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  box.addEventListener("change", () => {
    if (box.checked) without.delete(label);
    else without.add(label);
    refresh();
  });
  const { class_id } = reply.detections.find((found) => found.label === label);
  chip.append(box, swatch(class_id), label, text("count", ""));
  return chip;
}

function swatch(classId) {
  const swatch = text("swatch", "");
  swatch.style.background = colour(classId).paint;
  return swatch;
}

function text(className, textContent) {
  return Object.assign(document.createElement("span"), { className, textContent });
}

/** Shows what the slider and the filter leave, everywhere. */
function refresh() {
  const threshold = Number($("threshold").value);
  $("threshold-value").value = threshold.toFixed(2);
  $("opacity-value").value = `${Math.round($("opacity").value * 100)} %`;
  overlay.opacity = $("opacity").value;
  tellSnippet();
  if (!reply) return;

  const above = reply.detections.filter(({ score }) => score >= threshold);
  const counts = Map.groupBy(above, ({ label }) => label);
  for (const chip of $("classes").children) {
    const count = counts.get(chip.dataset.name)?.length ?? 0;
    chip.hidden = count === 0;
    chip.querySelector(".count").textContent = count;
    chip.querySelector("input").checked = !without.has(chip.dataset.name);
  }
  $("every").hidden = counts.size < 3;

  const shown = visible();
  const indices = new Set(shown.map((found) => reply.detections.indexOf(found)));
  overlay.only(indices);
  [...$("objects").children].forEach((item, index) => {
    item.hidden = !indices.has(index);
    item.firstChild.setAttribute("aria-pressed", String(index === chosen));
  });
  for (const id of ["save-mask", "save-cutout"]) $(id).disabled = shown.length === 0;
  const names = [...Map.groupBy(shown, ({ label }) => label)].map(([label, all]) => `${all.length}\u00a0×\u00a0${label}`);
  const summary = shown.length === 0 ? "No objects" : `${shown.length} ${shown.length === 1 ? "object" : "objects"}`;
  say(names.length ? `${summary}: ${names.join(", ")}.` : `${summary} above this threshold.`);
  $("picture").alt = `The picture with what was found on it: ${names.join(", ") || "nothing"}`;
}

/** The objects that the slider and the filter leave. */
function visible() {
  const threshold = Number($("threshold").value);
  return reply.detections.filter(({ score, label }) => score >= threshold && !without.has(label));
}

for (const slider of [$("threshold"), $("opacity")]) slider.addEventListener("input", refresh);
$("all").addEventListener("click", () => {
  without.clear();
  refresh();
});
$("none").addEventListener("click", () => {
  without = new Set(reply.detections.map(({ label }) => label));
  refresh();
});

// What is taken away.

$("save-mask").addEventListener("click", async () => save("mask.png", await mask(reply, visible())));
$("save-cutout").addEventListener("click", async () => {
  save("cutout.png", await cutout(reply, visible(), $("picture")));
});
$("save-json").addEventListener("click", () => {
  const json = JSON.stringify({ ...reply, detections: visible() });
  save("objects.json", new Blob([json], { type: "application/json" }));
});

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser may not have begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The snippet for what is shown. */
function tellSnippet() {
  const language = document.querySelector("[name=language]:checked").value;
  const all = new Set(reply?.detections.map(({ label }) => label));
  const classes = without.size ? [...all].filter((label) => !without.has(label)) : [];
  $("snippet").textContent = snippets[language]({
    picture: picture ?? { name: "picture.jpg" },
    threshold: Number($("threshold").value),
    classes,
  });
}

for (const radio of document.querySelectorAll("[name=language]")) radio.addEventListener("change", tellSnippet);
$("copy").addEventListener("click", async () => {
  const snippet = $("snippet");
  getSelection().selectAllChildren(snippet);
  // Browsers give the clipboard to safe origins only; what is selected can be copied on any.
  if (navigator.clipboard) await navigator.clipboard.writeText(snippet.textContent);
  else document.execCommand("copy");
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
});

/** Shows the picture as it came, where there is something to show. */
function preview() {
  $("preview").hidden = !picture.shown;
  $("drop").classList.toggle("empty", !picture.shown);
  if (picture.shown) $("preview").src = picture.shown;
}

function reveal(result) {
  $("stage").hidden = !result;
  $("controls").hidden = !result;
  $("view").classList.toggle("empty", !result);
}

function say(words) {
  $("status").textContent = words;
}

$("preview").addEventListener("error", () => {
  $("preview").hidden = true;
  $("drop").classList.add("empty");
});

await attempt(async () => {
  const { name, summary, threshold } = await api.model();
  $("model").textContent = `${name}: ${summary}`;
  $("threshold").value = Math.max(threshold, api.LEAST_SCORE);
});
refresh();
