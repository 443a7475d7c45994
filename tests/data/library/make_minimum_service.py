#!/usr/bin/env python3
"""Makes minimum-service.ndjson.gz: measurements of internet access as CloudEvents 1.0,
synthetic, with a known answer (Python standard library only).

usage: make_minimum_service.py

66 subscribers in three windows of 14 days that begin at 2026-02-26, 03-12 and 03-26,
00:00 in a zone one hour ahead of UTC. A subscriber measures ten times on each of three
days of a window. In each window the subscribers take turns in eleven kinds, six of
each kind:

 good        fast enough always
 limit       at each limit and not beyond: on two days one measurement with exactly 90
             percent of the maximum; 27 of 30 at exactly the normal speed, three one
             below; one measurement one below the minimum; all in both directions
 maximum     download: 90 percent of the maximum on one day only      below-maximum
 normal      upload: 4 of 30 below the normal speed                   below-normal
 minimum     download: on two days one below the minimum              below-minimum
 all         both directions: 500 kbit/s and nothing else             all three, twice
 incomplete  as `all`, but one measurement short                      nothing
 two-days    as `all`, but 15 measurements on each of two days        nothing
 more        good, and five measurements as in `all` at the end of each day: too many
             to count                                                 nothing
 after       good, and then a whole campaign as in `all` in the same window:
             the window is judged                                     nothing
 late        as `all`; what was measured last comes two days late     all three, twice

So in three windows: 18 + 2 * 36 = 90 below-maximum, 18 + 72 = 90 below-normal, 18 + 72
= 90 below-minimum. Nothing is anybody's."""
import datetime, gzip, json, os, sys

from planted import Random

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ('good', 'limit', 'maximum', 'normal', 'minimum', 'all', 'incomplete', 'two-days', 'more', 'after', 'late')
EACH, WINDOWS, WINDOW_DAYS, PER_DAY, OFFSET = 6, 3, 14, 10, 3_600
# 2026-02-26 is a multiple of 14 days after 1970-01-01.
FIRST_DAY = 20_510 // WINDOW_DAYS * WINDOW_DAYS
DAY = 86_400
# Of the contract in kbit/s: maximum, normal, minimum; of the download and of the upload.
CONTRACTS = (((50_000, 40_000, 20_000), (10_000, 8_000, 3_000)), ((100_000, 83_800, 54_000), (40_000, 33_400, 20_000)), ((250_000, 200_000, 175_000), (40_000, 35_000, 20_000)))
AWFUL = 500


def good(random, contract):
    maximum, normal, _ = contract
    return random.between(max(normal, maximum * 9 // 10), maximum)


def campaign(random, kind, contracts):
    """The speeds, down and up, of each measurement of each day."""
    down, up = contracts
    fast = lambda: [good(random, down), good(random, up)]
    awful = lambda: [AWFUL, AWFUL]
    days = [[fast() for _ in range(PER_DAY)] for _ in range(3)]
    if kind == 'limit':
        days = [[[down[1], up[1]] for _ in range(PER_DAY)] for _ in range(3)]
        days[0][3] = days[2][9] = [down[0] * 9 // 10, up[0] * 9 // 10]
        days[0][0] = days[1][0] = [down[1] - 1, up[1] - 1]
        days[1][1] = [down[2] - 1, up[2] - 1]
    elif kind == 'maximum':
        for day in days[:2]:
            for speeds in day:
                speeds[0] = random.between(down[1], down[0] * 9 // 10 - 1)
    elif kind == 'normal':
        for day, place in ((0, 1), (0, 5), (1, 9), (2, 0)):
            days[day][place][1] = random.between(up[2], up[1] - 1)
    elif kind == 'minimum':
        for day in (0, 2):
            days[day][random.between(0, 9)][0] = random.between(0, down[2] - 1)
    elif kind in ('all', 'incomplete', 'late'):
        days = [[awful() for _ in range(PER_DAY)] for _ in range(3)]
        if kind == 'incomplete':
            days[1].pop()
    elif kind == 'two-days':
        days = [[awful() for _ in range(15)] for _ in range(2)]
    elif kind == 'more':
        days = [day + [awful() for _ in range(5)] for day in days]
    elif kind == 'after':
        days += [[awful() for _ in range(PER_DAY)] for _ in range(3)]
    return days


def measurements(random):
    """When it comes, when it was measured, by whom, under which contract, how fast."""
    for window in range(WINDOWS):
        for subscriber in range(EACH * len(KINDS)):
            kind = KINDS[(subscriber + window) % len(KINDS)]
            contracts = CONTRACTS[subscriber % len(CONTRACTS)]
            days = campaign(random, kind, contracts)
            places = list(range(WINDOW_DAYS))
            random.shuffle(places)
            for place, day in zip(sorted(places[:len(days)]), days):
                seconds = sorted(random.between(0, DAY - 1) for _ in day)
                for second, speeds in zip(seconds, day):
                    time = (FIRST_DAY + window * WINDOW_DAYS + place) * DAY + second - OFFSET
                    is_last = kind == 'late' and day is days[-1]
                    yield time + (2 * DAY if is_last else 0), time, subscriber, contracts, speeds


def text(time):
    return datetime.datetime.fromtimestamp(time, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def main():
    path = os.path.join(HERE, 'minimum-service.ndjson.gz')
    named = lambda contract: dict(zip(('maximum', 'normal', 'minimum'), contract))
    with open(path, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
        # The sort is stable, and what comes at one time stays in its order.
        for number, (_, time, subscriber, (down, up), speeds) in enumerate(sorted(measurements(Random(2015_2120)), key=lambda it: it[0])):
            event = {
                'specversion': '1.0', 'id': f'{number:05d}', 'source': '/measuring', 'type': 'network.speed.measured', 'time': text(time),
                'data': {
                    'subscriber': f's-{subscriber:02d}', 'download_kbps': speeds[0], 'upload_kbps': speeds[1],
                    'contract': {'download': named(down), 'upload': named(up)},
                },
            }
            out.write(json.dumps(event, separators=(',', ':')).encode() + b'\n')
    print(os.path.getsize(path), 'bytes', file=sys.stderr)


if __name__ == '__main__':
    main()
