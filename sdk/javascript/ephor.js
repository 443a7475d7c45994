// Write a supervision policy for Ephor in JavaScript: `policy({...})` makes the five
// exports of the contract out of a declaration and functions that judge one row.
// `ephor policy build` puts this file beside the policy, so `./ephor.js` is its name.
//
// A policy is a function of its settings, fields and state. It has no clock, no
// randomness, no network and no files; asking for one of them is an error here, and
// the row is undetermined. Without this file a component built by `ephor policy build`
// would be given constants: still the same answer every time, but a wrong one.

import { write } from "ephor:policy/log@0.1.0";

/**
 * @typedef {object} Field one value of an event
 * @property {string} pointer JSON Pointer into the event, such as "/data/amount"
 * @property {"boolean"|"integer"|"float"|"text"|"time"|"json"} kind
 * @property {boolean} required
 * @property {string} purpose why the policy needs it, in one sentence
 * @property {"plain"|"pseudonym"|"mask"|"coarse"} [form] "plain" if it is not said
 *
 * @typedef {object} Rule one clause
 * @property {string} id lower-case words joined by hyphens
 * @property {"flag"|"deny"} action
 * @property {"low"|"medium"|"high"|"critical"} severity
 * @property {string} legalBasis
 * @property {Record<string, string>} messages by language; the first is the default
 *
 * @typedef {object} Keyed for a policy that remembers
 * @property {string[]} key names of required fields
 * @property {number} stateVersion
 * @property {number[]} [migratesFrom]
 * @property {boolean} [resets]
 *
 * @typedef {object} Declaration
 * @property {string} name
 * @property {string} version
 * @property {string} summary
 * @property {string[]} events types of events; "*" is any run of characters
 * @property {Record<string, Field>} fields by the name that they have in a row
 * @property {Rule[]} rules
 * @property {string[]} [lists] names of reference lists; look things up with
 *   `ephor:policy/reference@0.1.0`
 * @property {object} settingsSchema JSON Schema (draft 2020-12)
 * @property {Keyed} [keyed]
 * @property {(settings: any, refuse: (pointer: string, message: string) => void) => any} configure
 *   gives what `evaluate` is called with
 * @property {(config: any, row: object, out: Out, state?: Uint8Array) => Uint8Array|undefined|void} evaluate
 *   judges one row; for a policy that remembers it returns what the key's state has become
 * @property {(config: any, at: bigint, out: Out, state?: Uint8Array) => Uint8Array|undefined} [wake]
 *   a timer of the key fires; there are timers if this is here
 * @property {(from: number, state: Uint8Array) => Uint8Array|undefined} [migrate]
 */

/**
 * The exports of a policy. Of a row an integer is a BigInt, a time a BigInt of
 * microseconds since 1970, JSON its source text; what is absent is undefined.
 * @param {Declaration} declaration
 */
