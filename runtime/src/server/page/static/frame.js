// What every view has: times in the viewer's zone, themes without a new page, and parts
// that are fetched again. Views import `text`, `number` and `localise` from here.

const page = document.documentElement;
page.classList.add("has-script");

const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

/** A text of the section `script`, with values in the places of `{name}`. */
export function text(key, values = {}) {
  return (texts[key] ?? "…").replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

const numbers = new Intl.NumberFormat(page.lang);

/** A number as the language writes it. */
export function number(n) {
  return numbers.format(n);
}

const moments = new Intl.DateTimeFormat(page.lang, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const hours = new Intl.DateTimeFormat(page.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const days = new Intl.DateTimeFormat(page.lang, { month: "short", day: "numeric" });

/** UTC as `2026-11-20 12:00:00 UTC`. */
export function utc(date) {
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** An element for a point in time, which is a `Date`. */
export function moment(date) {
  const element = document.createElement("time");
  element.dateTime = date.toISOString();
  element.title = utc(date);
  element.textContent = moments.format(date);
  return element;
}

/** Times below an element as the viewer's zone has them; UTC stays on hover. */
export function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (!Number.isNaN(date.valueOf())) element.textContent = moments.format(date);
  }
  for (const label of root.querySelectorAll("text[data-time]")) {
    const date = new Date(Number(label.dataset.time) * 1000);
    label.textContent = (label.dataset.form === "day" ? days : hours).format(date);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = utc(date);
    label.append(title);
  }
}

function remember(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`;
}

for (const link of document.querySelectorAll("[data-theme-to]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    page.dataset.theme = link.dataset.themeTo;
    remember("theme", link.dataset.themeTo);
    for (const other of document.querySelectorAll("[data-theme-to]")) {
      if (other === link) other.setAttribute("aria-current", "true");
      else other.removeAttribute("aria-current");
    }
  });
}

// Said once in the address, it is remembered; a link that is passed on should not say it.
const here = new URL(location.href);
if (here.searchParams.has("lang") || here.searchParams.has("theme")) {
  here.searchParams.delete("lang");
  here.searchParams.delete("theme");
  history.replaceState(null, "", here);
}

/** Milliseconds between two looks at what is live. */
const REFRESH_MS = 5000;

/** Fetches this view again and puts its live parts in the place of those that are there. */
async function refresh() {
  const live = [...document.querySelectorAll("[data-live][id]")];
  if (live.length === 0 || document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of live) {
    const next = fresh.getElementById(part.id);
    // Nobody loses their place: not the focus, and not a part that they opened.
    if (!next || part.contains(document.activeElement) || part.querySelector("details[open]")) continue;
    localise(next);
    if (next.outerHTML === part.outerHTML) continue;
    part.replaceWith(document.adoptNode(next));
    document.dispatchEvent(new CustomEvent("ephor:replaced", { detail: next }));
  }
}

localise(document);
setInterval(() => refresh().catch(() => {}), REFRESH_MS);
