#!/usr/bin/env python3
"""Makes working-hours.ndjson.gz: signals of drivers who go on and off duty, as
CloudEvents 1.0, synthetic, with a known answer (Python standard library only).

usage: make_working_hours.py

36 drivers, from 2026-03-02 on, in a zone eight hours ahead of UTC. What a driver does
on a day, or on two, is one of thirteen kinds, drawn and put together so that one
finding does not bring another. Under 240 minutes without a break of 20, 480 minutes a
day, 660 minutes of rest in 24 hours, and no duty beyond 960:

 good          3:30 and 4:00 hours, an hour between them
 limit         4:00 and 4:00 hours, 20 minutes between them: nothing is above
 short-break   3:00 and 1:01 hours, 19 minutes between them          no-break
 long-day      3:30, 3:30 and 1:01 hours                              long-day
 border        8:00 hours up to midnight, 1:30 behind it; nothing
 no-rest       8:00 hours, 5 hours off in the middle, and 2:00 behind midnight
                                                                      no-daily-rest
 no-off        on duty, and next a day later                          unclosed-duty
 long-duty     on duty for 18:30 hours                                unclosed-duty
 no-on         off duty twice, and not on in between; nothing
 repeated      every signal twice, a minute apart; nothing
 late-break    2:00 and 2:00 hours; the break between them is reported behind them, and
               what was said of 4:30 hours without one is not taken back   no-break
 late-long     as long-day; the third duty is reported on the next day, its end first
                                                                      long-day
 backwards     as good; all signals come in the evening, ends first; nothing, because
               an end alone is no duty

At the end it prints how often it planted each."""
import datetime, gzip, json, os, sys
from collections import Counter

from planted import Random

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVERS, DAYS, OFFSET = 36, 14, 480
FIRST_DAY = 20_514
ON, OFF = 'on', 'off'
# Of each kind the days that it takes, and duties as minutes from its first midnight.
PLAIN = {
    'good': (1, [(480, 690), (750, 990)]),
    'limit': (1, [(480, 720), (740, 980)]),
    'short-break': (1, [(480, 660), (679, 740), (800, 920)]),
    'long-day': (1, [(420, 630), (660, 870), (900, 961)]),
    'border': (2, [(900, 1_140), (1_170, 1_380), (1_410, 1_530)]),
    'no-rest': (2, [(600, 840), (900, 1_080), (1_380, 1_560)]),
    'long-duty': (2, [(360, 1_470)]),
}
FINDS = {
    'short-break': 'no-break', 'late-break': 'no-break', 'long-day': 'long-day', 'late-long': 'long-day', 'no-rest': 'no-daily-rest',
    'no-off': 'unclosed-duty', 'long-duty': 'unclosed-duty',
}
KINDS = (*PLAIN, 'no-off', 'no-on', 'repeated', 'late-break', 'late-long', 'backwards')


def signals(kind):
    """How many days it takes, and its signals: when each comes, its time, and what it says."""
    days, duties = PLAIN.get(kind, (1, []))
    if kind in ('backwards', 'repeated'):
        duties = PLAIN['good'][1]
    elif kind == 'late-long':
        duties = PLAIN['long-day'][1]
    elif kind == 'no-off':
        return days, [(480, 480, ON)]
    elif kind == 'no-on':
        return days, [(480, 480, ON), (690, 690, OFF), (900, 900, OFF)]
    elif kind == 'late-break':
        return days, [(480, 480, ON), (750, 750, OFF), (780, 600, OFF), (781, 630, ON)]
    found = [(time, time, what) for duty in duties for time, what in zip(duty, (ON, OFF))]
    if kind == 'repeated':
        found += [(time + 1, time + 1, what) for _, time, what in found]
    elif kind == 'late-long':
        found[4:] = [(2_041, 900, ON), (2_040, 961, OFF)]
    elif kind == 'backwards':
        found = [(1_000 + place, *signal[1:]) for place, signal in enumerate((found[3], found[1], found[2], found[0]))]
    return days, found


def main():
    random, planted, all_signals = Random(62_7), Counter(), []
    for driver in range(DRIVERS):
        day, kinds = 0, []
        while day < DAYS:
            if not kinds:
                kinds = list(KINDS)
                random.shuffle(kinds)
            kind = kinds.pop()
            days, found = signals(kind)
            midnight = (FIRST_DAY + day) * 1_440 - OFFSET
            all_signals += [(midnight + come, midnight + time, driver, what) for come, time, what in found]
            planted[FINDS.get(kind, 'nothing')] += 1
            day += days
        # So that everything before is followed by a signal.
        midnight = (FIRST_DAY + day) * 1_440 - OFFSET
        all_signals += [(midnight + time, midnight + time, driver, what) for time, what in ((480, ON), (600, OFF))]
    path = os.path.join(HERE, 'working-hours.ndjson.gz')
    with open(path, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
        # The sort is stable, and what comes in one minute stays in its order.
        for number, (_, time, driver, what) in enumerate(sorted(all_signals, key=lambda it: it[0])):
            event = {
                'specversion': '1.0', 'id': f'{number:05d}', 'source': '/rides', 'type': f'mobility.driver.{what}-duty',
                'time': datetime.datetime.fromtimestamp(time * 60, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
                'data': {'driver': f'd-{driver:02d}'},
            }
            out.write(json.dumps(event, separators=(',', ':')).encode() + b'\n')
    print(os.path.getsize(path), 'bytes', dict(planted), file=sys.stderr)


if __name__ == '__main__':
    main()
