// Asks for what a policy must not have, and puts the answers into findings. It goes
// around the SDK's helper, which would refuse them.

const RULE = {
  id: "asked",
  action: "flag",
  severity: "low",
  legalBasis: "none",
  messages: [{ language: "en", text: "the clock says {clock}, the dice say {dice}" }],
};

export function describe() {
  return {
    name: "inert",
    version: "0.1.0",
    summary: "Finds what the clock and the dice say.",
    events: ["*"],
    fields: [],
    keyed: undefined,
    rules: [RULE],
    lists: [],
    settingsSchema: "{}",
  };
}

export function configure() {}

export function evaluate({ rows }) {
  const asked = { clock: Date.now(), date: new Date().toISOString(), dice: Math.random(), id: crypto.randomUUID() };
  const evidence = Object.entries(asked).map(([name, value]) => ({ name, value: String(value) }));
  const findings = Array.from({ length: rows }, (_, row) => ({ row, rule: 0, evidence }));
  return { findings, undecided: [], states: [], timers: [] };
}

export function wake() {
  throw new Error("there are no timers");
}

export function migrate() {
  throw "there are no states";
}
