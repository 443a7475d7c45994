#!/usr/bin/env python3
"""Events for policies/dominance-watch: dominance-watch.ndjson.gz beside this file (Python
standard library only).

usage: make_dominance_watch.py FOLDER      FOLDER holds columbus/snapshots

The first part is real: shared vehicles in Columbus, Ohio, in 47 snapshots of the feeds of
Spin and Veo (see the sample's README for source and licence). For each snapshot and
operator one event says how many vehicles there are in the whole city, as `vehicles`, and
one for each kind of vehicle how many there are in each field of a grid of 0.02 degrees, as
`scooters` and `bikes`. The earliest snapshots do not say the kind, and have the whole city
only. The feeds speak of `bicycle` and of `e-bike`; here both are bikes.

The second part is made up, for what two operators cannot show: markets with three and
more, shares that are just at a limit, events that are late. PLANTED says what is in each
market and what it gives. A market that looks like a finding, and is none, is there too."""
import csv, glob, gzip, os, sys
from collections import Counter

import planted

KINDS = {'scooter': 'scooters', 'bicycle': 'bikes', 'e-bike': 'bikes'}
FIELD = 0.02
BEGIN = planted.moment('2026-08-10T00:00:00Z')

# Category, amounts by operator, rules of the operators in that order.
PLANTED = [
    ('exactly-half', [50, 10, 10, 10, 10, 10], ['half', '', '', '', '', '']),
    ('below-half', [4_999, 1_000, 1_000, 1_001, 1_000, 1_000], ['', '', '', '', '', '']),
    ('two-thirds', [700, 640, 100, 100, 100, 100, 100, 100, 70], ['two-thirds', 'two-thirds', '', '', '', '', '', '', '']),
    ('below-two-thirds', [699, 640, 90, 100, 100, 100, 100, 100, 81], ['', '', '', '', '', '', '', '', '']),
    ('three-quarters', [25, 25, 25, 5, 5, 5, 5, 5], ['three-quarters'] * 3 + [''] * 5),
    ('below-three-quarters', [25, 25, 24, 6, 5, 5, 5, 5], [''] * 8),
    ('one-is-small', [40, 26, 9, 9, 9, 7], ['three-quarters', 'three-quarters', '', '', '', '']),
    ('little', [98, 1], ['', '']),
    ('just-enough', [99, 1], ['half', '']),
]


def real(folder):
    for path in sorted(glob.glob(os.path.join(folder, 'columbus', 'snapshots', '*.csv.gz'))):
        stamp = os.path.basename(path).split('_')[-1].split('.')[0]
        time = planted.moment(f'{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z')
        counts = Counter()
        with gzip.open(path, 'rt', encoding='utf-8', newline='') as file:
            for row in csv.DictReader(file):
                counts['vehicles', 'Columbus, Ohio', row['Company']] += 1
                kind = KINDS.get(row.get('Type') or '')
                if kind:
                    places = [round(float(row[name]) / FIELD) * FIELD for name in ('Latitude', 'Longitude')]
                    counts[kind, 'field {:.2f}, {:.2f}'.format(*places), row['Company']] += 1
        for (category, area, operator), amount in sorted(counts.items()):
            data = {'category': category, 'area': area, 'unit': 'sightings', 'operator': operator, 'amount': amount}
            yield planted.event('market.volume.reported', '/columbus/feeds', time, data)


def made_up(tally):
    def volume(category, operator, amount, hour):
        data = {'category': category, 'area': 'nowhere', 'unit': 'orders', 'operator': operator, 'amount': amount}
        return planted.event('market.volume.reported', '/made/up', BEGIN + planted.datetime.timedelta(hours=hour), data)

    for category, amounts, rules in PLANTED:
        for number, amount in enumerate(amounts):
            # In two parts, in the first and in the last hour of the window.
            yield volume(category, f'operator-{number}', amount - amount // 2, 0)
            yield volume(category, f'operator-{number}', amount // 2, 23)
        yield volume(category, 'operator-0', 1, 30)
        tally.update(rule for rule in rules if rule)
    # 51 percent, but for an event that comes late, while the window is open.
    yield volume('late-and-counts', 'a', 51, 10)
    yield volume('late-and-counts', 'b', 9, 11)
    for other in 'cdefg':
        yield volume('late-and-counts', other, 8, 12)
    yield volume('late-and-counts', 'a', 1, 29)
    yield volume('late-and-counts', 'h', 5, 13)
    yield volume('late-and-counts', 'a', 1, 30)
    # 52 percent, and the event that would make them fewer comes when that has been judged.
    yield volume('too-late', 'a', 52, 10)
    for other in 'bcdefg':
        yield volume('too-late', other, 8, 12)
    yield volume('too-late', 'a', 1, 30)
    yield volume('too-late', 'h', 5, 13)
    tally.update(['half', 'undecided'])
    # Seventeen operators, of which sixteen are kept apart.
    for number in range(17):
        yield volume('many', f'operator-{number:02}', 10, number)
    yield volume('many', 'operator-00', 1, 30)
    tally['too-many-operators'] += 1
    # One window of three is empty; the last is not closed.
    yield volume('gaps', 'a', 100, 1)
    yield volume('gaps', 'a', 100, 60)
    yield volume('gaps', 'a', 100, 90)
    tally['half'] += 2


def main():
    tally = Counter()
    planted.write('dominance-watch', [*real(sys.argv[1]), *made_up(tally)])
    print('planted in the second part:', dict(tally))


if __name__ == '__main__':
    main()
