#!/usr/bin/env python3
"""Makes credit_standing's events: verdicts on real invoice lines, and made-up redress
(Python standard library only).

usage: make_credit_standing.py      writes credit-standing.ndjson.gz beside this file

The verdict events are what the runtime would submit about the committed retail sample,
with negative-list and price-fairness in force with their published settings, if it got
one event at a time: the entries before are the two changes of policies, and each verdict
event is an entry of its own. The words are looked for here, and the prices by
../../independent/price_fairness.py. Invoices are those of one seller, so the subjects are
products, and what comes out is the standing of a product.

The redress is planted, by a splitmix64 generator with a fixed seed: about one verdict in
20 is taken away by its sequence, 1 to 30 days later; about one in 200 by its policy and
rule, which takes all of it so far; about one in 200 names a sequence that has no finding
of the subject, and takes nothing. It comes from /office/credit. Where times are equal,
verdicts come before redress."""
import collections, gzip, json, os, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..', '..')
sys.path.insert(0, os.path.join(HERE, '..', '..', 'independent'))
import events
from planted import Random

SAMPLE = os.path.join(HERE, '..', 'sample', 'retail.ndjson.gz')
OUT = os.path.join(HERE, 'credit-standing.ndjson.gz')
SEED = 20_190_035


def words_found(description, words):
    """Listed words in the order in which they appear first."""
    found = []
    for run in re.findall(r'[^\W_]+', (description or '').upper()):
        if run in words and run not in found:
            found.append(run)
    return found


def unequal():
    """The numbers of the sample's events with an unequal price."""
    with open(os.path.join(ROOT, 'policies', 'price-fairness', 'settings.json'), encoding='utf-8') as file:
        settings = file.read()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'findings')
        script = os.path.join(HERE, '..', '..', 'independent', 'price_fairness.py')
        subprocess.run([sys.executable, '-B', script, SAMPLE, '--settings', settings, '--findings', path], check=True, stdout=subprocess.DEVNULL)
        with open(path, encoding='utf-8') as file:
            return {json.loads(line)['event'] for line in file}


def finding(policy, rule, action, severity):
    return {'policy': policy, 'rule': rule, 'action': action, 'severity': severity, 'mode': 'enforce'}


def verdicts():
    with open(os.path.join(ROOT, 'policies', 'negative-list', 'settings.json'), encoding='utf-8') as file:
        words = set(json.load(file)['words'])
    prices, sequence = unequal(), 2
    for number, event in enumerate(events.read(SAMPLE)):
        sequence += 1
        findings = [finding('negative-list', 'listed-word', 'deny', 'high') for _ in words_found(event['data']['description'], words)]
        verdict = 'deny' if findings else 'flag'
        if number in prices:
            findings.append(finding('price-fairness', 'unequal-price', 'flag', 'medium'))
        if not findings:
            continue
        about = {name: event[name] for name in ('source', 'id', 'type', 'subject', 'time')}
        data = {'sequence': sequence, 'depth': 1, 'event': about, 'verdict': verdict, 'findings': findings}
        yield {
            'specversion': '1.0', 'id': str(sequence), 'source': 'urn:ephor:verdicts#' + event['source'], 'type': 'dev.ephor.verdict.v1',
            'subject': event['subject'], 'time': event['time'], 'datacontenttype': 'application/json', 'data': data,
        }
        # The verdict event is an entry as well.
        sequence += 1


def redress(verdict, random):
    chance = random.below(200)
    if chance >= 12:
        return None
    data = {'sequence': verdict['data']['sequence']}
    if chance == 10:
        first = verdict['data']['findings'][0]
        data = {'policy': first['policy'], 'rule': first['rule']}
    elif chance == 11:
        data = {'sequence': verdict['data']['sequence'] + 1}
    at = events.micros(verdict['time']) + (1 + random.below(30)) * events.DAY
    return {
        'specversion': '1.0', 'id': 'redress-' + verdict['id'], 'source': '/office/credit', 'type': 'credit.redress.granted',
        'subject': verdict['subject'], 'time': events.shown(at), 'datacontenttype': 'application/json', 'data': data,
    }


def main():
    random, rows = Random(SEED), []
    for verdict in verdicts():
        rows.append((events.micros(verdict['time']), 0, len(rows), verdict))
        granted = redress(verdict, random)
        if granted:
            rows.append((events.micros(granted['time']), 1, len(rows), granted))
    rows.sort(key=lambda row: row[:3])
    with open(OUT, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
        for row in rows:
            out.write(json.dumps(row[3], ensure_ascii=False, separators=(',', ':')).encode() + b'\n')
    kinds = collections.Counter(row[3]['type'] for row in rows)
    print(f'{len(rows)} events, {dict(kinds)}, {os.path.getsize(OUT)} bytes', file=sys.stderr)


if __name__ == '__main__':
    main()
