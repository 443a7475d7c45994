#!/usr/bin/env python3
"""Runs the scripts beside this one over the sample and over the full data, and writes
what they say (Python standard library only): the whole of it for three policies to
answers.json, and for each policy to policies/NAME/answer.json how many findings each
rule has, with the SHA-256 of where they are (sorted lines `INDEX RULE`, the index of the
event that has the finding, or before which a timer has it).

usage: answers.py FOLDER      FOLDER holds columbus/, nab/ and retail/"""
import hashlib, json, os, subprocess, sys, tempfile
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, '..', 'data')
POLICIES = os.path.join(HERE, '..', '..', 'policies')
# The policies on the sets of events that have a sample and a full form, with their rules.
SCRIPTS = {
    'fleet-cap': ('columbus', ['fleet-cap-exceeded']),
    'geofence': ('columbus', ['mandatory-parking', 'no-parking', 'no-ride']),
    'idle-vehicle': ('columbus', ['idle']),
    'machine-temperature': ('nab', ['too-cold', 'too-hot']),
    'negative-list': ('retail', ['listed-word']),
    'price-fairness': ('retail', ['unequal-price']),
}
WHOLE = ['idle-vehicle', 'machine-temperature', 'price-fairness']
SETS = {
    'columbus': 'observations of shared vehicles in Columbus, Ohio (real)',
    'nab': 'samples of a machine\'s temperature (real)',
    'retail': 'invoice lines of a retailer (real)',
}
# In three snapshots that are weeks apart no vehicle is seen twice within half a day.
OTHER_SETTINGS = {('sample', 'idle-vehicle'): {'hours': 24, 'seen_within_hours': 24, 'moved_degrees': 0.0005}}


def settings(which, policy):
    with open(os.path.join(POLICIES, policy, 'settings.json'), encoding='utf-8') as file:
        return OTHER_SETTINGS.get((which, policy)) or json.load(file)


def answer(policy, events, bound, **source):
    """What the script says, and its findings."""
    script = os.path.join(HERE, policy.replace('-', '_') + '.py')
    with tempfile.NamedTemporaryFile('r', encoding='utf-8') as findings:
        command = [sys.executable, '-B', script, events, '--findings', findings.name]
        if len(json.dumps(bound)) < 10_000:
            command += ['--settings', json.dumps(bound)]
        output = subprocess.run(command, check=True, capture_output=True, **source)
        return {'settings': bound, **json.loads(output.stdout)}, [json.loads(line) for line in findings]


def counted(said, findings, rules):
    lines = [(finding.get('event', finding.get('before')), finding.get('rule', rules[0])) for finding in findings]
    counts, text = Counter(rule for _, rule in lines), ''.join(sorted(f'{at} {rule}\n' for at, rule in lines))
    return {'events': said['events'], 'rules': {rule: counts[rule] for rule in rules}, 'digest': hashlib.sha256(text.encode()).hexdigest()}


def write(path, content):
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write('\n')


def main():
    folder, answers = sys.argv[1], {'sample': {}, 'full': {}}
    for policy, (data, rules) in SCRIPTS.items():
        said = {}
        said['sample'] = answer(policy, os.path.join(DATA, 'sample', data + '.ndjson.gz'), settings('sample', policy))
        command = [os.path.join(folder, data, 'to_cloudevents.py')]
        if data == 'nab':
            command = [os.path.join(DATA, 'nab_to_cloudevents.py'), os.path.join(folder, data, 'machine_temperature_system_failure.csv')]
        with subprocess.Popen([sys.executable, '-B', *command], stdout=subprocess.PIPE) as converter:
            said['full'] = answer(policy, '-', settings('full', policy), stdin=converter.stdout)
        if converter.returncode:
            sys.exit(f'{command[0]} failed')
        content = {'set': data, 'data': SETS[data], **counted(*said['sample'], rules), 'full': counted(*said['full'], rules)}
        if ('sample', policy) in OTHER_SETTINGS:
            content['settings'] = settings('sample', policy)
        write(os.path.join(POLICIES, policy, 'answer.json'), content)
        if policy in WHOLE:
            for which in said:
                answers[which][policy] = said[which][0]
    write(os.path.join(HERE, 'answers.json'), answers)
    said = answer('sanctioned-party', os.path.join(DATA, 'library', 'sanctioned-party.ndjson.gz'), settings('sample', 'sanctioned-party'))
    described = 'payments to numbers of the list of the US Treasury, and to lookalikes (real list)'
    write(os.path.join(POLICIES, 'sanctioned-party', 'answer.json'), {'data': described, **counted(*said, ['listed-party'])})


if __name__ == '__main__':
    main()
