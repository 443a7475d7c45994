#!/usr/bin/env python3
"""Answers for policies/working-hours, without any code of Ephor (Python standard
library only).

usage: working_hours.py EVENTS [--settings JSON] [--findings FILE]

All times have to be whole minutes. After each signal the whole known past of its driver
is looked at, as a row of minutes that are on duty or not:

on duty is from a signal on duty to the next off duty; signals on while on, and off
while off, change nothing. From a signal on duty to the next that is more than
`longest_duty_minutes` later is no duty, but an unclosed-duty.

no-break: minutes on duty, with less than `break_minutes` off in between, that are more
than `continuous_minutes` together. long-day: more than `day_minutes` on duty on a day of
the zone. no-daily-rest: a duty ends, and in the 24 hours up to then there are no
`daily_rest_minutes` off duty in a row; one for the day of that end.

The signal with which such a thing is there for the first time is the finding; the
no-break is known by its first minute, the unclosed-duty by its signal on duty, the others
by their days. A signal that is four days older than the latest of its driver, or more,
says nothing."""
import re
from collections import Counter

import events

RULES = ('long-day', 'no-break', 'no-daily-rest', 'unclosed-duty')
SETTINGS = {
    'continuous_minutes': 240, 'break_minutes': 20, 'day_minutes': 480, 'daily_rest_minutes': 660, 'longest_duty_minutes': 960,
    'utc_offset_minutes': 480,
}
DAY = 1_440
KEPT = 4 * DAY


def there(signals, settings):
    """Everything that is to be found in signals, which are pairs of a minute and whether on."""
    signals = sorted(signals, key=lambda signal: signal[0])
    # A row of minutes that begins at a midnight of the zone, with a day off in front.
    first = (signals[0][0] + settings['utc_offset_minutes']) // DAY * DAY - settings['utc_offset_minutes'] - DAY
    row = bytearray(b'.') * (signals[-1][0] - first + 1)
    since = None
    for minute, is_on in signals:
        if since is None:
            since = minute if is_on else None
        elif minute - since > settings['longest_duty_minutes']:
            yield 'unclosed-duty', since
            since = minute if is_on else None
        elif not is_on:
            row[since - first:minute - first] = b'X' * (minute - since)
            since = None

    for stretch in re.finditer(rb'X+(?:\.{1,%d}X+)*' % (settings['break_minutes'] - 1), row):
        if stretch[0].count(b'X') > settings['continuous_minutes']:
            yield 'no-break', first + stretch.start()
    for day in range(0, len(row), DAY):
        if row[day:day + DAY].count(b'X') > settings['day_minutes']:
            yield 'long-day', first + day
    rest = settings.get('daily_rest_minutes')
    for duty in re.finditer(rb'X+', row):
        if rest is not None and b'.' * rest not in row[duty.end() - DAY:duty.end()]:
            yield 'no-daily-rest', first + duty.end() // DAY * DAY


def main():
    options = events.parser('Drivers on duty for too long.', SETTINGS).parse_args()
    drivers, findings, count = {}, [], 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        minute, rest = divmod(events.micros(event['time']), 60 * events.SECOND)
        assert rest == 0, 'a time that is no whole minute'
        signals, known = drivers.setdefault(event['data']['driver'], ([], set()))
        if signals and minute <= max(signals)[0] - KEPT:
            continue
        signals.append((minute, event['type'] == 'mobility.driver.on-duty'))
        now = set(there(signals, options.settings))
        findings += [{'event': number, 'rule': rule} for rule, _ in sorted(now - known)]
        known |= now
    by_rule = Counter(finding['rule'] for finding in findings)
    events.write({'events': count, 'rules': {rule: by_rule[rule] for rule in RULES}}, findings, options)


if __name__ == '__main__':
    main()
