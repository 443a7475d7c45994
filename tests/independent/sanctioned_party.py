#!/usr/bin/env python3
"""Answers for policies/sanctioned-party with its committed list, without any code of
Ephor (Python standard library only). `sanctions.py` is for the whole list and all its
versions.

usage: sanctioned_party.py EVENTS [--settings JSON] [--findings FILE]

A payment is a finding if its counterparty is a number of the list, compared character
by character, and not among `licensed`."""
import csv, os

import events

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'policies', 'sanctioned-party', 'sanctions.csv')


def main():
    options = events.parser('Payments to sanctioned parties.', {'licensed': []}).parse_args()
    with open(LIST, newline='', encoding='utf-8') as file:
        listed = {row['ent_num'] for row in csv.DictReader(file)} - set(options.settings.get('licensed', []))
    findings, count = [], 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        if event['type'] == 'payment.order' and event['data'].get('counterparty') in listed:
            findings.append({'event': number, 'rule': 'listed-party'})
    events.write({'events': count, 'findings': len(findings)}, findings, options)


if __name__ == '__main__':
    main()
