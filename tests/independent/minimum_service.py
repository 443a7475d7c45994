#!/usr/bin/env python3
"""Answers for policies/minimum-service, without any code of Ephor (Python standard
library only).

usage: minimum_service.py EVENTS [--settings JSON] [--findings FILE]

A window is `window_days` days, counted from 1970-01-01 00:00 in a zone
`utc_offset_minutes` ahead of UTC. Of the measurements of a subscriber on a day of a
window the first `measurements_per_day` that come count; a day with so many is
measured. The measurement with which the first `days` days of a window are measured is
the one that has all findings of it, from those days alone, for download and upload by
itself:

below-maximum: on fewer than `days_at_maximum` of the days a measurement has
`maximum_percent` of the maximum speed or more. below-normal: fewer than
`normal_percent` of the measurements have the normal speed or more. below-minimum: on
`days_below_minimum` of the days or more a measurement is below the minimum speed."""
from collections import Counter

import events

RULES = ('below-maximum', 'below-minimum', 'below-normal')
SETTINGS = {
    'window_days': 14, 'days': 3, 'measurements_per_day': 10, 'maximum_percent': 90, 'days_at_maximum': 2, 'normal_percent': 90,
    'days_below_minimum': 2, 'utc_offset_minutes': 60,
}


def judge(days, direction, settings):
    """`days` are lists of the data of measurements."""
    pairs = [[(data[direction + '_kbps'], data['contract'][direction]) for data in day] for day in days]
    at_maximum = [any(speed * 100 >= sold['maximum'] * settings['maximum_percent'] for speed, sold in day) for day in pairs]
    if sum(at_maximum) < settings['days_at_maximum']:
        yield 'below-maximum'
    at_normal = [speed >= sold['normal'] for day in pairs for speed, sold in day]
    if sum(at_normal) * 100 < settings['normal_percent'] * len(at_normal):
        yield 'below-normal'
    below = [any(speed < sold['minimum'] for speed, sold in day) for day in pairs]
    if sum(below) >= settings['days_below_minimum']:
        yield 'below-minimum'


def main():
    options = events.parser('Internet access slower than sold.', SETTINGS).parse_args()
    settings, windows, count = options.settings, {}, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        day = (events.micros(event['time']) + settings['utc_offset_minutes'] * 60 * events.SECOND) // events.DAY
        days = windows.setdefault((event['data']['subscriber'], day // settings['window_days']), {})
        days.setdefault(day, []).append((number, event['data']))
    findings, enough = [], settings['measurements_per_day']
    for days in windows.values():
        measured = sorted((day[:enough] for day in days.values() if len(day) >= enough), key=lambda day: day[-1][0])[:settings['days']]
        if len(measured) == settings['days']:
            for direction in ('download', 'upload'):
                rules = judge([[data for _, data in day] for day in measured], direction, settings)
                findings += [{'event': measured[-1][-1][0], 'rule': rule} for rule in rules]
    findings.sort(key=lambda finding: finding['event'])
    by_rule = Counter(finding['rule'] for finding in findings)
    events.write({'events': count, 'rules': {rule: by_rule[rule] for rule in RULES}}, findings, options)


if __name__ == '__main__':
    main()
