#!/usr/bin/env python3
"""Answers for policies/machine-envelope, without any code of Ephor (Python standard
library only).

usage: machine_envelope.py EVENTS [--settings JSON] [--findings FILE]

The samples of a data item of a machine, in the order of the events, are cut where one
is more than `gap_seconds` later than all since the cut before. Each piece is judged by
itself.

above-limit: an episode begins with a sample above `high`, and ends right before the
first that is not above `high` less `back_by`. It is a finding at its first sample above
`high` with which it has `samples` of them, or lasts `seconds` since its first; once.
below-limit: the same the other way round.

fast-change: a sample that is later than all before it in its piece is compared with the
latest of those (of several with one time, with the last). If the value has changed by
more than `per_minute`, and the comparison before did not show that, it is a finding."""
import re
from collections import Counter

import events

RULES = ('above-limit', 'below-limit', 'fast-change')
SETTINGS = {
    'items': {'temperature': {'low': 60, 'high': 100, 'back_by': 2, 'samples': 6, 'seconds': 1800, 'per_minute': 2}},
    'gap_seconds': 900,
}


def pieces(samples, gap):
    piece, latest = [], None
    for sample in samples:
        if piece and gap is not None and sample[1] - latest > gap * events.SECOND:
            yield piece
            piece = []
        latest = max(latest, sample[1]) if piece else sample[1]
        piece.append(sample)
    yield piece


def letter(value, limits):
    """H and L are outside, h and l are not back inside."""
    low, high, by = limits.get('low'), limits.get('high'), limits.get('back_by', 0)
    if high is not None and value > high:
        return 'H'
    if low is not None and value < low:
        return 'L'
    if high is not None and value > high - by:
        return 'h'
    return 'l' if low is not None and value < low + by else '.'


def episodes(piece, limits):
    letters = ''.join(letter(value, limits) for _, _, value in piece)
    for rule, outside, pattern in (('above-limit', 'H', 'H[Hh]*'), ('below-limit', 'L', 'L[Ll]*')):
        for episode in re.finditer(pattern, letters):
            samples = [piece[at] for at in range(*episode.span()) if letters[at] == outside]
            for count, (number, _, _) in enumerate(samples, 1):
                lasted = max(time for _, time, _ in samples[:count]) - samples[0][1]
                if count >= limits.get('samples', count + 1) or 'seconds' in limits and lasted >= limits['seconds'] * events.SECOND:
                    yield {'event': number, 'rule': rule}
                    break


def changes(piece, limits):
    if 'per_minute' not in limits:
        return
    number, latest, value = piece[0]
    was_fast = False
    for number, time, now in piece[1:]:
        if time > latest:
            is_fast = abs(now - value) > limits['per_minute'] * ((time - latest) / 60e6)
            if is_fast and not was_fast:
                yield {'event': number, 'rule': 'fast-change'}
            was_fast = is_fast
        if time >= latest:
            latest, value = time, now


def main():
    options = events.parser('Machines outside their envelope.', SETTINGS).parse_args()
    series, count = {}, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        data = event['data']
        limits = options.settings['items'].get(data['item'])
        if limits and limits.get('unit') in (None, data.get('unit')):
            series.setdefault((data['machine'], data['item']), []).append((number, events.micros(event['time']), data['value']))
    findings = []
    for (_, item), samples in series.items():
        limits = {name: value for name, value in options.settings['items'][item].items() if value is not None}
        for piece in pieces(samples, options.settings.get('gap_seconds')):
            findings += [*episodes(piece, limits), *changes(piece, limits)]
    findings.sort(key=lambda finding: finding['event'])
    by_rule = Counter(finding['rule'] for finding in findings)
    events.write({'events': count, 'rules': {rule: by_rule[rule] for rule in RULES}}, findings, options)


if __name__ == '__main__':
    main()
