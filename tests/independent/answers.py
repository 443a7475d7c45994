#!/usr/bin/env python3
"""Runs the scripts beside this one over the sample and over the full data, and
writes what they say to answers.json (Python standard library only).

usage: answers.py FOLDER      FOLDER holds columbus/, nab/ and retail/"""
import json, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, '..', 'data')
POLICIES = os.path.join(HERE, '..', '..', 'policies')
SCRIPTS = {'price-fairness': 'retail', 'machine-temperature': 'nab', 'idle-vehicle': 'columbus'}
# In three snapshots that are weeks apart no vehicle is seen twice within half a day.
OTHER_SETTINGS = {('sample', 'idle-vehicle'): {'hours': 24, 'seen_within_hours': 24, 'moved_degrees': 0.0005}}


def settings(which, policy):
    with open(os.path.join(POLICIES, policy, 'settings.json'), encoding='utf-8') as file:
        return OTHER_SETTINGS.get((which, policy)) or json.load(file)


def answer(which, policy, events, **source):
    script = os.path.join(HERE, policy.replace('-', '_') + '.py')
    bound = settings(which, policy)
    output = subprocess.run([sys.executable, '-B', script, events, '--settings', json.dumps(bound)], check=True, capture_output=True, **source)
    return {'settings': bound, **json.loads(output.stdout)}


def main():
    folder, answers = sys.argv[1], {'sample': {}, 'full': {}}
    for policy, data in SCRIPTS.items():
        answers['sample'][policy] = answer('sample', policy, os.path.join(DATA, 'sample', data + '.ndjson.gz'))
        command = [os.path.join(folder, data, 'to_cloudevents.py')]
        if data == 'nab':
            command = [os.path.join(DATA, 'nab_to_cloudevents.py'), os.path.join(folder, data, 'machine_temperature_system_failure.csv')]
        with subprocess.Popen([sys.executable, '-B', *command], stdout=subprocess.PIPE) as converter:
            answers['full'][policy] = answer('full', policy, '-', stdin=converter.stdout)
        if converter.returncode:
            sys.exit(f'{command[0]} failed')
    with open(os.path.join(HERE, 'answers.json'), 'w', encoding='utf-8') as file:
        json.dump(answers, file, indent=1, sort_keys=True)
        file.write('\n')


if __name__ == '__main__':
    main()
