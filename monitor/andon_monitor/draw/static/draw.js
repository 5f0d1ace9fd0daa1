"use strict";
// Areas are polygons in pixels of the frame. Every change keeps the state before it, for undo.

const $ = (selector) => document.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";
const stage = $("#stage"), status = $("#status");
const [width, height] = [Number(stage.dataset.width), Number(stage.dataset.height)];
const KINDS = { ignore: "Ignored area", regions: "Inspected region" };
const NEAR = 14, DRAGGED = 5; // pixels of the screen: around a corner; of a drag, from a click

let areas = JSON.parse(stage.dataset.areas); // [{kind, points: [[x, y], ...]}]
let draft = []; // corners of the area that is being drawn
let cross = [Math.round(width / 2), Math.round(height / 2)]; // the keyboard's pointer
let held = null; // {area, corner} that moves with the pointer or the cross
let rectangle = null; // [x, y] where a drag began
let current = null; // the area that the list shows
let past = [], future = [], saved = true;

const kind = () => $("input[name=kind]:checked").value;
const copy = () => JSON.stringify({ areas, draft });
const unit = () => 1 / stage.getScreenCTM().a; // frame pixels of one on the screen

function remember() {
  past.push(copy());
  future = [];
  saved = false;
}
function travel(from, to) {
  if (!from.length || held) return;
  to.push(copy());
  ({ areas, draft } = JSON.parse(from.pop()));
  [saved, current] = [false, null];
  say(`${areas.length} areas, ${draft.length} corners of a new one.`);
  draw();
}
function say(text, wrong = false) {
  status.textContent = text;
  status.classList.toggle("is-wrong", wrong);
}

// Changes
function addCorner(point) {
  remember();
  draft.push(point);
  say(`Corner ${draft.length} at ${point.join(", ")}.`);
  draw();
}
function closeArea() {
  const points = draft.filter((point, i) => i === 0 || point.join() !== draft[i - 1].join());
  if (points.length < 3) { say("An area has at least three corners.", true); return; }
  if (crosses(points)) { say("This area would cross itself; undo a corner.", true); return; }
  remember();
  areas.push({ kind: kind(), points });
  draft = [];
  say(`${KINDS[kind()]} of ${points.length} corners added. Not saved yet.`);
  draw();
}
function addRectangle([left, top], [right, bottom]) {
  if (left === right || top === bottom) return;
  remember();
  areas.push({ kind: kind(), points: [[left, top], [right, top], [right, bottom], [left, bottom]] });
  say(`${KINDS[kind()]} of ${Math.abs(right - left)} × ${Math.abs(bottom - top)} pixels added. Not saved yet.`);
  draw();
}
function removeArea(index) {
  remember();
  areas.splice(index, 1);
  current = null;
  say("Area removed. Not saved yet.");
  draw();
}
function dropDraft() {
  if (held) { putDown(); return; }
  if (!draft.length) return;
  remember();
  draft = [];
  say("The new area is dropped.");
  draw();
}
function putDown() {
  const points = areas[held.area].points;
  held = null;
  say(crosses(points) ? "This area crosses itself now; undo, or move the corner again." : "Corner moved. Not saved yet.", crosses(points));
  draw();
}
async function save() {
  if (draft.length) { say("Close the new area first, or drop it with Escape.", true); return; }
  if (!areas.length) { say("There is no area to save.", true); return; }
  const polygons = (kind) => areas.filter((area) => area.kind === kind).map((area) => area.points);
  const mask = { size: [width, height], regions: polygons("regions"), ignore: polygons("ignore") };
  try {
    const { save, token } = stage.dataset, text = JSON.stringify(mask);
    const body = token ? new URLSearchParams({ token, mask: text }) : text;
    const answer = await fetch(save, { method: "POST", body, headers: { accept: "text/plain" } });
    say(await answer.text(), !answer.ok);
    if (answer.ok) saved = true;
  } catch { say("Not saved: the page does not answer.", true); }
}

// Geometry
function crosses(points) {
  const side = (a, b, c) => Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
  return points.some((a, i) => points.some((c, j) => {
    const [b, d] = [points[(i + 1) % points.length], points[(j + 1) % points.length]];
    return j > i && side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
  }));
}
function near(a, b) { return Math.hypot(a[0] - b[0], a[1] - b[1]) <= NEAR * unit(); }
function cornerNear(point) {
  for (let area = areas.length - 1; area >= 0; area--) {
    const corner = areas[area].points.findIndex((other) => near(point, other));
    if (corner >= 0) return { area, corner };
  }
  return null;
}
function areaUnder(point) {
  const inside = ({ points }) => points.reduce((odd, [x, y], i) => {
    const [u, v] = points[(i + 1) % points.length];
    return (y > point[1]) !== (v > point[1]) && point[0] < x + ((u - x) * (point[1] - y)) / (v - y) ? !odd : odd;
  }, false);
  return areas.findLastIndex(inside);
}
const within = ([x, y]) => [Math.min(Math.max(Math.round(x), 0), width), Math.min(Math.max(Math.round(y), 0), height)];

