#!/usr/bin/env python3
"""Answers for policies/purpose-limit, without any code of Ephor (Python standard
library only).

usage: purpose_limit.py EVENTS [--settings JSON] [--findings FILE]

A use of a person's data of a category, for a purpose, at a time, is held against the
consents and withdrawals of that person, category and purpose that came before it in the
file. Of those the one with the latest time that is not behind the use counts; of two of
the same time a withdrawal, otherwise the one that came last. What was said of a use is
not said again when more comes.

* A use that names a ground which `grounds` has, with this purpose, is no finding.
* None counts: use-without-consent; but other-purpose if the person agrees at that time
  to another purpose of the category.
* A withdrawal counts: after-withdrawal.
* A consent counts whose `until` is not behind the use: expired.
* A consent counts that holds, and the recipient of the use is neither one of its
  recipients nor a processor: unlisted-recipient.

Of one person, category and purpose only the eight latest are kept, by their times. A
use that is older than all that are kept, where some were not, is undecided."""
import by_rule, events

RULES = ['use-without-consent', 'other-purpose', 'after-withdrawal', 'expired', 'unlisted-recipient']
SETTINGS = {'grounds': {'contract': ['delivery', 'payment'], 'legal-duty': ['tax']}, 'processors': ['cloud-storage']}
KEPT = 8


def counts(history, time):
    """What counts at a time: `nothing`, `forgotten`, or an event's data with its kind."""
    ordered = sorted(history, key=lambda it: (it['time'], it['kind'] == 'withdrawn', it['came']))
    by_time = {it['time']: it for it in ordered}
    times = sorted(by_time)
    kept = times[-KEPT:]
    behind = [it for it in kept if it <= time]
    if behind:
        return by_time[behind[-1]]
    return {'kind': 'forgotten' if len(times) > len(kept) else 'nothing'}


def rule_of(use, time, histories, settings):
    person, category, purpose = use['subject'], use['category'], use['purpose']
    if purpose in settings['grounds'].get(use.get('ground'), []):
        return None
    state = counts(histories.get((person, category, purpose), []), time)
    if state['kind'] == 'forgotten':
        return 'undecided'
    if state['kind'] == 'withdrawn':
        return 'after-withdrawal'
    if state['kind'] == 'given':
        if state['until'] is not None and state['until'] <= time:
            return 'expired'
        listed = state['recipients'] + settings['processors'] + [None]
        return None if use.get('recipient') in listed else 'unlisted-recipient'
    for (who, what, _), history in histories.items():
        other = counts(history, time)
        if (who, what) == (person, category) and other['kind'] == 'given' and (other['until'] is None or time < other['until']):
            return 'other-purpose'
    return 'use-without-consent'


def main():
    options = events.parser('Personal data used beyond what was agreed to.', SETTINGS).parse_args()
    histories, findings, undecided, count = {}, [], 0, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        data, time = event['data'], events.micros(event['time'])
        if event['type'] == 'privacy.data.used':
            rule = rule_of(data, time, histories, options.settings)
            if rule == 'undecided':
                undecided += 1
            elif rule:
                findings.append((number, rule))
        elif event['type'].startswith('privacy.consent.'):
            change = {
                'kind': event['type'].rsplit('.', 1)[1],
                'time': time,
                'came': number,
                'until': events.micros(data['until']) if 'until' in data else None,
                'recipients': data.get('recipients', []),
            }
            for purpose in data['purposes']:
                histories.setdefault((data['subject'], data['category'], purpose), []).append(change)
    by_rule.write(RULES, count, findings, undecided, options)


if __name__ == '__main__':
    main()
