#!/usr/bin/env python3
"""The temperature of an industrial machine as CloudEvents 1.0, one JSON per line
(Python standard library only).

usage: nab_to_cloudevents.py [--out FILE|-] [FILE]

FILE is machine_temperature_system_failure.csv of the Numenta Anomaly Benchmark
(github.com/numenta/NAB, MIT), by default ../../../shared/data/nab/ from here. The
events are in the order of its rows, with the times as they stand there, taken for
UTC: they go back once, by 55 minutes, so that 12 of them come twice."""
import argparse, csv, json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT = os.path.join(HERE, '..', '..', '..', 'shared', 'data', 'nab', 'machine_temperature_system_failure.csv')


def events(path):
    with open(path, encoding='utf-8', newline='') as file:
        for number, row in enumerate(csv.DictReader(file)):
            yield {
                'specversion': '1.0', 'id': f'{number:05d}', 'source': '/nab/machine-temperature',
                'type': 'machine.temperature.measured', 'subject': 'machine/1',
                'time': row['timestamp'].replace(' ', 'T') + 'Z', 'datacontenttype': 'application/json',
                'data': {'machine': '1', 'temperature': float(row['value'])},
            }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('file', nargs='?', default=DEFAULT)
    parser.add_argument('--out', default='-')
    arguments = parser.parse_args()
    out = sys.stdout if arguments.out == '-' else open(arguments.out, 'w', encoding='utf-8')
    count = 0
    with out:
        for event in events(arguments.file):
            out.write(json.dumps(event, separators=(',', ':')) + '\n')
            count += 1
    print(count, 'events', file=sys.stderr)


if __name__ == '__main__':
    main()
