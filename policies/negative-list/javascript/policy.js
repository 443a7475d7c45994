// Goods whose description has a word of the negative list may not be sold: the same
// policy as `../src/lib.rs`, in JavaScript.

import { folded, isAlphanumeric, policy, words } from "./ephor.js";

export const { describe, configure, evaluate, wake, migrate } = policy({
  name: "negative-list",
  version: "0.1.0",
  summary: "Denies invoice lines whose description has a word of the negative list.",
  events: ["retail.invoice.line", "retail.cancellation.line"],
  fields: {
    description: {
      pointer: "/data/description",
      kind: "text",
      required: false,
      purpose: "look for words of the negative list",
    },
  },
  rules: [
    {
      id: "listed-word",
      action: "deny",
      severity: "high",
      legalBasis: "E-Commerce Law of the People's Republic of China, article 13",
      messages: {
        en: "the description contains the listed word {word}",
        zh: "商品描述包含负面清单词语 {word}",
      },
    },
  ],
  settingsSchema: {
    type: "object",
    properties: {
      words: {
        description: "Words of letters and digits. Their case does not matter.",
        type: "array",
        items: { type: "string" },
      },
    },
    required: ["words"],
    additionalProperties: false,
  },

  configure(settings, refuse) {
    // What texts are searched for, and what a finding says.
    const listed = new Map();
    settings.words.forEach((word, index) => {
      const same = folded(word);
      if (word === "" || ![...word].every(isAlphanumeric)) {
        refuse(`/words/${index}`, "expected one word of letters and digits");
      } else if (listed.has(same)) {
        refuse(`/words/${index}`, `is on the list before, at ${[...listed.keys()].indexOf(same)}`);
      }
      listed.set(same, word.toUpperCase());
    });
    return { listed, all: [...listed.keys()] };
  },

  evaluate({ listed, all }, { description }, out) {
    if (description === undefined) return;
    // What is no part of the whole text is no word of it, and most texts end here:
    // splitting one costs ten times as much.
    const text = folded(description);
    if (!all.some((word) => text.includes(word))) return;
    for (const word of new Set(words(text))) {
      const shown = listed.get(word);
      if (shown !== undefined) out.find("listed-word", { word: shown });
    }
  },
});
