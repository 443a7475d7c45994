#!/usr/bin/env python3
"""Answers for policies/negative-list, without any code of Ephor (Python standard
library only).

usage: negative_list.py EVENTS [--settings JSON] [--findings FILE]

A line of an invoice or of a cancellation is a finding for each different word of
`words` that stands in its description as a whole word: with neither a letter nor a
digit before or behind it, in upper or lower case."""
import re
from collections import Counter

import events

TYPES = ('retail.invoice.line', 'retail.cancellation.line')
WORDS = ['CIGAR', 'WINE', 'MATCHES', 'KNIFE', 'LIGHTER', 'GUN', 'ALCOHOL', 'POISON']


def main():
    options = events.parser('Words of a negative list.', {'words': WORDS}).parse_args()
    words = {word: re.compile(rf'(?<![^\W_]){re.escape(word)}(?![^\W_])', re.IGNORECASE) for word in options.settings['words']}
    findings, count = [], 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        text = event['data'].get('description')
        if event['type'] in TYPES and text is not None:
            findings += [{'event': number, 'rule': 'listed-word', 'word': word} for word, pattern in words.items() if pattern.search(text)]
    events.write({'events': count, 'by_word': Counter(finding['word'] for finding in findings)}, findings, options)


if __name__ == '__main__':
    main()
