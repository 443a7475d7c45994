#!/usr/bin/env python3
"""Makes the committed sample out of the full data (Python standard library only).

usage: make.py FOLDER      FOLDER holds columbus/ and retail/ with their to_cloudevents.py, and nab/

columbus: every row of three whole snapshots, one in which no provider has more
than 2,000 vehicles and two in which one has. retail: every line whose description
has one of WORDS as a word of its own, and every twentieth of the other lines. nab:
SAMPLES in a row, with the one in which time goes back. All keep the order and the bytes of the converter's output."""
import gzip, json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
SNAPSHOTS = {'20260227T052051Z', '20260312T011856Z', '20260724T010404Z'}
SAMPLES = slice(8_500, 11_600)
WORDS = ('CIGAR', 'WINE', 'MATCHES', 'KNIFE')


def lines(converter, *arguments):
    with subprocess.Popen([sys.executable, '-B', converter, *arguments], stdout=subprocess.PIPE) as process:
        yield from process.stdout
    if process.returncode:
        sys.exit(f'{converter} failed')


def is_listed(description):
    text = f" {(description or '').upper().replace(',', ' ').replace('.', ' ')} "
    return any(f' {word} ' in text for word in WORDS)


def columbus(folder):
    return (line for line in lines(os.path.join(folder, 'columbus', 'to_cloudevents.py')) if json.loads(line)['data']['snapshot_id'] in SNAPSHOTS)


def retail(folder):
    others = 0
    for line in lines(os.path.join(folder, 'retail', 'to_cloudevents.py')):
        if is_listed(json.loads(line)['data']['description']):
            yield line
        else:
            if others % 20 == 0:
                yield line
            others += 1


def nab(folder):
    series = os.path.join(folder, 'nab', 'machine_temperature_system_failure.csv')
    return list(lines(os.path.join(HERE, '..', 'nab_to_cloudevents.py'), series))[SAMPLES]


def main():
    folder = sys.argv[1]
    for name, chosen in (('columbus', columbus), ('nab', nab), ('retail', retail)):
        path = os.path.join(HERE, name + '.ndjson.gz')
        with open(path, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
            count = 0
            for line in chosen(folder):
                out.write(line)
                count += 1
        print(f'{name}: {count} events, {os.path.getsize(path)} bytes', file=sys.stderr)


if __name__ == '__main__':
    main()
