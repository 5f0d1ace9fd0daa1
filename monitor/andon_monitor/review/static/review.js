"use strict";
// Every page works without this script. It adds news, the heatmap's slider, keys and swipes.

const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Times in the reader's own time zone; ages that count on.
function showTimes(root = document) {
  for (const time of all("time", root)) time.textContent = new Date(time.dateTime).toLocaleString();
  showAges(root);
}
function showAges(root = document) {
  for (const place of all("[data-since]", root)) {
    const seconds = Math.max(0, (Date.now() - Date.parse(place.dataset.since)) / 1000);
    const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
    place.textContent = `${Math.floor(seconds / size)} ${unit} ago`;
    const silence = Number(place.dataset.silence);
    if (silence) place.closest(".camera").classList.toggle("is-silent", seconds > silence);
  }
}

// News: parts marked data-live are fetched again and replaced, one request at a time.
// Pictures that are new are fetched before they replace the old ones, so that nothing flickers.
const MAX_WAIT_MS = 3000;
function shown(root) {
  const decoded = all("img:not([loading])", root).map((image) => image.decode().catch(() => {}));
  return Promise.race([Promise.all(decoded), new Promise((done) => setTimeout(done, MAX_WAIT_MS))]);
}
let refreshing = false, again = false;
async function refresh() {
  if (refreshing || document.hidden) { again = true; return; }
  [refreshing, again] = [true, false];
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement?.id;
    for (const old of all("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (!fresh) continue;
      showTimes(fresh);
      document.adoptNode(fresh);
      await shown(fresh);
      old.replaceWith(fresh);
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  } catch { /* the server is away; the event stream reconnects when it is back */ } finally {
    refreshing = false;
    if (again && !document.hidden) setTimeout(refresh, 250);
  }
}
if ($("[data-live]")) {
  let seen = document.body.dataset.revision;
  new EventSource(document.body.dataset.events).addEventListener("message", (event) => {
    if (event.data !== seen) refresh();
    seen = event.data;
  });
  document.addEventListener("visibilitychange", () => { if (again) refresh(); });
}

// Teach: while a refit runs, its progress is fetched every few seconds.
const poll = $("[data-poll]");
if (poll) setInterval(async () => {
  const old = document.getElementById(poll.id);
  if (document.hidden || !("poll" in old.dataset)) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(poll.id);
    const focused = old.contains(document.activeElement) ? document.activeElement.textContent : null;
    showTimes(fresh);
    old.replaceWith(document.adoptNode(fresh));
    if (focused) all("button", fresh).find((button) => button.textContent === focused)?.focus({ preventScroll: true });
  } catch { /* the server is away */ }
}, 3000);

// Set up: the newest picture of a source, a second after the one before it.
const newest = $("img[data-again]");
if (newest) {
  const again = () => setTimeout(() => {
    if (document.hidden) { again(); return; }
    const image = $("img[data-again]"), next = new Image();
    next.addEventListener("load", () => { if (image) image.src = next.src; again(); });
    next.addEventListener("error", () => setTimeout(again, 2000));
    next.src = `${(image ?? newest).dataset.again}?${Date.now()}`;
  }, 1000);
  again();
}

// Filters: folded on a phone, times in the reader's own time zone, no empty fields in the address.
const filters = $(".fold form");
if (filters) {
  if (innerWidth <= 800 && !("stay" in filters.parentElement.dataset)) filters.parentElement.open = false;
  const moments = all("input[type=datetime-local]", filters);
  for (const zone of all(".zone", filters)) zone.remove();
  for (const input of moments) {
    if (!input.value) continue;
    const utc = new Date(`${input.value}Z`);
    input.value = new Date(utc - utc.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  }
  filters.addEventListener("formdata", ({ formData }) => {
    for (const { name, value } of moments) if (value) formData.set(name, new Date(value).toISOString());
    for (const [name, value] of [...formData]) if (!value) formData.delete(name);
  });
}

// The heatmap's opacity is kept for the next frame.
const slider = $("#opacity"), heat = $("#heat");
if (slider && heat) {
  const show = () => { heat.style.opacity = slider.value / 100; };
  slider.value = sessionStorage.getItem("opacity") ?? slider.value;
  slider.addEventListener("input", () => { show(); sessionStorage.setItem("opacity", slider.value); });
  show();
}

// Model: the threshold's slider sends the form and shows what came back, one request at a time.
const rate = $("#rate");
if (rate) {
  const rates = rate.dataset.rates.split(" ").map(Number), form = rate.form;
  const nearest = (value) => rates.reduce((best, r, i) => Math.abs(Math.log(r / value)) < Math.abs(Math.log(rates[best] / value)) ? i : best, 0);
  rate.value = nearest(Number(rate.dataset.now));
  $("#rate-label").hidden = false;
  let busy = false, more = false;
  const tryRate = async () => {
    if (busy) { more = true; return; }
    [busy, more] = [true, false];
    try {
      const address = `${location.pathname}?${new URLSearchParams(new FormData(form))}`;
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("trial"), why = $("#trial [name=why]")?.value;
      if (!fresh) throw new Error("another page was answered");
      showTimes(fresh);
      $("#trial").replaceWith(document.adoptNode(fresh));
      if (why && $("#trial [name=why]")) $("#trial [name=why]").value = why;
      history.replaceState(null, "", address);
    } catch (error) {
      const note = $("#untried") ?? $("#trial").appendChild(Object.assign(document.createElement("p"), { id: "untried" }));
      note.setAttribute("role", "alert");
      note.textContent = `Not tried, what is shown is of the rate before: ${error.message}`;
    } finally {
      busy = false;
      if (more) tryRate();
    }
  };
  rate.addEventListener("input", () => {
    form.elements.unit.value = "percent";
    form.elements.value.value = Number((100 * rates[rate.value]).toPrecision(3));
    rate.setAttribute("aria-valuetext", `${form.elements.value.value} % of good parts`);
    tryRate();
  });
}

// Keys: the ones that a page marks with data-key, and arrows between tiles.
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const named = all("[data-key]").find((element) => element.dataset.key.toLowerCase() === event.key.toLowerCase());
  if (named) { event.preventDefault(); named.click(); return; }
  const tiles = all("[data-keys] .tile"), at = tiles.indexOf(document.activeElement);
  if (!tiles.length || !event.key.startsWith("Arrow")) return;
  const row = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row }[event.key];
  const next = tiles[at < 0 ? 0 : at + step];
  if (next) { event.preventDefault(); next.focus(); }
});

// Swipes across the frame lead to the next one.
const stage = $(".stage");
if (stage) {
  let start = null;
  stage.addEventListener("touchstart", (event) => { start = event.changedTouches[0]; }, { passive: true });
  stage.addEventListener("touchend", (event) => {
    const end = event.changedTouches[0], across = end.clientX - start.clientX;
    if (Math.abs(across) < 60 || Math.abs(across) < 2 * Math.abs(end.clientY - start.clientY)) return;
    $(`[data-key="${across > 0 ? "ArrowLeft" : "ArrowRight"}"]`)?.click();
  }, { passive: true });
}

showTimes();
setInterval(showAges, 1000);
