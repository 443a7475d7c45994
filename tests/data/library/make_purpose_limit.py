#!/usr/bin/env python3
"""Synthetic events for policies/purpose-limit: purpose-limit.ndjson.gz beside this file
(Python standard library only).

Consents, withdrawals and uses of the data of 300 made-up people of 2025, each a case of
its own. What is planted, person by person:

| people | agreed to | uses |
|---|---|---|
| 1 to 140 | location for navigation, or contacts for invitations; some with an end | for that, while it holds |
| 141 to 160 | the same | other purposes too: `other-purpose` |
| 161 to 180 | the same, withdrawn in the middle | before, and after: `after-withdrawal` |
| 181 to 195 | the same, with an end | before, and after: `expired` |
| 196 to 210 | the same, with one recipient | by that one and a processor; by others: `unlisted-recipient` |
| 211 to 220 | nothing | `use-without-consent` |
| 221 to 230 | nothing | delivery under the contract; marketing under it: `use-without-consent` |
| 231 to 240 | withdrawn, and agreed to again | before, between (`after-withdrawal`), behind |
| 241 to 255 | withdrawn | a use before the withdrawal that comes after it: nothing to find |
| 256 to 270 | something, in an event that comes after the use: `use-without-consent`, and nothing to find in the next use | |
| 271 to 285 | the same consent sent twice, the withdrawal twice, under other ids | before, and after: `after-withdrawal` |
| 286 to 290 | one category | another category: `use-without-consent` |
| 291 to 295 | ten times, on and off | one that comes very late: undecided |
| 296 to 300 | two purposes, one of which is withdrawn | both: `after-withdrawal` for the one |

Consent begins at its own second, and ends before the second that it names; there are
uses in just those seconds. The tally that is printed is of what was planted."""
import datetime
from collections import Counter

import planted

YEAR = planted.moment('2025-01-01T00:00:00Z')
DAY = 86_400
KINDS = [('location', 'navigation', ['advertising', 'profiling', 'scoring']), ('contacts', 'invitations', ['advertising', 'credit-check'])]


