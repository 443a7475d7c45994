// The helper without a component: `node --test sdk/javascript`. The import of the
// contract, which only a host can give, is a log that remembers.

import assert from "node:assert";
import { register } from "node:module";
import test from "node:test";

const log = "export const lines = (globalThis.lines = []); export const write = (level, line) => lines.push(line);";
const hook = `export const resolve = (name, context, next) => name.startsWith("ephor:")
  ? { url: ${JSON.stringify(`data:text/javascript,${encodeURIComponent(log)}`)}, shortCircuit: true }
  : next(name, context);`;
// The test runner needs the clock and the dice that the helper takes away.
const kept = { Date: globalThis.Date, random: Math.random };
register(`data:text/javascript,${encodeURIComponent(hook)}`);
const { folded, policy, text, words } = await import("./ephor.js");
const taken = { Date: globalThis.Date, random: Math.random };
globalThis.Date = kept.Date;
Math.random = kept.random;

const declaration = {
  name: "orders",
  version: "0.1.0",
  summary: "Counts orders.",
  events: ["*"],
  fields: {
    shop: { pointer: "/data/shop", kind: "text", required: true, purpose: "count by shop" },
    paid: { pointer: "/data/paid", kind: "boolean", required: false, purpose: "leave out what is not paid" },
    amount: { pointer: "/data/amount", kind: "float", required: false, purpose: "say it", form: "coarse" },
  },
  rules: [{ id: "third", action: "flag", severity: "low", legalBasis: "none", messages: { en: "{n}", zh: "{n}" } }],
  settingsSchema: {},
  keyed: { key: ["shop"], stateVersion: 2, migratesFrom: [1] },
  configure: ({ limit }, refuse) => (limit > 0 ? limit : refuse("/limit", "expected 1 or more")),
  evaluate(limit, { shop, paid, amount }, out, state) {
    const n = (state?.[0] ?? 0) + 1;
    out.find("third", { n, shop });
    if (amount === undefined) out.undecided("no amount");
    if (paid === false) throw new Error(`${shop} did not pay`);
    out.wakeAt(n);
    return n === limit ? undefined : Uint8Array.of(n);
  },
  wake(limit, at, out, state) {
    out.find("third", { at });
    return state;
  },
  migrate(from, state) {
    if (state.length > 1) throw new Error("too long");
    return state.length === 0 ? undefined : state;
  },
};
const orders = policy(declaration);
const texts = (...values) => {
  const ends = [0];
  for (const value of values) ends.push(ends.at(-1) + new TextEncoder().encode(value).length);
  return { tag: "texts", val: { present: Uint8Array.of(255), offsets: Uint32Array.from(ends), text: values.join("") } };
};
const batch = (paid, amounts) => ({
  rows: 4,
  columns: [
    texts("a", "刀é", "a", "a"),
    { tag: "booleans", val: { present: Uint8Array.of(15), values: Uint8Array.of(paid) } },
    { tag: "floats", val: { present: Uint8Array.of(amounts), values: Float64Array.of(1.5, 2, 0, 1e21) } },
  ],
  keys: { ofRow: Uint32Array.of(0, 1, 0, 0), states: [Uint8Array.of(1), undefined] },
});

test("a declaration becomes the manifest", () => {
  const { keyed, fields, rules, settingsSchema } = orders.describe();
  assert.deepStrictEqual(keyed, { key: [0], stateVersion: 2, migratesFrom: [1], resets: false, timers: true });
  assert.deepStrictEqual(fields.map((field) => field.form), ["plain", "plain", "coarse"]);
  assert.deepStrictEqual(rules[0].messages.map((message) => message.language), ["en", "zh"]);
  assert.strictEqual(settingsSchema, "{}");
  const wrong = policy({ ...declaration, keyed: { key: ["store"], stateVersion: 1 } });
  assert.throws(wrong.describe, /no field "store"; the fields are shop, paid, amount/);
});

