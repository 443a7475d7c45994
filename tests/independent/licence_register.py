#!/usr/bin/env python3
"""Answers for policies/licence-register, without any code of Ephor (Python standard
library only).

usage: licence_register.py EVENTS [--register CSV] [--settings JSON] [--findings FILE]

An order or a listing needs a licence. Of which scope follows from its category, by
`scopes`; for other categories it is `otherwise`; the categories in `exempt` need none.
The day is that of the event's time, so many minutes ahead of UTC. A finding is

* not-registered: the merchant has no row in the register;
* lapsed: it has licences of the scope, none is valid on that day, and one has ended
  before it;
* not-yet-valid: it has some, none is valid, and none has ended;
* out-of-scope: it has none of the scope, whatever the days.

A row of which a part cannot be read decides nothing. Both days of a licence belong to
it; `..` is no end."""
import csv, datetime, os, re

import by_rule, events

RULES = ['not-registered', 'out-of-scope', 'lapsed', 'not-yet-valid']
SETTINGS = {
    'scopes': {'meals': 'catering', 'groceries': 'food-sale', 'medicines': 'drug-retail'},
    'otherwise': 'business',
    'exempt': ['own-produce'],
    'utc_offset_minutes': 480,
}
LICENCE = re.compile(r'\A *([a-z0-9-]+) ([0-9]{4}-[0-9]{2}-[0-9]{2})/([0-9]{4}-[0-9]{2}-[0-9]{2}|\.\.) *\Z')
REGISTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'policies', 'licence-register', 'register.csv')


def licences(value):
    """Scope, first and last day of each; nothing if a part cannot be read."""
    found = []
    for part in value.split(';'):
        match = LICENCE.match(part)
        if not match:
            return None
        try:
            first = datetime.date.fromisoformat(match[2])
            last = datetime.date.max if match[3] == '..' else datetime.date.fromisoformat(match[3])
        except ValueError:
            return None
        if last < first:
            return None
        found.append((match[1], first, last))
    return found


def main():
    parser = events.parser('Sales without a licence.', SETTINGS)
    parser.add_argument('--register', default=REGISTER, help='the register as CSV: merchant, licences')
    options = parser.parse_args()
    settings = options.settings
    ahead = datetime.timedelta(minutes=settings['utc_offset_minutes'])
    with open(options.register, encoding='utf-8', newline='') as file:
        register = {row['merchant']: row['licences'] for row in csv.DictReader(file)}
    findings, undecided, count = [], 0, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        if event['type'] not in ('market.order.placed', 'market.listing.published') or event['data']['category'] in settings['exempt']:
            continue
        data = event['data']
        if data['merchant'] not in register:
            findings.append((number, 'not-registered'))
            continue
        held = licences(register[data['merchant']])
        if held is None:
            undecided += 1
            continue
        scope = settings['scopes'].get(data['category'], settings.get('otherwise'))
        if scope is None:
            continue
        day = (datetime.datetime.fromisoformat(event['time'].replace('Z', '+00:00')).astimezone(datetime.timezone.utc) + ahead).date()
        spans = [(first, last) for name, first, last in held if name == scope]
        if not spans:
            findings.append((number, 'out-of-scope'))
        elif not any(first <= day <= last for first, last in spans):
            findings.append((number, 'lapsed' if any(last < day for _, last in spans) else 'not-yet-valid'))
    by_rule.write(RULES, count, findings, undecided, options)


if __name__ == '__main__':
    main()
