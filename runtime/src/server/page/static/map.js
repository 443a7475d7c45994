// The map moves by links that the page has anyway. Here they are followed without a new
// page, and the keyboard, the wheel and the pointer move it too.

import { localise, text } from "./frame.js";

const KEYS = { ArrowLeft: "west", ArrowRight: "east", ArrowUp: "north", ArrowDown: "south", "+": "in", "=": "in", "-": "out", "0": "whole" };

/** Milliseconds that a wheel rests before the map is fetched. */
const REST_MS = 180;

let asked = 0;

/** Fetches a part of the map and puts it in the place of the one that is there. */
async function show(address, focus) {
  const mine = ++asked;
  const answer = await fetch(address, { headers: { accept: "text/html" } }).catch(() => null);
  if (mine !== asked) return;
  if (!answer?.ok) {
    document.getElementById("map-says").textContent = text("map-failed");
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (mine !== asked) return;
  localise(fresh);
  // The element with the focus stays; what is in it is new.
  for (const part of ["#map .surface", "#map .controls", "#map .legends", "#map .remarks", "#map > .buttons", "#map-list", "#map-says"]) {
    const [old, next] = [document.querySelector(part), fresh.querySelector(part)];
    if (!old || !next) continue;
    if (part === "#map-says") old.textContent = next.textContent;
    else old.replaceWith(document.adoptNode(next));
  }
  if (focus) document.querySelector(`#map [data-map="${focus}"]`)?.focus();
  history.replaceState(null, "", address);
}

function drawing() {
  return document.querySelector("#map .surface svg");
}

/** The same view around another middle. */
function around(lat, lng, zoom) {
  const link = new URL(document.querySelector('#map [data-map="whole"]').href);
  link.searchParams.set("lat", lat.toFixed(5));
  link.searchParams.set("lng", lng.toFixed(5));
  link.searchParams.set("zoom", String(zoom));
  return link.href;
}

const map = document.querySelector("#map .map");
if (map) {
  document.getElementById("map").addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-map]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    const address = link.getAttribute("href") ?? link.href.baseVal;
    show(address, link.dataset.map || null);
  });

  map.addEventListener("keydown", (event) => {
    if (event.target !== map || event.ctrlKey || event.metaKey || event.altKey) return;
    const link = map.querySelector(`[data-map="${KEYS[event.key]}"]`);
    if (!link) return;
    event.preventDefault();
    show(link.href, null);
  });

  // Only with the focus or a key held: a page that scrolls must go on scrolling.
  let turned = 0;
  let rest = null;
  map.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== map) return;
    event.preventDefault();
    turned -= Math.sign(event.deltaY);
    clearTimeout(rest);
    rest = setTimeout(() => {
      const { lat, lng, zoom, zoomMax } = drawing().dataset;
      const next = Math.min(Math.max(Number(zoom) + Math.sign(turned), 0), Number(zoomMax));
      turned = 0;
      if (next !== Number(zoom)) show(around(Number(lat), Number(lng), next), null);
    }, REST_MS);
  }, { passive: false });

  let held = null;
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("a, button")) return;
    const svg = drawing();
    const box = svg.getBoundingClientRect();
    held = { x: event.clientX, y: event.clientY, svg, times: Math.min(svg.viewBox.baseVal.width / box.width, svg.viewBox.baseVal.height / box.height), by: [0, 0] };
    map.setPointerCapture(event.pointerId);
    map.classList.add("held");
  });
  map.addEventListener("pointermove", (event) => {
    if (!held) return;
    held.by = [(event.clientX - held.x) * held.times, (event.clientY - held.y) * held.times];
    const { width, height } = held.svg.viewBox.baseVal;
    held.svg.setAttribute("viewBox", `${-held.by[0]} ${-held.by[1]} ${width} ${height}`);
  });
  const let_go = () => {
    if (!held) return;
    const { by: [x, y], svg } = held;
    held = null;
    map.classList.remove("held");
    if (Math.hypot(x, y) < 3) return;
    const { lat, lng, scale, shrink, zoom } = svg.dataset;
    show(around(Number(lat) + y / Number(scale), Number(lng) - x / (Number(scale) * Number(shrink)), zoom), null);
  };
  map.addEventListener("pointerup", let_go);
  map.addEventListener("pointercancel", let_go);
}
