#!/usr/bin/env python3
"""Synthetic events for policies/exclusive-dealing: exclusive-dealing.ndjson.gz beside this
file (Python standard library only).

90 days of 2025 of 44 made-up merchants of a made-up platform: each day a place in results
and a fee, both beside the median of comparable merchants, with some noise; on some days how
many other platforms the merchant sells on. Each merchant is a case:

| merchants | case | to find |
|---|---|---|
| 1 to 4 | sells on one more from day 40 on; its place is worse by 60 percent from day 42 on | a ranking drop each |
| 5 to 7 | the same; its fee is 3 points higher | a fee rise each |
| 8, 9 | the same; both | one of each, each |
| 10 to 12 | its place gets worse on day 30, it sells on one more from day 40 on | nothing |
| 13 to 15 | its place gets worse by a hundredth each day, all the time | nothing |
| 16 to 18 | sells on one more on day 40, on one less on day 44; worse from day 46 on | nothing |
| 19 to 21 | its place gets worse, and that of all comparable merchants too | nothing |
| 22, 23 | its fee gets higher, and that of all comparable merchants too | nothing |
| 24, 25 | sells on one less from day 40 on; its place gets worse | nothing |
| 26, 27 | its place gets worse on day 57, behind the days that are looked at | nothing |
| 28, 29 | its place is worse by 18 percent, its fee 0.6 points higher | nothing |
| 30 | there are reports from day 38 on only | nothing |
| 31 | sells on one other when that is heard of first, on day 40; its place gets worse | nothing |
| 32 | sells on one more from day 20 on, and on another from day 40 on; worse from day 42 on | a ranking drop |
| 33 | sells on one more from day 40 on, and on another from day 45 on; worse from day 42 on | a ranking drop |
| 34 | like 1, but the reports of days 41 to 60 come 20 days late | a ranking drop |
| 35 | like 1, but reports come on every third day, too few | nothing |
| 36 | terms that are exclusive, twice, and others that are not | exclusivity demanded, twice |
| 37 | like 1, and each report comes twice | a ranking drop |
| 38 | a presence that comes ten days late | undecided |
| 39 to 44 | sell on one more, and nothing happens | nothing |

The tally that is printed is of what was planted."""
from collections import Counter

import planted

BEGIN = planted.moment('2025-03-01T00:00:00Z')
DAYS = 90
ROSE = 40


def main():
    random, sent, tally = planted.Random(35), [], Counter()

    def send(kind, merchant, number, second, data, comes=0):
        """An event of day `number`, which comes so many days late."""
        time = BEGIN + planted.datetime.timedelta(days=number, seconds=second)
        # A source that is far ahead is not believed about what is long ago.
        source = '/platform/archive' if comes else '/platform/merchants'
        event = planted.event('market.merchant.' + kind, source, time, {'merchant': f'M{merchant:03}', **data})
        sent.append((time + planted.datetime.timedelta(days=comes), len(sent), event))

    def noisy(value, permille):
        return max(1, value * (1_000 + random.between(-permille, permille)) // 1_000)

    for merchant in range(1, 45):
        case = next(case for case, last in enumerate([4, 7, 9, 12, 15, 18, 21, 23, 25, 27, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 44]) if merchant <= last)
        place, rate = random.between(40, 400), random.between(500, 1_200)
        steps = {24: [(5, 2), (ROSE, 1)], 25: [(5, 3), (ROSE, 2)], 31: [(ROSE, 1)], 32: [(5, 0), (20, 1), (ROSE, 2)], 33: [(5, 0), (ROSE, 1), (45, 2)]}
        presence = steps.get(merchant, [(5, 0), (ROSE, 1)])
        if case == 5:
            presence = presence + [(44, 0)]
        for number, elsewhere in presence:
            send('presence', merchant, number, 43_200, {'elsewhere': elsewhere})
        if merchant == 38:
            send('presence', merchant, 35, 43_200, {'elsewhere': 3}, comes=10)
            tally['undecided'] += 1
        for number in range(DAYS):
            if merchant == 30 and number < 38 or merchant == 35 and number % 3:
                continue
            worse, higher, for_all = 100, 0, merchant in range(19, 24)
            if case in (0, 2, 8, 12, 13, 14, 15, 16, 18) and number >= 42 or merchant == 30 and number >= 42:
                worse = 160
            if case in (1, 2) and number >= 43:
                higher = 300
            if case == 3 and number >= 30 or case == 5 and number >= 46 or case == 9 and number >= 57 or case == 6 and number >= 42:
                worse = 160
            if case == 4:
                worse = 100 + number
            if case == 7 and number >= 42:
                higher = 300
            if case == 10 and number >= 42:
                worse, higher = 118, 60
            # Comparable merchants are around the same place, and pay a little less.
            peers = place * worse // 100 if for_all else place
            ranking = {'position': noisy(place * worse // 100, 50), 'peers': noisy(peers, 30)}
            fee = {'rate': rate + higher + random.between(-20, 20), 'peers': rate - 50 + (higher if for_all else 0) + random.between(-10, 10)}
            late = 20 if merchant == 34 and 41 <= number <= 60 else 0
            for _ in range(2 if merchant == 37 else 1):
                send('ranking', merchant, number, 80_000 + merchant, ranking, late)
                send('fee', merchant, number, 80_100 + merchant, fee, late)
        if case in (0, 2, 13, 14, 15, 18):
            tally['ranking-drop-after-multihoming'] += 1
        if case in (1, 2):
            tally['fee-rise-after-multihoming'] += 1
    for number, terms, exclusive in [(3, 'general', False), (50, 'gold-partner', True), (51, 'general', False), (60, 'gold-partner', True)]:
        send('terms', 36, number, 30_000, {'terms': terms, 'exclusive': exclusive})
        tally['exclusivity-demanded'] += exclusive
    planted.write('exclusive-dealing', [event for _, _, event in sorted(sent, key=lambda it: it[:2])])
    print(dict(tally))


if __name__ == '__main__':
    main()
