// The proof button of the view of an entry: fetches the entry, its proof and the log's key,
// checks them here (merkle.js), and shows each step with its hash. Optional: held against
// keys or a checkpoint that the reader has from somewhere else.

import { text } from "./frame.js";
import * as merkle from "./merkle.js";

const grouped = (number) => number.toLocaleString("en");

function element(name, content, className) {
  const made = document.createElement(name);
  if (content) made.textContent = content;
  if (className) made.className = className;
  return made;
}

/** What cannot be had is no proof, but no disproof either. */
class Missing extends Error {}

async function fetched(url) {
  let answer;
  try {
    answer = await fetch(url, { cache: "no-store" });
  } catch {
    throw new Missing(text("proof-unreachable", { url }));
  }
  if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
  const problem = await answer.json().catch(() => ({}));
  throw new Missing(text("proof-answered", { url, status: answer.status, detail: problem.detail ?? "" }));
}

function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new merkle.Unproven("utf8");
  }
}

/** The steps as they are taken, and what came of all of it. */
class Report {
  constructor(outcome, steps) {
    this.outcome = outcome;
    this.steps = steps;
    this.steps.replaceChildren();
    this.conclude("working", text("proof-working"));
  }

  step(state, title, hash, more) {
    const item = element("li", "", `proof-step ${state}`);
    const head = element("p", "", "proof-title");
    head.append(element("span", text(`proof-state-${state}`), "proof-state"), " ", title);
    item.append(head);
    if (hash) item.append(element("code", hash, "hash"));
    if (more) item.append(element("p", more, "proof-more"));
    this.steps.append(item);
    return item;
  }

  conclude(state, ...lines) {
    this.outcome.className = `proof-outcome ${state}`;
    this.outcome.dataset.state = state;
    this.outcome.replaceChildren(...lines.filter(Boolean).map((line, at) => element(at === 0 ? "strong" : "p", line)));
  }
}

/** The entry: the one that the page shows, with the sequence that was asked for. */
async function entryHash(section, report) {
  const bytes = await fetched(section.dataset.entry);
  const leaf = await merkle.leafHash(bytes);
  const line = decoded(bytes);
  if (line !== document.getElementById("entry-line").textContent) throw new merkle.Unproven("other-entry", { leaf });
  let sequence;
  try {
    ({ sequence } = JSON.parse(line));
  } catch {
    throw new merkle.Unproven("no-entry", { leaf });
  }
  if (String(sequence) !== section.dataset.sequence) throw new merkle.Unproven("other-entry", { leaf });
  report.step("good", text("proof-leaf", { bytes: grouped(bytes.length) }), merkle.hex(leaf), text("proof-leaf-more"));
  return leaf;
}

/** The way up, as it was walked. */
function showPath(report, { steps, root }, size) {
  const title = text("proof-path", { steps: steps.length, size: grouped(size) });
  const item = report.step("good", title, merkle.hex(root), text("proof-path-more"));
  if (steps.length === 0) return;
  const list = element("ol", "", "proof-path");
  for (const { own, left, right, hash } of steps) {
    const line = element("li");
    for (const [side, value] of [["left", left], ["right", right]]) {
      const part = element("span", "", side === own ? "own" : "sibling");
      part.append(`${text(`proof-${side}`)} `, element("code", merkle.hex(value), "hash"));
      line.append(part);
    }
    const node = element("span", "", "node");
    node.append("→ ", element("code", merkle.hex(hash), "hash"));
    line.append(node);
    list.append(line);
  }
  const more = element("details");
  more.append(element("summary", text("proof-each-step")), list);
  item.append(more);
}

async function checkSignature(report, checkpoint, key, canVerify) {
  const title = text(merkle.isWitness(key) ? "proof-witness" : "proof-signature", { name: key.name });
  if (!canVerify) {
    report.step("unknown", title, key.text, text("proof-no-ed25519"));
    return false;
  }
  const signed = await merkle.isSigned(checkpoint.note, key);
  if (signed === null) throw new merkle.Unproven("unsigned", { key: key.text });
  if (!signed) throw new merkle.Unproven("bad-signature", { key: key.text });
  report.step("good", title, key.text, text("proof-signed"));
  return true;
}