def main():
    random, sent, tally = planted.Random(24), [], Counter()

    def send(kind, person, second, data, comes=None):
        time = YEAR + datetime.timedelta(seconds=second)
        # A source that is far ahead is not believed about what is long ago: what comes
        # late is handed in by itself.
        source = '/platform/data' if comes is None else f'/platform/handed-in/{len(sent)}'
        event = planted.event('privacy.' + kind, source, time, {'subject': f'u-{person:05}', **data})
        sent.append((second if comes is None else comes, len(sent), event))

    def agree(person, second, category, purposes, comes=None, **more):
        send('consent.given', person, second, {'category': category, 'purposes': purposes, **more}, comes)

    def withdraw(person, second, category, purposes, comes=None):
        send('consent.withdrawn', person, second, {'category': category, 'purposes': purposes}, comes)

    def use(person, second, category, purpose, label='fine', comes=None, **more):
        send('data.used', person, second, {'category': category, 'purpose': purpose, **more}, comes)
        tally[label] += 1

    def shown(second):
        return planted.shown(YEAR + datetime.timedelta(seconds=second))

    for person in range(1, 301):
        category, purpose, others = random.choose(KINDS)
        begin, middle = random.between(5 * DAY, 60 * DAY), random.between(120 * DAY, 240 * DAY)
        end = 360 * DAY

        def before():
            return random.between(begin, middle - 1)

        def after():
            return random.between(middle, end)

        if person <= 140:
            more = {'until': shown(end + DAY)} if random.below(3) == 0 else {}
            agree(person, begin, category, [purpose], **more)
            use(person, begin, category, purpose)
            for _ in range(random.between(4, 14)):
                use(person, random.between(begin, end), category, purpose)
        elif person <= 160:
            agree(person, begin, category, [purpose])
            for _ in range(4):
                use(person, before(), category, purpose)
                use(person, after(), category, random.choose(others), 'other-purpose')
        elif person <= 180:
            agree(person, begin, category, [purpose])
            withdraw(person, middle, category, [purpose])
            use(person, middle - 1, category, purpose)
            use(person, middle, category, purpose, 'after-withdrawal')
            for _ in range(3):
                use(person, before(), category, purpose)
                use(person, after(), category, purpose, 'after-withdrawal')
        elif person <= 195:
            agree(person, begin, category, [purpose], until=shown(middle))
            use(person, middle - 1, category, purpose)
            use(person, middle, category, purpose, 'expired')
            for _ in range(3):
                use(person, before(), category, purpose)
                use(person, after(), category, purpose, 'expired')
        elif person <= 210:
            agree(person, begin, category, [purpose], recipients=['map-maker'])
            for _ in range(3):
                use(person, after(), category, purpose, recipient='map-maker')
                use(person, after(), category, purpose, recipient='cloud-storage')
                use(person, after(), category, purpose, 'unlisted-recipient', recipient=random.choose(['broker', 'Map-Maker', 'insurer']))
        elif person <= 220:
            for _ in range(4):
                use(person, after(), category, random.choose([purpose] + others), 'use-without-consent')
        elif person <= 230:
            use(person, after(), 'address', 'delivery', ground='contract')
            use(person, after(), 'address', 'tax', ground='legal-duty')
            use(person, after(), 'address', 'marketing', 'use-without-consent', ground='contract')
            use(person, after(), 'address', 'delivery', 'use-without-consent', ground='legitimate-interest')
            use(person, after(), 'address', 'delivery', 'use-without-consent')
        elif person <= 240:
            again = middle + 30 * DAY
            agree(person, begin, category, [purpose])
            withdraw(person, middle, category, [purpose])
            agree(person, again, category, [purpose])
            use(person, before(), category, purpose)
            use(person, random.between(middle, again - 1), category, purpose, 'after-withdrawal')
            use(person, again, category, purpose)
            use(person, random.between(again, end), category, purpose)
        elif person <= 255:
            agree(person, begin, category, [purpose])
            withdraw(person, middle, category, [purpose])
            use(person, before(), category, purpose, comes=middle + random.between(1, DAY))
            use(person, middle - 1, category, purpose, comes=middle + random.between(1, DAY))
        elif person <= 270:
            agree(person, begin, category, [purpose], comes=middle)
            use(person, random.between(begin, middle - 1), category, purpose, 'use-without-consent')
            use(person, random.between(begin, middle - 1), category, purpose, comes=middle + 1)
        elif person <= 285:
            agree(person, begin, category, [purpose])
            agree(person, begin, category, [purpose], comes=random.between(begin, end))
            withdraw(person, middle, category, [purpose])
            withdraw(person, middle, category, [purpose], comes=random.between(middle, end))
            use(person, before(), category, purpose)
            use(person, after(), category, purpose, 'after-withdrawal')
        elif person <= 290:
            agree(person, begin, category, [purpose])
            use(person, after(), 'health', purpose, 'use-without-consent')
        elif person <= 295:
            for step in range(10):
                (withdraw if step % 2 else agree)(person, begin + step * DAY, category, [purpose])
            use(person, begin + 8 * DAY, category, purpose, comes=begin + 20 * DAY)
            use(person, begin + 9 * DAY, category, purpose, 'after-withdrawal', comes=begin + 20 * DAY)
            use(person, begin + DAY, category, purpose, 'undecided', comes=begin + 20 * DAY)
        else:
            agree(person, begin, category, [purpose, 'support'])
            withdraw(person, middle, category, [purpose])
            use(person, before(), category, purpose)
            use(person, after(), category, purpose, 'after-withdrawal')
            use(person, after(), category, 'support')
    planted.write('purpose-limit', [event for _, _, event in sorted(sent, key=lambda it: it[:2])])
    print(dict(tally))


if __name__ == '__main__':
    main()
