#!/usr/bin/env python3
"""Synthetic events for policies/licence-register, and the register that they are held
against: licence-register.ndjson.gz beside this file, and register.csv in the policy's
folder (Python standard library only).

A platform's orders and listings of 2024 and 2025, of merchants M0001 to M0212. No
merchant, order or licence is a real one. What is planted, merchant by merchant:

| merchants | have | sell |
|---|---|---|
| 1 to 150 | the business, and each licence they need, for the whole time | what they may |
| 151 to 162 | a catering licence that ends in the middle: the sales behind it are `lapsed` | meals |
| 163 to 170 | a food licence that is renewed the day after it ends | groceries: nothing to find |
| 171 to 176 | a food licence that is renewed 30 days after it ends: between, `lapsed` | groceries |
| 177 to 184 | a drug licence that begins in the middle: the sales before are `not-yet-valid` | medicines |
| 185 to 192 | the business and a food licence; one sale in four is of meals: `out-of-scope` | groceries |
| 193 to 198 | no row in the register: all is `not-registered` | clothes |
| 199 to 201 | a value in the register that cannot be read: all is undecided | clothes |
| 202 to 206 | a business that was struck off, and a licence that was not: `lapsed` for clothes | clothes, groceries |
| 207 to 212 | no row either, and need none | own produce |

At each end and beginning there are sales in the last second of one day and the first
of the next, where clocks are eight hours ahead of UTC. One event in twelve is late: up
to three days behind its time, past ends of licences. It is judged by its own time.
The tally that is printed is of what was planted, not of what a rule said."""
import csv, datetime, os
from collections import Counter

import planted

BEGIN, DAYS = datetime.date(2024, 1, 1), 730
ZONE = datetime.timezone(datetime.timedelta(hours=8))
REGISTER = os.path.join(planted.HERE, '..', '..', '..', 'policies', 'licence-register', 'register.csv')
SCOPES = {'meals': 'catering', 'groceries': 'food-sale', 'medicines': 'drug-retail'}


def day(number):
    return BEGIN + datetime.timedelta(days=number)


def main():
    random, register, sales, tally = planted.Random(62), {}, [], Counter()

    def sell(merchant, category, number, second, label):
        """A sale on the day of this number, in the zone's time."""
        local = datetime.datetime.combine(day(number), datetime.time(), ZONE) + datetime.timedelta(seconds=second)
        kind = 'market.listing.published' if random.below(8) == 0 else 'market.order.placed'
        data = {'merchant': f'M{merchant:04}', 'category': category, 'order': random.between(10**8, 10**9 - 1), 'amount': random.between(300, 90_000)}
        late = random.between(1, 3 * 86_400) if random.below(12) == 0 else 0
        sales.append((local + datetime.timedelta(seconds=late), len(sales), planted.event(kind, '/platform/orders', local, data)))
        tally[label] += 1

    def anytime(merchant, category, count, label, first=0, last=DAYS - 1):
        for _ in range(count):
            number = random.between(first, last)
            sell(merchant, category, number, random.below(86_400), label(number) if callable(label) else label)

    for merchant in range(1, 151):
        category = random.choose(['meals', 'groceries', 'medicines', 'clothes'])
        licences = [f'business {day(-random.between(30, 3000))}/..']
        if category in SCOPES:
            until = '..' if random.below(2) else str(day(DAYS + random.between(0, 500)))
            licences.append(f'{SCOPES[category]} {day(-random.between(0, 900))}/{until}')
        register[merchant] = '; '.join(licences)
        anytime(merchant, category, random.between(15, 35), 'fine')
    for merchant in range(151, 163):
        end = random.between(200, 500)
        register[merchant] = f'business {day(-900)}/..; catering {day(-400)}/{day(end)}'
        anytime(merchant, 'meals', 24, lambda number: 'fine' if number <= end else 'lapsed')
        sell(merchant, 'meals', end, 86_399, 'fine')
        sell(merchant, 'meals', end + 1, 0, 'lapsed')
    for merchant in range(163, 171):
        end = random.between(200, 500)
        register[merchant] = f'food-sale {day(end + 1)}/..; food-sale {day(-400)}/{day(end)}'
        anytime(merchant, 'groceries', 24, 'fine')
        sell(merchant, 'groceries', end, 86_399, 'fine')
        sell(merchant, 'groceries', end + 1, 0, 'fine')
    for merchant in range(171, 177):
        end = random.between(200, 500)
        register[merchant] = f'business {day(-900)}/..; food-sale {day(-400)}/{day(end)}; food-sale {day(end + 31)}/..'
        anytime(merchant, 'groceries', 20, lambda number: 'lapsed' if end < number < end + 31 else 'fine')
        anytime(merchant, 'groceries', 6, 'lapsed', end + 1, end + 30)
        sell(merchant, 'groceries', end + 30, 86_399, 'lapsed')
        sell(merchant, 'groceries', end + 31, 0, 'fine')
    for merchant in range(177, 185):
        begin = random.between(200, 500)
        register[merchant] = f'business {day(-900)}/..; drug-retail {day(begin)}/{day(begin + 1800)}'
        anytime(merchant, 'medicines', 24, lambda number: 'fine' if number >= begin else 'not-yet-valid')
        sell(merchant, 'medicines', begin - 1, 86_399, 'not-yet-valid')
        sell(merchant, 'medicines', begin, 0, 'fine')
    for merchant in range(185, 193):
        register[merchant] = f'business {day(-900)}/..; food-sale {day(-400)}/..'
        anytime(merchant, 'groceries', 18, 'fine')
        anytime(merchant, 'meals', 6, 'out-of-scope')
    for merchant in range(193, 199):
        anytime(merchant, 'clothes', 10, 'not-registered')
    for merchant, value in zip(range(199, 202), ['business 2020-01-01', 'Business 2020-01-01/..', 'business 2023-02-29/..']):
        register[merchant] = value
        anytime(merchant, 'clothes', 8, 'undecided')
    for merchant in range(202, 207):
        end = random.between(200, 500)
        register[merchant] = f'business {day(-900)}/{day(end)}; food-sale {day(-400)}/..'
        anytime(merchant, 'clothes', 10, lambda number: 'fine' if number <= end else 'lapsed')
        anytime(merchant, 'groceries', 10, 'fine')
    for merchant in range(207, 213):
        anytime(merchant, 'own-produce', 12, 'fine')

    planted.write('licence-register', [event for _, _, event in sorted(sales, key=lambda sale: sale[:2])])
    with open(REGISTER, 'w', encoding='utf-8', newline='') as file:
        rows = csv.writer(file, lineterminator='\n')
        rows.writerow(['merchant', 'licences'])
        rows.writerows((f'M{merchant:04}', register[merchant]) for merchant in sorted(register))
    print(dict(tally))


if __name__ == '__main__':
    main()