export function policy(declaration) {
  const { fields, rules, keyed } = declaration;
  const names = Object.keys(fields);
  const ruleAt = new Map(rules.map((rule, at) => [rule.id, at]));
  let config;

  /** Says in the log what went wrong, because a trap has no words. */
  function loudly(what, run) {
    try {
      return run();
    } catch (error) {
      // What a policy refuses on purpose is no failure.
      if (error instanceof Error) {
        write("warn", `${what}: ${error.name}: ${error.message}`);
      }
      throw error;
    }
  }

  function judged(rows, states, keyOf, judge) {
    const out = new Out(ruleAt);
    const changed = new Map();
    for (let row = 0; row < rows; row++) {
      out.turnTo(row);
      if (states === undefined) {
        judge(row, out, undefined);
        out.close();
        continue;
      }
      const key = keyOf(row);
      const before = changed.has(key) ? changed.get(key) : states[key];
      const after = judge(row, out, before) ?? undefined;
      if (!out.close() && !same(before, after)) {
        changed.set(key, after);
      }
    }
    const said = [...changed].filter(([key, state]) => !same(states[key], state)).map(([key, state]) => ({ key, state }));
    return { findings: out.findings, undecided: out.undecidedRows, states: said, timers: out.timers };
  }

  return {
    describe: () =>
      loudly("describe", () => ({
        name: declaration.name,
        version: declaration.version,
        summary: declaration.summary,
        events: declaration.events,
        fields: names.map((name) => ({ form: "plain", ...fields[name] })),
        keyed: keyed && {
          key: keyed.key.map((name) => at(names, name)),
          stateVersion: keyed.stateVersion,
          migratesFrom: keyed.migratesFrom ?? [],
          resets: keyed.resets ?? false,
          timers: declaration.wake !== undefined,
        },
        rules: rules.map((rule) => ({
          ...rule,
          messages: Object.entries(rule.messages).map(([language, text]) => ({ language, text })),
        })),
        lists: declaration.lists ?? [],
        settingsSchema: JSON.stringify(declaration.settingsSchema),
      })),

    configure: (settings) =>
      loudly("configure", () => {
        const errors = [];
        config = declaration.configure(JSON.parse(settings), (pointer, message) => errors.push({ pointer, message }));
        if (errors.length > 0) {
          throw errors;
        }
      }),

    evaluate: ({ rows, columns, keys }) =>
      loudly("evaluate", () => {
        const readers = columns.map((column) => reader(column, rows));
        return judged(
          rows,
          keys?.states,
          (row) => keys.ofRow[row],
          (row, out, state) => {
            const values = {};
            for (let field = 0; field < names.length; field++) {
              values[names[field]] = readers[field](row);
            }
            return declaration.evaluate(config, values, out, state);
          },
        );
      }),

    wake: ({ at, states }) =>
      loudly("wake", () => {
        if (declaration.wake === undefined) {
          throw new Error("the policy sets no timers");
        }
        return judged(at.length, states, (row) => row, (row, out, state) => declaration.wake(config, at[row], out, state));
      }),

    migrate: (from, states) =>
      loudly("migrate", () => {
        try {
          return states.map((state) => declaration.migrate(from, state) ?? undefined);
        } catch (error) {
          // All or nothing, with the reason.
          throw error instanceof Error ? error.message : String(error);
        }
      }),
  };
}

/** Takes what a policy says about the row at hand. Saying nothing means that it is clean. */
export class Out {
  #rules;
  #row = 0;
  #reason;
  #timer;
  #first = 0;
  findings = [];
  undecidedRows = [];
  timers = [];

  constructor(rules) {
    this.#rules = rules;
  }

