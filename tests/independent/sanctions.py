#!/usr/bin/env python3
"""Answers for policies/sanctioned-party, without any code of Ephor (Python standard
library only).

usage: sanctions.py FOLDER

FOLDER has a list of sanctioned parties as its publisher had it over the years: the
first version whole (sdn_first.csv.gz), what each later version added, removed and
changed (sdn_changes.csv.gz), how many entries each has (versions.csv), and the last
one whole (sdn_last.csv.gz), which the others must lead to.

Writes one line of JSON for each version, in order: its name, the entries that it has
and the version before does not have so, the numbers that it has no more, and parties
to ask about: some of those, of those of the next version, and of those that no version
has touched for long or at all. The last line says for every party that is asked about
from which version on it was listed, and until which, counted from 0."""
import argparse, csv, gzip, json, os, random, sys

# Parties of each sort that are asked about at each version.
SOME = 4


def rows(path):
    opened = gzip.open if path.endswith('.gz') else open
    with opened(path, 'rt', encoding='utf-8', newline='') as file:
        yield from csv.DictReader(file)


def by_version(folder):
    """For each version its name and the changes that lead to it."""
    names = list(rows(os.path.join(folder, 'versions.csv')))
    changes = {}
    for row in rows(os.path.join(folder, 'sdn_changes.csv.gz')):
        changes.setdefault(row['commit'], []).append(row)
    listed = {row['ent_num']: row['name'] for row in rows(os.path.join(folder, 'sdn_first.csv.gz'))}
    for at, version in enumerate(names):
        before = dict(listed) if at else {}
        for row in changes.pop(version['commit'][:10], []) if at else []:
            number = row['ent_num']
            assert (number in listed) == (row['op'] != 'add'), row
            if row['op'] == 'remove':
                del listed[number]
            else:
                listed[number] = row['name']
        assert len(listed) == int(version['entries']), (version, len(listed))
        put = {number: name for number, name in listed.items() if before.get(number) != name}
        drop = sorted(number for number in before if number not in listed)
        yield version['seen_at'], put, drop
    assert not changes, sorted(changes)
    assert listed == {row['ent_num']: row['name'] for row in rows(os.path.join(folder, 'sdn_last.csv.gz'))}


def ask(versions):
    """Parties to ask about, by version."""
    chance = random.Random(20240503)
    some = lambda numbers: chance.sample(sorted(numbers), min(SOME, len(numbers)))
    every = sorted({number for _, put, _ in versions for number in put})
    strangers = ['0', '36 ', '036', '999999', 'AEROCARIBBEAN AIRLINES', 'ж', ' ']
    gone = set()
    for at, (_, put, drop) in enumerate(versions):
        gone.update(drop)
        following = versions[at + 1] if at + 1 < len(versions) else ('', {}, [])
        sorts = [put, drop, following[1], following[2], gone, every, strangers]
        yield sorted({number for sort in sorts for number in some(sort)})


def main():
    options = argparse.ArgumentParser(description='Who was on the list at which version.')
    options.add_argument('folder', help='where the versions are')
    versions = list(by_version(options.parse_args().folder))
    asked, spans = set(), {}
    for at, ((name, put, drop), parties) in enumerate(zip(versions, ask(versions))):
        asked.update(parties)
        for number in put:
            if not spans.get(number) or spans[number][-1][1] is not None:
                spans.setdefault(number, []).append([at, None])
        for number in drop:
            spans[number][-1][1] = at
        print(json.dumps({'version': name, 'put': put, 'drop': drop, 'ask': parties}, ensure_ascii=False))
    json.dump({'listed': {number: spans.get(number, []) for number in sorted(asked)}}, sys.stdout, ensure_ascii=False)
    print()


if __name__ == '__main__':
    main()
