"""Answers of the scripts whose findings are one rule and one event each, as
`answer.json` of a policy has them (Python standard library only)."""
import hashlib, json, sys
from collections import Counter


def write(rules, count, findings, undecided, options):
    """`findings` are pairs of the number of an event and the id of a rule, one for
    each finding; `undecided` is how many events cannot be judged. The digest is the
    SHA-256 over the sorted lines `EVENT RULE`."""
    found = Counter(rule for _, rule in findings)
    assert set(found) <= set(rules), found
    lines = sorted(f'{event} {rule}\n' for event, rule in findings)
    answer = {
        'events': count,
        'undecided': undecided,
        'settings': options.settings,
        'rules': {rule: found[rule] for rule in rules},
        'digest': hashlib.sha256(''.join(lines).encode()).hexdigest(),
    }
    if options.findings:
        with open(options.findings, 'w', encoding='utf-8') as file:
            file.writelines(json.dumps({'event': event, 'rule': rule}) + '\n' for event, rule in findings)
    json.dump(answer, sys.stdout, indent=2, ensure_ascii=False)
    print()