// Pictures
const path = (points, closed = true) => points.length ? `M${points.map((point) => point.join(" ")).join("L")}${closed ? "Z" : ""}` : "";
function add(parent, name, attributes) {
  const element = parent.appendChild(document.createElementNS(SVG, name));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
function draw() {
  const step = 9 * unit();
  const hatch = $("#hatch"), line = $("#hatch path");
  for (const side of ["width", "height"]) hatch.setAttribute(side, step);
  line.setAttribute("d", `M0 ${step}L${step} 0`);
  line.setAttribute("stroke-width", 2 * unit());
  const regions = areas.filter((area) => area.kind === "regions");
  $("#outside").setAttribute("d", regions.length ? `M0 0H${width}V${height}H0Z` : "");
  $("#holes").replaceChildren();
  for (const { points } of regions) add($("#holes"), "path", { d: path(points) });
  $("#areas").replaceChildren();
  $("#corners").replaceChildren();
  areas.forEach(({ kind, points }, i) => {
    add($("#areas"), "path", { class: `${kind}${i === current ? " is-current" : ""}`, d: path(points) });
    for (const [x, y] of points) add($("#corners"), "circle", { cx: x, cy: y, r: 6 * unit() });
  });
  for (const [x, y] of draft) add($("#corners"), "circle", { cx: x, cy: y, r: 6 * unit() });
  drawPointer(cross);
  $("#close").disabled = draft.length < 3;
  $("#undo").disabled = !past.length;
  $("#redo").disabled = !future.length;
  $("#list").replaceChildren(...areas.map(({ kind, points }, i) => {
    const item = document.createElement("li"), remove = document.createElement("button");
    item.append(`${KINDS[kind]} ${i + 1}, ${points.length} corners`, remove);
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove area ${i + 1}`);
    remove.addEventListener("click", () => { removeArea(i); ($("#list button") ?? stage).focus(); });
    const mark = (index) => () => { current = index; [...$("#areas").children].forEach((area, j) => area.classList.toggle("is-current", j === index)); };
    remove.addEventListener("focus", mark(i));
    remove.addEventListener("blur", mark(null));
    return item;
  }));
}
function drawPointer(point) {
  const arm = 16 * unit(), [x, y] = cross;
  $("#cross").setAttribute("d", `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`);
  const box = rectangle && [rectangle, [point[0], rectangle[1]], point, [rectangle[0], point[1]]];
  $("#draft").setAttribute("d", box ? path(box) : draft.length ? path([...draft, point], false) : "");
}

// Mouse, pen and touch
function place(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());
  return within([at.x, at.y]);
}
stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  const point = place(event);
  stage.setPointerCapture(event.pointerId);
  if (held) return;
  held = draft.length ? null : cornerNear(point);
  if (held) remember();
  else rectangle = point;
});
stage.addEventListener("pointermove", (event) => {
  const point = place(event);
  cross = point;
  if (held && event.buttons) {
    areas[held.area].points[held.corner] = point;
    draw();
    return;
  }
  const dragged = rectangle && !draft.length && Math.hypot(point[0] - rectangle[0], point[1] - rectangle[1]) > DRAGGED * unit();
  const kept = rectangle;
  if (!dragged) rectangle = null;
  drawPointer(point);
  rectangle = kept;
});
stage.addEventListener("pointerup", (event) => {
  const point = place(event), start = rectangle;
  rectangle = null;
  cross = point;
  if (held) { putDown(); return; }
  if (!start) return;
  const dragged = Math.hypot(point[0] - start[0], point[1] - start[1]) > DRAGGED * unit();
  if (dragged && !draft.length) addRectangle(start, point);
  else if (draft.length > 2 && near(point, draft[0])) closeArea();
  else addCorner(point);
});
stage.addEventListener("pointercancel", () => { rectangle = null; if (held) putDown(); draw(); });

// Keys
stage.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 10 : event.ctrlKey ? 1 : Math.max(1, Math.round(width / 200));
  const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (by) {
    cross = within([cross[0] + by[0], cross[1] + by[1]]);
    if (held) areas[held.area].points[held.corner] = cross;
    draw();
    say(`${cross.join(", ")}`);
  } else if (event.key === " ") {
    if (held) putDown();
    else if (!draft.length && (held = cornerNear(cross))) {
      remember();
      say("Corner taken: move it with the arrows, put it down with Space.");
    } else if (draft.length > 2 && near(cross, draft[0])) closeArea();
    else addCorner(cross);
  } else if (event.key === "Enter") {
    if (held) putDown(); else closeArea();
  } else if (event.key === "Escape") dropDraft();
  else if (event.key === "Delete") {
    const under = areaUnder(cross);
    if (under >= 0) removeArea(under); else say("There is no area under the cross.");
  } else return;
  event.preventDefault();
});
addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const action = { z: event.shiftKey ? redo : undo, y: redo, s: save }[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
});
const undo = () => travel(past, future), redo = () => travel(future, past);
$("#undo").addEventListener("click", undo);
$("#redo").addEventListener("click", redo);
$("#close").addEventListener("click", closeArea);
$("#save").addEventListener("click", save);
addEventListener("resize", draw);
addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
draw();
