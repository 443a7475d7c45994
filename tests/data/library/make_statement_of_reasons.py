#!/usr/bin/env python3
"""Makes statement-of-reasons.ndjson.gz: statements of reasons as CloudEvents 1.0
(Python standard library only).

usage: make_statement_of_reasons.py FOLDER      FOLDER holds dsa/

First the 32 real rows of the EU's DSA Transparency Database, 12 of 2024-03-14 and 20
of 2025-07-01, in the order of the files; then the 11 examples of the database's own
tests. Both are CC BY 4.0, European Commission, DG CONNECT (doi
10.2906/134353607485211; github.com/digital-services-act/transparency-database, commit
69e80a0bc8eb3cbfbe8246e898194c3bdf490a4b). Values are as they stand there; what
changes is the form: empty cells are left out, lists are lists, and `platform_uid` is
called `puid`, as a platform submits it. The time of an event is that of receipt; the
examples have none, and get the day of their commit."""
import csv, gzip, json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = ('sor-global-2024-03-14-full-00000-00000.first12.csv', 'sor-global-2025-07-01-full-00000-00000.first20.csv')
LISTS = ('decision_visibility', 'category_addition', 'category_specification', 'content_type', 'territorial_scope')


def event(number, time, data):
    return {
        'specversion': '1.0', 'id': f'{number:03d}', 'source': '/dsa/statements', 'type': 'content.statement.submitted',
        'time': time, 'datacontenttype': 'application/json', 'data': data,
    }


def events(folder):
    number = 0
    for name in ROWS:
        with open(os.path.join(folder, 'dsa', 'real_sample', name), encoding='utf-8', newline='') as file:
            for row in csv.DictReader(file):
                data = {key: json.loads(value) if key in LISTS else value for key, value in row.items() if value}
                data['puid'] = data.pop('platform_uid')
                yield event(number, data['created_at'].replace(' ', 'T') + 'Z', data)
                number += 1
    examples = []
    for name in ('example_statement.json', 'example_multi_statements.json'):
        with open(os.path.join(folder, 'dsa', 'official_examples', name), encoding='utf-8') as file:
            content = json.load(file)
            examples += content.get('statements', [content])
    for data in examples:
        yield event(number, f'2026-06-24T00:00:{number:02d}Z', data)
        number += 1


def main():
    path = os.path.join(HERE, 'statement-of-reasons.ndjson.gz')
    with open(path, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
        for line in events(sys.argv[1]):
            out.write(json.dumps(line, ensure_ascii=False, separators=(',', ':')).encode() + b'\n')
    print(os.path.getsize(path), 'bytes', file=sys.stderr)


if __name__ == '__main__':
    main()
