#!/usr/bin/env python3
"""Answers for policies/exclusive-dealing, without any code of Ephor (Python standard
library only).

usage: exclusive_dealing.py EVENTS [--settings JSON] [--findings FILE]

A merchant's presence is on how many other platforms it sells. One that is older than the
latest that came is undecided. A rise is a presence above the one before it, the first
known one apart. It is looked at until the presence falls to what it was before the rise,
or until a presence comes whose day is more than `after_days` behind it; a rise meanwhile
is none of its own. Days are days in UTC.

A report of a ranking is compared if its day is one of the `after_days` behind the day of
the rise. All reports that came so far count: those of the `before_days` before the day of
the rise, those of the last `recent_days` of them, and those of the days after. Each of the
three must have reports on `least_days` days. The place of each is the sum of positions over
the sum of those of the peers. It is a finding, once for a rise, if the place after is
`ranking_percent` percent or more above the greater of the other two.

Fees likewise, with the mean of the rate less that of the peers, and `fee_points` or more
above the greater of the other two. Terms that are exclusive are a finding, unless they are
accepted. All days of all merchants are kept, so a report whose day the policy has forgotten
would be judged otherwise here; there is none in the events."""
from fractions import Fraction

import by_rule, events

RANKING, FEE, TERMS = 'ranking-drop-after-multihoming', 'fee-rise-after-multihoming', 'exclusivity-demanded'
SETTINGS = {
    'before_days': 28, 'recent_days': 7, 'after_days': 14, 'least_days': 4,
    'ranking_percent': 30, 'fee_points': 100, 'accepted_terms': [],
}


class Merchant:
    def __init__(self):
        self.latest = self.rise = None
        self.reports = {'ranking': [], 'fee': []}


def value(kind, reports):
    if kind == 'ranking':
        return Fraction(sum(own for _, own, _ in reports), sum(peers for _, _, peers in reports))
    return Fraction(sum(own - peers for _, own, peers in reports), len(reports))


def is_worse(kind, merchant, settings):
    rose = merchant.rise['day']
    values = []
    for first, last in (
        (rose - settings['before_days'], rose - 1),
        (rose - settings['recent_days'], rose - 1),
        (rose + 1, rose + settings['after_days']),
    ):
        reports = [report for report in merchant.reports[kind] if first <= report[0] <= last]
        if len({day for day, _, _ in reports}) < settings['least_days']:
            return False
        values.append(value(kind, reports))
    before, after = max(values[:2]), values[2]
    if kind == 'ranking':
        return after >= before * Fraction(100 + settings['ranking_percent'], 100)
    return after - before >= settings['fee_points']


def main():
    options = events.parser('Merchants punished for selling elsewhere.', SETTINGS).parse_args()
    settings = options.settings
    merchants, findings, undecided, count = {}, [], 0, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        data, time = event['data'], events.micros(event['time'])
        day, kind = time // events.DAY, event['type'].removeprefix('market.merchant.')
        merchant = merchants.setdefault(data['merchant'], Merchant())
        if kind == 'terms':
            if data['exclusive'] and data['terms'] not in settings['accepted_terms']:
                findings.append((number, TERMS))
        elif kind == 'presence':
            if merchant.latest and time < merchant.latest[0]:
                undecided += 1
                continue
            was, merchant.latest = merchant.latest, (time, data['elsewhere'])
            rise = merchant.rise
            if rise and (data['elsewhere'] <= rise['from'] or day > rise['day'] + settings['after_days']):
                merchant.rise = None
            if was and merchant.rise is None and data['elsewhere'] > was[1]:
                merchant.rise = {'day': day, 'from': was[1], 'found': set()}
        elif kind in merchant.reports:
            merchant.reports[kind].append((day, data['position' if kind == 'ranking' else 'rate'], data['peers']))
            rise = merchant.rise
            if rise and kind not in rise['found'] and 1 <= day - rise['day'] <= settings['after_days'] and is_worse(kind, merchant, settings):
                rise['found'].add(kind)
                findings.append((number, RANKING if kind == 'ranking' else FEE))
    by_rule.write([RANKING, FEE, TERMS], count, findings, undecided, options)


if __name__ == '__main__':
    main()
