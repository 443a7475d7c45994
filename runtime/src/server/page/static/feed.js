// The live feed. The server sends at most RATE entries a second and says how many it left
// out, so that a browser has the same to do at ten events a second and at fifty thousand.

import { moment, number, text } from "./frame.js";

/** Entries a second. */
const RATE = 30;
/** Rows that are there. */
const ROWS_MAX = 200;
/** Milliseconds between two changes of the table, and between two sentences for who hears it. */
const RENDER_MS = 500;
const HEARD_MS = 15000;

const table = document.getElementById("feed-table");
if (table) start();

function start() {
  const rows = document.getElementById("feed-rows");
  const form = document.getElementById("feed-filters");
  const pause = document.getElementById("feed-pause");
  const says = document.getElementById("feed-says");
  const heard = document.getElementById("feed-heard");
  const dot = document.querySelector("#feed .live-dot");
  const badges = document.getElementById("feed-badges").content;
  const messages = JSON.parse(document.getElementById("feed-messages").textContent);

  let from = Number(table.dataset.from);
  let stream = null;
  let waiting = [];
  let paused = false;
  let lately = { shown: 0, left: 0, since: performance.now() };
  let toSay = { entries: 0, deny: 0 };

  function open() {
    close();
    const asked = new URLSearchParams({ follow: "true", rate: String(RATE), from: String(from) });
    for (const [name, value] of new FormData(form)) if (value) asked.set(name, value);
    stream = new EventSource(`/v1/verdicts?${asked}`);
    stream.onopen = () => { dot.classList.add("on"); say(); };
    stream.onerror = () => { dot.classList.remove("on"); says.textContent = text("feed-lost"); };
    stream.onmessage = (event) => {
      from = Number(event.lastEventId) + 1;
      waiting.push(event.data);
      // What would be pushed out of the table again need not go into it.
      if (waiting.length > ROWS_MAX) waiting.shift();
      lately.shown += 1;
    };
    stream.addEventListener("left-out", (event) => {
      from = Number(event.lastEventId) + 1;
      lately.left += Number(event.data);
    });
  }

  function close() {
    stream?.close();
    stream = null;
    dot.classList.remove("on");
  }

  function say() {
    if (paused) {
      says.textContent = text("feed-paused", { n: number(waiting.length) });
      return;
    }
    const seconds = Math.max((performance.now() - lately.since) / 1000, 0.5);
    const all = Math.round((lately.shown + lately.left) / seconds);
    if (lately.left > 0) {
      says.textContent = text("feed-some", { shown: number(Math.round(lately.shown / seconds)), all: number(all) });
    } else {
      says.textContent = all > 0 ? text("feed-all", { all: number(all) }) : text("feed-quiet");
    }
    if (seconds > 3) lately = { shown: 0, left: 0, since: performance.now() };
  }

  function render() {
    if (!stream) return;
    if (!paused && waiting.length > 0) {
      const fresh = document.createDocumentFragment();
      for (const line of waiting.reverse()) {
        const row = rowOf(line);
        if (row) fresh.append(row);
      }
      waiting = [];
      rows.prepend(fresh);
      while (rows.rows.length > ROWS_MAX) rows.lastElementChild.remove();
    }
    if (dot.classList.contains("on")) say();
  }

  function rowOf(line) {
    const entry = JSON.parse(line);
    const row = document.createElement("tr");
    row.role = "row";
    row.className = "new";
    row.dataset.sequence = entry.sequence;
    const about = entry.timer ?? entry;
    const arrived = about.arrived ?? entry.gap?.arrived ?? entry.silence?.noted ?? entry.change?.at ?? entry.start?.at ?? entry.keep?.at ?? entry.erasure?.at;
    cell(row, "when").append(arrived ? moment(new Date(arrived)) : "");
    const verdict = cell(row, "verdict");
    const said = cell(row, "said");
    if (about.verdict) {
      row.dataset.verdict = about.verdict;
      verdict.append(badge(about.verdict));
      const asked = entry.timer ? [entry.timer] : entry.asked;
      for (const one of asked) {
        for (const finding of one.findings ?? []) {
          const line = paragraph(said, messageOf(one.policy, finding));
          const note = span(line, "note");
          note.append(link(`/policy/${one.policy}`, one.policy), ` · ${finding.rule} `);
          span(note, `mode ${one.mode}`).textContent = text(one.mode);
        }
        if (one.fault) {
          const line = paragraph(said, text("fault", { kind: one.fault.kind }));
          span(line, "note").append(link(`/policy/${one.policy}`, one.policy));
        }
      }
      if (!said.firstChild) {
        span(said, "note").textContent = asked.length === 0 ? text("nobody-asked") : text("nothing-found");
      }
      toSay.entries += 1;
      if (about.verdict === "deny") toSay.deny += 1;
    } else {
      // What is in the ledger beside events: a change, a gap, a silence, a start.
      const kind = ["gap", "silence", "change", "start", "keep", "erasure"].find((kind) => entry[kind]);
      const { what, policy, release } = entry.change ?? {};
      const words = {
        gap: () => text("gap", { n: number(entry.gap.missing) }),
        silence: () => text("silence"),
        change: () => text("change", { what: text(`change-${what}`), policy, release }),
        start: () => text("start"),
        keep: () => text("keep"),
        erasure: () => text("erasure"),
      };
      if (!kind) return null;
      span(said, "note").textContent = words[kind]();
    }
    const source = about.source ?? entry.gap?.source ?? entry.silence?.source ?? "";
    const subject = cell(row, "subject");
    if (about.subject) subject.append(link(`/subject?${new URLSearchParams({ source, subject: about.subject })}`, about.subject));
    cell(row, "source").textContent = source;
    cell(row, "number").append(link(`/event/${entry.sequence}`, number(entry.sequence)));
    return row;
  }

  function badge(verdict) {
    return badges.querySelector(`.${verdict}`).cloneNode(true);
  }

  /** What a rule says in the page's language; as it was recorded, if it has none. */
  function messageOf(policy, finding) {
    const template = messages[policy]?.[finding.rule];
    if (!template) return finding.message;
    return template.replace(/\{([^}]*)\}/g, (gap, name) => finding.evidence?.[name] ?? gap);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    rows.replaceChildren();
    waiting = [];
    // Seen in the address, so that it can be passed on; and what was there before is shown.
    const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", `/${asked.size > 0 ? `?${asked}` : ""}`);
    again(asked);
  });

  document.getElementById("feed-clear").addEventListener("click", (event) => {
    event.preventDefault();
    for (const field of form.querySelectorAll("select, input")) field.value = "";
    form.requestSubmit();
  });

  for (const select of form.querySelectorAll("select")) select.addEventListener("change", () => form.requestSubmit());

  /** The latest entries that the filter takes, and then those to come. */
  async function again(asked) {
    close();
    says.textContent = text("feed-looking");
    const answer = await fetch(`/?${asked}`).catch(() => null);
    if (answer?.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const { localise } = await import("./frame.js");
      localise(fresh);
      rows.replaceChildren(...(fresh.getElementById("feed-rows")?.children ?? []));
      from = Number(fresh.getElementById("feed-table")?.dataset.from ?? from);
    }
    open();
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = text(paused ? "feed-go-on" : "feed-pause");
    say();
  });

  // A window that nobody sees takes nothing; back, it goes on with what is new then.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });

  setInterval(render, RENDER_MS);
  setInterval(() => {
    if (paused || toSay.entries === 0) return;
    heard.textContent = text("feed-heard", { n: number(toSay.entries), deny: number(toSay.deny) });
    toSay = { entries: 0, deny: 0 };
  }, HEARD_MS);
  says.textContent = text("feed-looking");
  open();
}

function cell(row, name) {
  const cell = row.insertCell();
  cell.role = "cell";
  cell.className = name;
  return cell;
}

function paragraph(parent, words) {
  const line = document.createElement("p");
  line.append(`${words} `);
  parent.append(line);
  return line;
}

function span(parent, name) {
  const span = document.createElement("span");
  span.className = name;
  parent.append(span);
  return span;
}

function link(path, words) {
  const link = document.createElement("a");
  link.href = path;
  link.textContent = words;
  return link;
}
