#!/usr/bin/env python3
"""Answers for policies/price-fairness, without any code of Ephor (Python standard
library only).

usage: price_fairness.py EVENTS [--settings JSON] [--findings FILE]

A line of an invoice is a finding if its price is above so many percent of the
lowest price that another known customer had for the product on that day (UTC), in
a line before it. Lines without a customer, and with a price or quantity that is
not above zero, are left out. All customers of all days are kept, and prices are
decimal numbers as they stand in the event."""
from collections import Counter
from fractions import Fraction

import events


def main():
    options = events.parser('Unequal prices.', {'percent': 150}).parse_args()
    percent = options.settings['percent']
    lowest, findings, count, by_month = {}, [], 0, Counter()
    for number, event in enumerate(events.read(options.events)):
        count += 1
        data = event['data']
        if event['type'] != 'retail.invoice.line' or data['customer'] is None or data['unit_price'] <= 0 or data['quantity'] <= 0:
            continue
        price, customer = Fraction(repr(data['unit_price'])), data['customer']
        prices = lowest.setdefault((data['sku'], events.micros(event['time']) // events.DAY), {})
        others = [other for name, other in prices.items() if name != customer]
        if others and price * 100 > min(others) * percent:
            findings.append({'event': number, 'product': data['sku']})
            by_month[event['time'][:7]] += 1
        prices[customer] = min(price, prices.get(customer, price))
    events.write({'events': count, 'findings': len(findings), 'by_month': by_month}, findings, options)


if __name__ == '__main__':
    main()
