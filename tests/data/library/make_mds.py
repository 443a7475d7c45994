#!/usr/bin/env python3
"""Writes mds.ndjson.gz beside this script: the observations of some vehicles in Columbus, Ohio,
from ../shared/data/columbus (Python standard library only; the same bytes everywhere).

usage: make_mds.py [FOLDER OF COLUMBUS]

A vehicle is one of them if the SHA-256 of its id begins with a byte below 12: 1 in 21, over
all snapshots. Of Spin, whose ids change with nearly every snapshot, half of those."""
import gzip, hashlib, importlib.util, json, os, sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '../../../../shared/data/columbus')
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location('to_cloudevents', os.path.join(folder, 'to_cloudevents.py'))
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    count = 0
    with open(os.path.join(HERE, 'mds.ndjson.gz'), 'wb') as raw, gzip.GzipFile('', 'wb', 9, raw, mtime=0) as out:
        for event in converter.events():
            byte = hashlib.sha256(event['data']['vehicle_id'].encode()).digest()[0]
            if byte < (6 if event['data']['provider'] == 'Spin' else 12):
                out.write(json.dumps(event, ensure_ascii=False, separators=(',', ':')).encode() + b'\n')
                count += 1
    print(count, 'events', file=sys.stderr)


if __name__ == '__main__':
    main()
