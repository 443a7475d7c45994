#!/usr/bin/env python3
"""Answers for policies/machine-temperature, without any code of Ephor (Python
standard library only).

usage: machine_temperature.py EVENTS [--settings JSON] [--findings FILE]

A sample is a finding `too-hot` if it is the n-th in a row that is above `hot`, in
the order of the events; and `too-cold` if it is below `cold`."""
from itertools import groupby

import events


def main():
    options = events.parser('Machines too hot or too cold.', {'hot': 100, 'hot_samples': 6, 'cold': 60}).parse_args()
    settings, machines, count = options.settings, {}, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        machines.setdefault(event['data']['machine'], []).append((number, event['data']['temperature']))
    hot, cold = [], []
    for samples in machines.values():
        for is_hot, row in groupby(samples, lambda sample: sample[1] > settings['hot']):
            row = list(row)
            if is_hot and len(row) >= settings['hot_samples']:
                hot.append({'event': row[settings['hot_samples'] - 1][0], 'rule': 'too-hot'})
        cold += [{'event': number, 'rule': 'too-cold'} for number, temperature in samples if temperature < settings['cold']]
    findings = sorted(hot + cold, key=lambda finding: finding['event'])
    events.write({'events': count, 'too_hot': len(hot), 'too_cold': len(cold)}, findings, options)


if __name__ == '__main__':
    main()
