#!/usr/bin/env python3
"""Answers for policies/dominance-watch, without any code of Ephor (Python standard
library only).

usage: dominance_watch.py EVENTS [--settings JSON] [--findings FILE]

A market is a category, an area and a unit. Volumes are added up by market, window and
operator; windows lie side by side from 1970 on. A window is judged at the first event of
its market whose time is at least so many hours of grace behind its end; its findings are
of that event. An event whose window is one that such an event has closed, whether or not
there was anything in it, is undecided. So is an amount below zero, which closes nothing.

Of a window with at least the minimum of volume:

* half: the operator is the largest (or as large), which has 1/2 or more;
* two-thirds: it is not found by that, is as large as one of the two largest, these have
  2/3 or more together, and it has 1/10 or more;
* three-quarters: likewise with the three largest and 3/4;
* too-many-operators: there were more than so many; those that came first are kept apart,
  and what the others have is part of the market, but of nobody."""
import math
from fractions import Fraction

import by_rule, events

RULES = ['half', 'two-thirds', 'three-quarters', 'too-many-operators']
SETTINGS = {'window_hours': 24, 'grace_hours': 6, 'minimum_volume': 100, 'most_operators': 16}
LIMITS = [('half', 1, Fraction(1, 2)), ('two-thirds', 2, Fraction(2, 3)), ('three-quarters', 3, Fraction(3, 4))]


def judged(amounts, settings):
    """The rules that a window breaks, one for each finding. `amounts` has the operators
    in the order in which they came."""
    total = sum(amounts.values())
    if total < settings['minimum_volume']:
        return
    kept = list(amounts.values())[:settings['most_operators']]
    largest = sorted(kept, reverse=True)
    for amount in kept:
        for rule, number, limit in LIMITS:
            enough = number == 1 or Fraction(amount, total) >= Fraction(1, 10)
            if len(largest) >= number and amount >= largest[number - 1] and Fraction(sum(largest[:number]), total) >= limit and enough:
                yield rule
                break
    if len(amounts) > len(kept):
        yield 'too-many-operators'


def main():
    options = events.parser('Shares of a market.', SETTINGS).parse_args()
    settings = options.settings
    width, grace = settings['window_hours'] * events.HOUR, settings['grace_hours'] * events.HOUR
    markets, furthest, findings, undecided, count = {}, {}, [], 0, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        data = event['data']
        if data['amount'] < 0:
            undecided += 1
            continue
        market = (data['category'], data['area'], data['unit'])
        windows = markets.setdefault(market, {})
        time = events.micros(event['time'])
        furthest[market] = max(time, furthest.get(market, -math.inf))
        # A window has the number n if it begins at n times the width.
        for window in sorted(window for window in windows if (window + 1) * width + grace <= furthest[market]):
            findings.extend((number, rule) for rule in judged(windows.pop(window), settings))
        if (time // width + 1) * width + grace <= furthest[market]:
            undecided += 1
            continue
        if data['amount']:
            amounts = windows.setdefault(time // width, {})
            amounts[data['operator']] = amounts.get(data['operator'], 0) + data['amount']
    by_rule.write(RULES, count, findings, undecided, options)


if __name__ == '__main__':
    main()
