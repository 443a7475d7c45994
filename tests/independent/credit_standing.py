#!/usr/bin/env python3
"""Answers for policies/credit-standing, without any code of Ephor (Python standard
library only).

usage: credit_standing.py EVENTS [--settings JSON] [--findings FILE]

A subject gets points for each finding in an event about a verdict, if the verdict is on
something from outside (depth 1) about a subject, the finding is not one of a release that
is only tried out (mode shadow), and not one of a policy called credit-standing. The
points are those of its rule, or of its policy, or of its severity, in this order. They
count in full for `full_days`, with half until `days`, and then no more, up to and with
the last moment of each. Redress takes away all findings of its subject that have all of
what it names: sequence, policy, rule; if there is none, that is a finding
(nothing-to-redress). Of a subject the latest 256 findings are kept, by time and sequence.

After each event, at the latest time that the subject has shown, the points make a level:
the number of thresholds that they reach. If it is above the level of the event before,
each threshold in between is a finding (watch, restricted, serious); if it is below, there
is one (improved). Points are fractions here, and every finding keeps its own age."""
from collections import Counter
from fractions import Fraction

import events

RULES = ('watch', 'restricted', 'serious', 'improved', 'nothing-to-redress')
LEVELS = RULES[:3]
KEPT = 256
SETTINGS = {
    'points': {'low': 1, 'medium': 2, 'high': 4, 'critical': 8}, 'by_rule': {}, 'full_days': 180, 'days': 365,
    'thresholds': {'watch': 8, 'restricted': 20, 'serious': 40},
}


def points_of(finding, settings):
    policy, by_rule = finding['policy'], settings['by_rule']
    for name in (policy + '/' + finding['rule'], policy):
        if name in by_rule:
            return by_rule[name]
    return settings['points'][finding['severity']]


def booked(data, at, settings):
    """The findings of a verdict event that count."""
    if data['depth'] != 1 or data.get('event', {}).get('subject') is None:
        return None
    counts = (f for f in data['findings'] if f['mode'] != 'shadow' and f['policy'].split('/')[-1] != 'credit-standing')
    all_of_them = [{'at': at, 'sequence': data['sequence'], 'policy': f['policy'], 'rule': f['rule'], 'points': points_of(f, settings)} for f in counts]
    return [finding for finding in all_of_them if finding['points'] > 0]


def worth(finding, now, settings):
    age = now - finding['at']
    if age <= settings['full_days'] * events.DAY:
        return Fraction(finding['points'])
    return Fraction(finding['points'], 2) if age <= settings['days'] * events.DAY else Fraction(0)


def main():
    options = events.parser('Credit standing.', SETTINGS).parse_args()
    settings = options.settings
    kept, latest, levels, findings, count = {}, {}, {}, [], 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        subject, data, at = event['subject'], event['data'], events.micros(event['time'])
        mine = kept.setdefault(subject, [])
        if event['type'] == 'credit.redress.granted':
            left = [finding for finding in mine if any(finding[name] != value for name, value in data.items())]
            if len(left) == len(mine):
                findings.append({'event': number, 'rule': 'nothing-to-redress'})
            mine[:] = left
        else:
            new = booked(data, at, settings)
            if new is None:
                continue
            mine.extend(new)
        now = latest[subject] = max(at, latest.get(subject, at))
        mine[:] = [finding for finding in mine if worth(finding, now, settings) > 0]
        while len(mine) > KEPT:
            oldest = min((finding['at'], finding['sequence']) for finding in mine)
            mine[:] = [finding for finding in mine if (finding['at'], finding['sequence']) != oldest]
        total = sum(worth(finding, now, settings) for finding in mine)
        level, before = sum(total >= threshold for threshold in settings['thresholds'].values()), levels.get(subject, 0)
        levels[subject] = level
        said = LEVELS[before:level] if level >= before else ['improved']
        findings.extend({'event': number, 'rule': rule} for rule in said)
    rules = Counter(finding['rule'] for finding in findings)
    events.write({'events': count, 'rules': {rule: rules[rule] for rule in RULES}, 'settings': settings}, findings, options)


if __name__ == '__main__':
    main()