/** Holds the entry against a checkpoint that the reader has kept. */
async function checkHeld(section, report, held, proved, leaf, keys, canVerify) {
  if (held.origin !== proved.origin) throw new merkle.Unproven("other-log", { origin: held.origin });
  const isBy = (key) => ({ id, name }) => id === key.id && name === key.name;
  for (const key of keys.filter((key) => held.note.signatures.some(isBy(key)))) {
    await checkSignature(report, held, key, canVerify);
  }
  const sequence = BigInt(section.dataset.sequence);
  const hashes = (bytes) => JSON.parse(decoded(bytes)).path.map(merkle.base64);
  const sizes = { old: grouped(held.size), size: grouped(proved.size) };
  if (held.size >= sequence) {
    // The entry has to be in the very tree that the reader holds.
    const path = hashes(await fetched(`${section.dataset.path}?size=${held.size}`));
    const { root } = await merkle.verifyInclusion(leaf, sequence - 1n, held.size, path, held.root);
    report.step("good", text("proof-in-held", sizes), merkle.hex(root), text("proof-in-held-more"));
  } else {
    const path = hashes(await fetched(`${section.dataset.path}?size=${proved.size}&from=${held.size}`));
    await merkle.verifyConsistency(held.size, proved.size, held.root, proved.root, path);
    report.step("good", text("proof-continues", sizes), merkle.hex(proved.root), text("proof-continues-more"));
  }
}

/** All of it, step by step; says what came of it. */
async function prove(section, form, report) {
  const lines = form.elements.keys.value.split("\n").map((line) => line.trim());
  const ownKeys = await Promise.all(lines.filter(Boolean).map(merkle.readKey));
  const pasted = form.elements.checkpoint.value.replaceAll("\r", "").trim();
  const held = pasted ? merkle.readCheckpoint(`${pasted}\n`) : null;

  const leaf = await entryHash(section, report);
  const { index, path, checkpoint } = merkle.readProof(decoded(await fetched(section.dataset.proof)));
  if (index + 1n !== BigInt(section.dataset.sequence)) throw new merkle.Unproven("other-index", { index: index + 1n });
  const climbed = await merkle.climb(leaf, index, checkpoint.size, path);
  showPath(report, climbed, checkpoint.size);
  if (!merkle.equal(climbed.root, checkpoint.root)) {
    throw new merkle.Unproven("other-root", { computed: climbed.root, stated: checkpoint.root });
  }
  const size = grouped(checkpoint.size);
  report.step("good", text("proof-root", { size }), merkle.hex(checkpoint.root), text("proof-root-more", { origin: checkpoint.origin }));

  const canVerify = await merkle.canVerify();
  const served = await merkle.readKey(decoded(await fetched(section.dataset.key)));
  let isSigned = await checkSignature(report, checkpoint, served, canVerify);
  if (served.name !== checkpoint.origin) throw new merkle.Unproven("other-log", { origin: checkpoint.origin });
  for (const key of ownKeys.filter((key) => key.text !== served.text)) {
    // A log has one key: one that is held and is another says that this is another log.
    if (!merkle.isWitness(key)) throw new merkle.Unproven("other-key", { key: key.text, served: served.text });
    isSigned = (await checkSignature(report, checkpoint, key, canVerify)) && isSigned;
  }
  if (ownKeys.some((key) => key.text === served.text)) report.step("good", text("proof-same-key"), served.text, "");
  if (held) await checkHeld(section, report, held, checkpoint, leaf, [served, ...ownKeys], canVerify);

  const sequence = grouped(BigInt(section.dataset.sequence));
  const isAnchored = ownKeys.length > 0 || held !== null;
  if (isSigned) {
    report.conclude("verified", text("proof-verified", { sequence, size }), text(isAnchored ? "proof-anchored" : "proof-unanchored"));
  } else {
    report.conclude("partial", text("proof-partial", { sequence, size }), text("proof-no-ed25519"));
  }
}

/** What does not fit, in words. */
function why({ code, detail }) {
  const shown = (value) => (value instanceof Uint8Array ? merkle.hex(value) : String(value));
  return text(`proof-not-${code}`, Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, shown(value)])));
}

async function run(section, form, report) {
  try {
    await prove(section, form, report);
  } catch (error) {
    if (error instanceof merkle.Unproven) {
      report.step("bad", why(error), "", "");
      report.conclude("refuted", text("proof-refuted"), why(error), text("proof-refuted-more"));
    } else {
      report.conclude("missing", text("proof-missing"), error.message);
    }
  }
}

const section = document.getElementById("proof");
const form = section?.querySelector("form");
if (form) {
  const outcome = section.querySelector(".proof-outcome");
  const steps = section.querySelector(".proof-steps");
  const button = form.querySelector("button");
  if (merkle.canHash()) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.setAttribute("aria-disabled", "true");
      await run(section, form, new Report(outcome, steps));
      button.removeAttribute("aria-disabled");
    });
  } else {
    button.disabled = true;
    outcome.className = "proof-outcome missing";
    outcome.dataset.state = "missing";
    outcome.replaceChildren(element("strong", text("proof-insecure")), element("p", text("proof-insecure-more")));
  }
}
