#!/usr/bin/env python3
"""Reads a reference list by its description (runtime/src/reference/FORMAT.md), without
any code of Ephor (Python standard library only), and prints it as JSON.

usage: reference_list.py FILE"""
import hashlib, json, struct, sys


def read(data):
    assert data[:8] == b'EPHRLIST', 'the magic'
    assert hashlib.sha256(data[:-32]).digest() == data[-32:], 'the SHA-256 at the end'
    version, entries, keys_length, values_length, columns = struct.unpack_from('<IIIIH', data, 8)
    assert version == 1, 'the version of the format'
    at = 26

    def text():
        nonlocal at
        length, = struct.unpack_from('<H', data, at)
        at += 2 + length
        return data[at - length:at].decode()

    def ends():
        nonlocal at
        at += 4 * entries
        return struct.unpack_from(f'<{entries}I', data, at - 4 * entries)

    def parts(ends, length):
        nonlocal at
        block, at = data[at:at + length], at + length
        assert (ends[-1] if ends else 0) == length, 'the last one ends with the block'
        return [block[start:end].decode() for start, end in zip((0, *ends), ends)]

    name, of_list, names = text(), text(), [text() for _ in range(columns)]
    key_ends, value_ends = ends(), ends() if columns > 1 else (0,) * entries
    keys, values = parts(key_ends, keys_length), parts(value_ends, values_length)
    assert at == len(data) - 32, 'nothing is left'
    assert all(one.encode() < other.encode() for one, other in zip(keys, keys[1:])), 'the keys ascend'
    return {'name': name, 'version': of_list, 'columns': names, 'entries': entries, 'bytes': len(data),
            'digest': 'sha256:' + hashlib.sha256(data).hexdigest(), 'keys': [{'key': key, 'value': value} for key, value in zip(keys, values)]}


if __name__ == '__main__':
    with open(sys.argv[1], 'rb') as file:
        json.dump(read(file.read()), sys.stdout, ensure_ascii=False)
