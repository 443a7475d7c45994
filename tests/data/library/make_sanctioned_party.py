#!/usr/bin/env python3
"""Makes sanctioned-party.ndjson.gz (Python standard library only): payments to the first
400 parties of the real list of the US Treasury by number, among them the twelve of
policies/sanctioned-party/sanctions.csv, and to numbers that only look like one of them.

usage: make_sanctioned_party.py FOLDER      FOLDER holds lists/ofac_sdn/sdn_last.csv.gz"""
import csv, gzip, json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    with gzip.open(os.path.join(sys.argv[1], 'lists', 'ofac_sdn', 'sdn_last.csv.gz'), 'rt', encoding='utf-8', newline='') as file:
        numbers = sorted((row['ent_num'] for row in csv.DictReader(file)), key=int)[:400]
    parties = [party for number in numbers for party in (number, '0' + number, number + ' ')]
    lines = [json.dumps({
        'specversion': '1.0', 'id': f'payment-{at}', 'source': '/bank/orders', 'type': 'payment.order',
        'time': f'2024-05-03T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z', 'data': {'counterparty': party},
    }, separators=(',', ':')) for at, party in enumerate(parties)]
    with open(os.path.join(HERE, 'sanctioned-party.ndjson.gz'), 'wb') as file:
        file.write(gzip.compress('\n'.join(lines + ['']).encode(), mtime=0))


if __name__ == '__main__':
    main()