test("rows of a key see each other's state, and an undecided one leaves nothing", () => {
  assert.throws(() => orders.configure('{"limit": 0}'), [{ pointer: "/limit", message: "expected 1 or more" }]);
  orders.configure('{"limit": 3}');
  const said = orders.evaluate(batch(15, 0b1011));
  const evidence = said.findings.map(({ row, evidence }) => [row, ...evidence.map((one) => one.value)]);
  assert.deepStrictEqual(evidence, [[0, "2", "a"], [1, "1", "刀é"], [3, "3", "a"]]);
  assert.deepStrictEqual(said.undecided, [{ row: 2, reason: "no amount" }]);
  assert.deepStrictEqual(said.states, [{ key: 0, state: undefined }, { key: 1, state: Uint8Array.of(1) }]);
  assert.deepStrictEqual(said.timers, [{ row: 0, at: 2n }, { row: 1, at: 1n }, { row: 3, at: 3n }]);
});

test("what goes wrong is in the log", () => {
  assert.throws(() => orders.evaluate(batch(0b1101, 15)), /did not pay/);
  assert.strictEqual(globalThis.lines.at(-1), "evaluate: Error: 刀é did not pay");
});

test("timers fire and states migrate, all or none", () => {
  const woken = orders.wake({ at: BigInt64Array.of(7n), states: [Uint8Array.of(1)] });
  assert.deepStrictEqual([woken.findings[0].evidence[0].value, woken.states], ["7", []]);
  assert.deepStrictEqual(orders.migrate(1, [Uint8Array.of(4), Uint8Array.of()]), [Uint8Array.of(4), undefined]);
  assert.throws(() => orders.migrate(1, [Uint8Array.of(1, 2)]), (reason) => reason === "too long");
});

test("numbers are written as the Rust SDK writes them", () => {
  const written = [100, -0, 1.5, 1e21, 1.25e-7, -5e-324, 10n ** 18n, true].map(text);
  const tiny = `-0.${"0".repeat(323)}5`;
  assert.deepStrictEqual(written, ["100", "-0", "1.5", "1000000000000000000000", "0.000000125", tiny, "1000000000000000000", "true"]);
  assert.throws(() => text(NaN));
});

test("words are runs of letters and digits of any script", () => {
  assert.deepStrictEqual(words("6 RIBBONS, set_of-2"), ["6", "RIBBONS", "set", "of", "2"]);
  assert.deepStrictEqual(words("große 菜刀 ٣x 𝟗"), ["große", "菜刀", "٣x", "𝟗"]);
  assert.deepStrictEqual(words(" – "), []);
  assert.deepStrictEqual(words("क्या e\u0301te\u0301 kni\u00adfe a\u200bb \u200d (x_y)"), ["क्या", "e\u0301te\u0301", "kni\u00adfe", "a", "b", "x", "y"]);
});

test("words are the same in any case and width, with or without what is invisible", () => {
  const foldedWords = (text) => words(folded(text));
  assert.strictEqual(folded("Wine, bottle-opener"), "WINE, BOTTLE-OPENER");
  assert.deepStrictEqual(foldedWords("ｗｉｎｅ　stra\u00adße ΟΔΟΣ οδος kn\u200bife"), ["WINE", "STRASSE", "ΟΔΟΣ", "ΟΔΟΣ", "KNIFE"]);
  assert.deepStrictEqual(foldedWords("ｶﾞｽ ﾊﾟﾝ ｳﾞ 菜刀 cafe\u0301"), ["ガス", "パン", "ヴ", "菜刀", "CAFE\u0301"]);
  assert.deepStrictEqual(foldedWords("カﾞ"), ["カ\u3099"]);
});

test("there is no clock and there are no dice", () => {
  for (const ask of [() => new taken.Date(), () => taken.Date.now(), () => taken.Date(), () => taken.random(), () => crypto]) {
    assert.throws(ask, /a policy has no/);
  }
  assert.strictEqual(new taken.Date(0).toISOString(), "1970-01-01T00:00:00.000Z");
});