  /** A finding of a rule, with what it rests on: strings, numbers, BigInts, booleans. */
  find(rule, evidence = {}) {
    const index = this.#rules.get(rule);
    if (index === undefined) {
      throw new Error(`there is no rule ${JSON.stringify(rule)}`);
    }
    const values = Object.entries(evidence).map(([name, value]) => ({ name, value: text(value) }));
    this.findings.push({ row: this.#row, rule: index, evidence: values });
  }

  /** The row cannot be judged, and why, in one sentence. Nothing else of it remains. */
  undecided(reason) {
    this.#reason ??= reason;
  }

  /** Asks to be woken for the row's key, at a time in microseconds since 1970. */
  wakeAt(at) {
    this.#timer = { row: this.#row, at: BigInt(at) };
  }

  /** Takes back the wish to be woken. */
  wakeNever() {
    this.#timer = { row: this.#row, at: undefined };
  }

  turnTo(row) {
    this.#row = row;
    this.#first = this.findings.length;
    this.#reason = undefined;
    this.#timer = undefined;
  }

  /** Ends the row; says whether it is undecided. */
  close() {
    if (this.#reason !== undefined) {
      this.findings.length = this.#first;
      this.undecidedRows.push({ row: this.#row, reason: this.#reason });
      return true;
    }
    if (this.#timer !== undefined) {
      this.timers.push(this.#timer);
    }
    return false;
  }
}

/** The text of a piece of evidence: numbers in the fewest digits, never with an exponent. */
export function text(value) {
  switch (typeof value) {
    case "string":
      return value;
    case "bigint":
    case "boolean":
      return String(value);
    case "number":
      return decimal(value);
    default:
      throw new Error(`evidence is a text, a number or a boolean, not ${value === null ? "null" : typeof value}`);
  }
}

function decimal(value) {
  if (!Number.isFinite(value)) {
    throw new Error(`${value} cannot be evidence`);
  }
  if (Object.is(value, -0)) {
    return "-0";
  }
  const [digits, exponent] = String(value).split("e");
  if (exponent === undefined) {
    return digits;
  }
  const sign = digits.startsWith("-") ? "-" : "";
  const [whole, fraction = ""] = digits.replace("-", "").split(".");
  const point = whole.length + Number(exponent);
  const all = whole + fraction;
  if (point <= 0) {
    return `${sign}0.${"0".repeat(-point)}${all}`;
  }
  return sign + all.padEnd(point, "0");
}

/**
 * The words of a text, as `ephor_sdk::text::words` takes them: runs of letters, digits and
 * their marks, of any script.
 */
export function words(text) {
  // One call of the engine is much faster than a loop over characters.
  if (isAscii(text)) {
    return text.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  }
  const found = [];
  let [word, isWord] = ["", false];
  const end = () => {
    if (isWord) found.push(word);
    [word, isWord] = ["", false];
  };
  for (const character of text) {
    const isPart = isWordCharacter(character);
    if (isPart || (isInvisible(character) && character !== "\u200b")) {
      word += character;
      isWord ||= isPart;
    } else {
      end();
    }
  }
  end();
  return found;
}

/**
 * A text in one case and one width, without what is invisible. Its words are those of
 * another text where a list of words of the Rust SDK, `between_separators`, takes one for
 * the other.
 */
export function folded(text) {
  const plain = SPECIAL.test(text) ? ordinaryWidths(text).filter((it) => !isInvisible(it)).join("") : text;
  return plain.toLowerCase().toUpperCase();
}

function isAscii(text) {
  return !/[^\x00-\x7f]/.test(text);
}

/** Whether a character is a letter or a digit of any script. */
export function isAlphanumeric(character) {
  return isWithin(ALPHANUMERIC, character.codePointAt(0));
}

function isWordCharacter(character) {
  const point = character.codePointAt(0);
  return isWithin(ALPHANUMERIC, point) || isWithin(MARKS, point);
}

const INVISIBLE = "\\u00ad\\u034f\\u061c\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u2069\\ufe00-\\ufe0f\\ufeff\\u{e0100}-\\u{e01ef}";
const IS_INVISIBLE = new RegExp(`^[${INVISIBLE}]$`, "u");
/** What is invisible, or has another width. */
const SPECIAL = new RegExp(`[${INVISIBLE}\\u3000\\uff01-\\uff9f]`, "u");

/** Shows nothing and separates nothing: soft hyphen, joiners, directions, variations. */
function isInvisible(character) {
  return IS_INVISIBLE.test(character);
}

/** The characters of a text, full-width and half-width ones in their ordinary form. */
function ordinaryWidths(text) {
  const found = [];
  // Only half-width Kana take a mark from the character behind them.
  let takesMark = false;
  for (const character of text) {
    const point = character.codePointAt(0);
    const voiced = takesMark ? VOICED[found.at(-1) + character] : undefined;
    takesMark = point >= 0xff66 && point <= 0xff9d;
    if (voiced !== undefined) {
      found[found.length - 1] = voiced;
    } else if (point === 0x3000) {
      found.push(" ");
    } else if (point >= 0xff01 && point <= 0xff5e) {
      found.push(String.fromCodePoint(point - 0xfee0));
    } else if (point >= 0xff61 && point <= 0xff9f) {
      found.push(KATAKANA[point - 0xff61]);
    } else {
      found.push(character);
    }
  }
  return found;
}

function isWithin([starts, ends], point) {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > point) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low < starts.length && starts[low] <= point;
}

/** Gives the value of a column in a row. */
function reader({ tag, val }, rows) {
  const { present } = val;
  const isPresent = (row) => (present[row >> 3] >> (row & 7)) & 1;
  if (tag === "texts" || tag === "json") {
    const { offsets, text } = val;
    // Offsets count bytes of UTF-8; where all is ASCII they count characters too.
    if (text.length === offsets[rows]) {
      return (row) => (isPresent(row) ? text.slice(offsets[row], offsets[row + 1]) : undefined);
    }
    const bytes = new TextEncoder().encode(text);
    const decoder = new TextDecoder();
    return (row) => (isPresent(row) ? decoder.decode(bytes.subarray(offsets[row], offsets[row + 1])) : undefined);
  }
  const { values } = val;
  if (tag === "booleans") {
    return (row) => (isPresent(row) ? ((values[row >> 3] >> (row & 7)) & 1) === 1 : undefined);
  }
  return (row) => (isPresent(row) ? values[row] : undefined);
}

function at(names, name) {
  const index = names.indexOf(name);
  if (index < 0) {
    throw new Error(`there is no field ${JSON.stringify(name)}; the fields are ${names.join(", ")}`);
  }
  return index;
}

function same(one, other) {
  if (one === undefined || other === undefined) {
    return one === other;
  }
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/** What a policy must not have, because the same input would not give the same answer. */
function refused(what) {
  return () => {
    throw new Error(`a policy has no ${what}; take times from the fields of the event`);
  };
}

const clock = refused("clock");
globalThis.Date = new Proxy(Date, {
  apply: clock,
  construct: (target, args, self) => (args.length === 0 ? clock() : Reflect.construct(target, args, self)),
  get: (target, name) => (name === "now" ? clock : Reflect.get(target, name)),
});
Math.random = refused("randomness");
for (const name of ["crypto", "performance"]) {
  Object.defineProperty(globalThis, name, { get: refused(name) });
}

// Letters and digits as Rust's `char::is_alphanumeric` has them: of each range the
// distance from the end of the one before it and, behind a point, its length unless 1,
// in base 36. Held against Rust by `tests/it/languages.rs`.
const ALPHANUMERIC = ranges(
  "1c.a 7.q 6.q 1b 7.2 1 3.2 1.3 1.n 1.v 1.cq 4.c e.5 7 1 2e t.i 1.2 2.4 1 6 1.3 1 1.k 1.2b 1.3v 8.4m 1.12 2 6.15 " +
  "13.e 1 1.2 1.2 1 8.r 4.4 t.b 5.1k 1.h 4.2u 1.8 4.8 4.g 2 g.1c d.2t e.17 9.2 4 5.o 2.j j.p 7.b 5.o 1.7 7 8.16 " +
  "a.c 3.7 6.24 1.g 1.3 4.f 2.a 1.j 1.8 2.2 2.m 1.7 1 3.4 3.8 2.2 2.2 1 8 4.2 1.5 2.c 2.6 2 4.3 1.6 4.2 2.m 1.7 " +
  "1.2 1.2 1.2 4.5 4.2 2.2 4 7.4 1 7.g b.3 1.9 1.3 1.m 1.7 1.2 1.5 3.9 1.3 1.2 3 f.4 2.a 9.4 4.3 1.8 2.2 2.m 1.7 " +
  "1.2 1.5 3.8 2.2 2.2 9.2 4.2 1.5 2.a 1.7 a.2 1.6 3.3 1.4 3.2 1 1.2 3.2 3.3 3.c 4.5 3.3 1.3 3 6 e.d d.d 1.3 1.n " +
  "1.g 3.8 1.3 1.3 8.2 1.3 1.2 2.4 2.a 8.7 1.4 1.8 1.3 1.n 1.a 1.5 3.8 1.3 1.3 8.2 5.3 1.4 2.a 1.3 c.d 1.3 1.15 " +
  "2.8 1.3 1.3 1 5.g 2.j 1.6 1.3 1.i 3.o 1.9 1 2.7 8.6 1 1.8 6.a 2.2 d.1m 5.7 6 2.a 13.2 1 1.5 1.o 1 1.j 1.3 2.5 " +
  "1 6 2.a 2.4 w v.k c.8 1.10 4.j 4.g 1.10 1v.1j 1 2.f 6.26 2.12 1 5 2.17 1.99 1.4 2.7 1 1.4 2.15 1.4 2.x 1.4 2.7 " +
  "1 1.4 2.f 1.1l 1.4 2.1v e.k 3.g g.2e 2.6 3.h8 2.h 1.q 5.23 3.b 7.k b.l c.k c.d 1.3 1.2 c.1g 2.j e 4 3.a 6.a " +
  "m.a 6.2h 7.17 5.1y a.v 1.c 4.9 d.14 2.5 b.18 4.q 6.b 11.s 4.1r 2.k b.a 6.a d n.2 b.3 1d.1g 1.f 1.8 3.a 12.16 " +
  "2.1m 1.b e.1j 9.a 3.1d 2.b 5.17 2.3 15.4 1.6 1.2 3 5.5c j.y b.7q 2.6 2.12 2.6 2.8 1 1 1 1.v 2.1h 1.7 1 3.3 1.7 " +
  "3.4 2.6 4.d 5.3 1.7 37.2 2.6 5.b 6.d 2t 4 2.a 1 3.5 6 1 1 1.4 1.b 2.4 5.5 4 1.1m k6.1o q.22 hi.u vg.6d 6.4 3.2 " +
  "9 2.12 1 5 2.1k 7 g.n 9.7 1.7 1.7 1.7 1.7 1.7 1.7 1.7 1.w 1b d1.3 p.9 7.5 2.5 4.2e 6.3 1.2i 1.4 5.17 1.2m 3.4 " +
  "a.w 1c.g w.a u.8 1.f w.a 13.f 8w.534 1s.h3h 1v.1a 2.7h 3.s k.1b 5.8 3.35 13.9 2.2v 2.2a k.l 1.x 8.6 a.1g c.1w " +
  "1 a.a o.6 3 1.1a 5.z d.t 3.1f 1.c f.b 6.v 1.1j 9.e 2.a 6.n 3.1x 1 1 o.3 2.g 2.4 b.6 2.6 2.6 9.7 1.7 1.17 1.e " +
  "6.3f 5.a 6.8mc c.n 4.1d 6is.a6 2.2y 12.7 c.5 5.c 1.d 1.5 1 1.2 1.2 1.30 x.a3 i.1s 2.1i 14.c 38.5 1.3r j.a 7.q " +
  "6.q b.2h 3.6 2.6 2.6 2.3 z.c 1.q 1.j 1.2 1.f 2.e y.3f c.19 c.1l h.2 6s.t 3.1d g.r 4.10 9.u 5.17 5.u 2.10 4.8 " +
  "1.5 16.4e 2.a 6.10 4.10 4.14 8.1g c.b 1.f 1.7 1.2 1.b 1.f 1.7 1.2 3.1g c.8n 9.m a.8 o.6 1.16 1.9 1x.6 2 1.18 " +
  "1.2 3 2.n 2.v 2.12 8.9 1c.j 1.2 5.x 4.q 6.q 12.1k 4.k 2.1e 1.2 5.8 1.3 1.t a.9 n.v 1.w w.8 1.s 6.5 g.1i a.m " +
  "2.r 5.q n.7 28.21 1j.1f d.1f 7.1a 8.a 6.12 3 5.n 62.v 1.16 1.2 3.2 g.6 1e.3 3.14 8.m b.4 r.i 1a.s k.n 9.1y c.u " +
  "1.5 a.1l 9 d.p 7.a 6.1f 3.a 4.4 8.z 3 9.1s 1.4 9.d 1 4.k b.i 1.y 2 6.4 1q.7 1 1.4 1.f 1.a 7.1l 7.a 6.4 1.8 2.2 " +
  "2.m 1.7 1.2 1.5 3.8 2.2 2.2 3 6 5.7 s.a 1 2 1.12 1.a 1 2 1.4 1.2 3 1 18.1u 1.3 1.4 5.a 5.3 u.1u 2.2 1 8.a " +
  "4m.1i 2.7 p.6 y.1r 1 3 b.a 12.1i 2 7.a 6.k s.r 2.e 5.c 4.7 55.1l 2v.2b c.8 2 2.8 1.2 1.u 1.2 2.2 2.4 d.a 1y.8 " +
  "2.1a 2.6 1 1.2 r.1f 2.a h.20 5 i.21 2v.8 2g.x f.a 6.9 1.19 1.7 1 f.t 5.u 2.m 1.e 21.7 1.2 1.18 3 1.2 1.3 1 2.2 " +
  "8.a 6.6 1.2 1.11 1.2 1.4 1 7.a 6.18 4.a 6u.n 9.h 1.15 3.3 f.a 2e f.l 17.pm 2u.33 h.5g 218.2p f.ts h.6 p.32z " +
  "5.g7 5a1.1b 1.a 1c6.ft 7.v 1.a 6.27 1.a 6.u i.1c g.4 c.a 1.7 1.l 5.j c0.19 3.a 5i.2f 9.p 2.p 18.23 4.1l 7.h " +
  "1s.2 1 c.7 9.5p2 15.w 2p.37 6pp.4 1.7 1.2 1.83 f t.3 2 e.4 8.b0 1s4.2z 5.d 3.9 7.a 4 381.a 152.k c.k 30.p " +
  "3r.2d 1.1z 1.2 2 2.2 2.4 1.c 1 1.7 1.1t 1.4 2.8 1.7 1.s 1.4 1.5 1 3.7 1.9g 2.p 1.p 1.v 1.p 1.v 1.p 1.v 1.p 1.v " +
  "1.p 1.8 2.1e 1ds.v 6.6 5x.7 1.h 2.7 1.2 1.5 5.1q x 34.19 a.7 2.a 4 8x.u i.18 4.a d2.s 4.a 5y.u 2.b 5h.v 1.m " +
  "8.2 68.7 1.4 1.2 1.f 1.5h 2.9 1c.1w 3 3 4.a lz.1n 1.3 1.4 24.19 1.f 5e.4 1.r 1.2 1 2 1.a 1.4 1 1 6 4 1 1 1.3 " +
  "1.2 1 2 1 1 1 1 1.2 1 2.4 1.7 1.4 1.4 1 1.a 1.h 5.3 1.5 1.h g4.d z.q 6.q 6.q 21y.a sm.wyo w.3dq 2.4ge 2.5rl " +
  "f.ha 1wi.f2 15u.3t7 5.6ju",
);

// The marks that belong to letters, such as accents and vowel signs, as those of the Rust
// SDK; letters between them may be here too.
const MARKS = ranges(
  "lc.2r 80.7 7b.v o.2 3y 3q.2 9.3 2b.b 4g.9 9 q.m 17.3 1o.22 8.2z 2v g 1c 1p g 32 g 1b.3 1o g 5.3 3b 32 g 32 g " +
  "31.2 g 3g 3g.8 2z d.7 21.2 r 1 1 4.2 1w 1.2 1q 34.4 ma.3 qc.2 u 3j.w 9 19.3 1 89.3 84.t 2 1c.1t 1v.h 12.9 1i.22 " +
  "1v 48.3 1.12 5i.1s k0.x 2da.3 3x iy.6 2x.2 n9w.4 9.2 36.2 7o 11 47 r.i 1l.3 11 2n.e 72.3 1g 6t.2 g7m.g g.g r1 6a " +
  "1g7.3 4 4l.2 hv.4 9p.5 w.g 1y.b 1d.4 5c 15 e.1o 3c.2 1q 24 8.4 2w.2 4y.2 28.2 g o.7 3.5 2h.5 e.2 2n.5 n 2r.2 " +
  "6z.2 3i 3a.2 37 7h.2 76.7 4c 2a.2 i 28.2 bp 76.4 29 2g 9c.2 n 44l.m 8ux 1xc.5 1n.7 x9 f5k 3mq.1a 2.n dc.2 1o.5 " +
  "3.6 8.8 2.7 u.4 44.3 b.3 8.2 2 w.2 1ha.1j 4.1e 8 e m.5 1.f 1a8.7 af 1p.4 e4.4 72.2 kg.7 31.7 gzhx.6o",
);

/** The ordinary forms of U+FF61 to U+FF9F. */
const KATAKANA =
  "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン\u3099\u309a";

/** What a Kana becomes with the half-width mark of a voiced sound behind it. */
const VOICED = { "ウﾞ": "ヴ", "ワﾞ": "ヷ", "ヲﾞ": "ヺ" };
for (const kana of "カキクケコサシスセソタチツテトハヒフヘホ") {
  VOICED[`${kana}ﾞ`] = String.fromCodePoint(kana.codePointAt(0) + 1);
}
for (const kana of "ハヒフヘホ") {
  VOICED[`${kana}ﾟ`] = String.fromCodePoint(kana.codePointAt(0) + 2);
}

function ranges(text) {
  const [starts, ends] = [[], []];
  for (const range of text.split(" ")) {
    const [distance, length = "1"] = range.split(".");
    const start = (ends.at(-1) ?? 0) + parseInt(distance, 36);
    starts.push(start);
    ends.push(start + parseInt(length, 36));
  }
  return [starts, ends];
}
