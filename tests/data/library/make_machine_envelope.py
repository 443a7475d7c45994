#!/usr/bin/env python3
"""Makes machine-envelope.ndjson.gz: the temperature of an industrial machine as
CloudEvents 1.0 (Python standard library only).

usage: make_machine_envelope.py FOLDER      FOLDER holds nab/machine_temperature_system_failure.csv

All 22,695 samples of the series in the Numenta Anomaly Benchmark
(github.com/numenta/NAB, MIT), in the order and with the times of its rows, taken for
UTC. They go back once, by 55 minutes. The series says no unit, so the events say none."""
import csv, gzip, json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    path = os.path.join(HERE, 'machine-envelope.ndjson.gz')
    series = os.path.join(sys.argv[1], 'nab', 'machine_temperature_system_failure.csv')
    with open(series, encoding='utf-8', newline='') as rows, open(path, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, mtime=0) as out:
        for number, row in enumerate(csv.DictReader(rows)):
            event = {
                'specversion': '1.0', 'id': f'{number:05d}', 'source': '/nab/machine-temperature',
                'type': 'machine.item.measured', 'time': row['timestamp'].replace(' ', 'T') + 'Z',
                'data': {'machine': '1', 'item': 'temperature', 'value': float(row['value'])},
            }
            out.write(json.dumps(event, separators=(',', ':')).encode() + b'\n')
    print(os.path.getsize(path), 'bytes', file=sys.stderr)


if __name__ == '__main__':
    main()
