// Goods whose description has a word of the negative list may not be sold: the same
// policy as `../src/lib.rs`, in JavaScript.

import { isAlphanumeric, policy, words } from "./ephor.js";

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
    const listed = [];
    settings.words.forEach((word, index) => {
      const upper = word.toUpperCase();
      if (word === "" || ![...word].every(isAlphanumeric)) {
        refuse(`/words/${index}`, "expected one word of letters and digits");
      } else if (listed.includes(upper)) {
        refuse(`/words/${index}`, "the word is on the list before");
      }
      listed.push(upper);
    });
    return listed;
  },

  evaluate(listed, { description }, out) {
    if (description === undefined) return;
    // Letters have their upper case whatever stands beside them. So what is no part of
    // the whole text in upper case is no word of it, and most texts end here: splitting
    // one costs ten times as much.
    const upper = description.toUpperCase();
    if (!listed.some((word) => upper.includes(word))) return;
    const found = new Set();
    for (const run of words(description)) {
      const word = run.toUpperCase();
      if (listed.includes(word) && !found.has(word)) {
        found.add(word);
        out.find("listed-word", { word });
      }
    }
  },
});
