#!/usr/bin/env python3
"""Answers for policies/statement-of-reasons, without any code of Ephor (Python
standard library only).

usage: statement_of_reasons.py EVENTS [--settings JSON] [--findings FILE]

Each sentence is a rule, and each thing that breaks it a finding.

no-restriction: one of decision_visibility, decision_monetary, decision_provision and
decision_account is there. missing-field: every field of `required` is there.
missing-conditional-field: if a field has the value of a condition, what the condition
requires is there. A field is there if a text in it is not blank. unknown-value: what a
field of `values` has is listed. too-long: no field has more characters than
`max_chars`. bad-date: a date begins with YYYY-MM-DD of the calendar.

application-before-content: the application date is not more than
`date_tolerance_days` before the content date. old-content: it is not more than
`old_content_days` behind it. end-before-application: no end date is more than
`date_tolerance_days` before the application date.

automation-contradicted: if the decision was not automated, no explanation has one of
`automated_phrases` (one finding at most). ground-contradicts-category: the contractual
ground of a statement has none of the phrases that contradict its category (one finding
at most for each contradiction). duplicate-statement: no statement of the platform had
this puid before.

The settings are those of the policy's folder unless given."""
import datetime, json, os
from collections import Counter

import events

SETTINGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'policies', 'statement-of-reasons', 'settings.json')
RULES = (
    'no-restriction', 'missing-field', 'missing-conditional-field', 'unknown-value', 'too-long', 'bad-date', 'application-before-content',
    'end-before-application', 'old-content', 'automation-contradicted', 'ground-contradicts-category', 'duplicate-statement')
ENDS = ('visibility', 'monetary', 'service', 'account')


def texts(data, field):
    value = data.get(field)
    value = value if isinstance(value, list) else [value]
    return [text for text in value if text is not None and text.strip()]


def date(text):
    try:
        return datetime.date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None


def broken(data, settings):
    """The rules that a statement breaks by itself, once for each time."""
    there = lambda field: bool(texts(data, field))
    if not any(there('decision_' + name) for name in ('visibility', 'monetary', 'provision', 'account')):
        yield 'no-restriction'
    for field in settings['required']:
        if not there(field):
            yield 'missing-field'
    for condition in settings['required_if']:
        if condition['value'] in texts(data, condition['field']):
            yield from ('missing-conditional-field' for field in condition['requires'] if not there(field))
    for field, listed in settings['values'].items():
        yield from ('unknown-value' for text in texts(data, field) if text not in listed)
    for field, limit in settings['max_chars'].items():
        yield from ('too-long' for text in texts(data, field) if len(text) > limit)

    dates = {}
    for field in ['content_date', 'application_date'] + [f'end_date_{name}_restriction' for name in ENDS]:
        for text in texts(data, field):
            dates[field] = date(text)
            if dates[field] is None:
                yield 'bad-date'
    application, tolerance = dates.pop('application_date', None), datetime.timedelta(settings['date_tolerance_days'])
    content = dates.pop('content_date', None)
    if application and content:
        if content - application > tolerance:
            yield 'application-before-content'
        if application - content > datetime.timedelta(settings['old_content_days']):
            yield 'old-content'
    if application:
        yield from ('end-before-application' for end in dates.values() if end and application - end > tolerance)

    has = lambda text, phrases: any(phrase.lower() in text.lower() for phrase in phrases)
    if data.get('automated_decision') == 'AUTOMATED_DECISION_NOT_AUTOMATED':
        explanations = [data.get(name) or '' for name in ('decision_facts', 'illegal_content_explanation', 'incompatible_content_explanation')]
        if any(has(text, settings['automated_phrases']) for text in explanations):
            yield 'automation-contradicted'
    for contradiction in settings['ground_contradictions']:
        if data.get('category') in contradiction['categories'] and has(data.get('incompatible_content_ground') or '', contradiction['phrases']):
            yield 'ground-contradicts-category'


def main():
    with open(SETTINGS, encoding='utf-8') as file:
        options = events.parser('Statements of reasons.', None)
        options.set_defaults(settings=json.load(file))
    options = options.parse_args()
    findings, seen, count = [], set(), 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        data = event['data']
        found = list(broken(data, options.settings))
        statement = (data['platform_name'], data['puid'])
        if statement in seen:
            found.append('duplicate-statement')
        seen.add(statement)
        findings += [{'event': number, 'rule': rule} for rule in found]
    by_rule = Counter(finding['rule'] for finding in findings)
    events.write({'events': count, 'rules': {rule: by_rule[rule] for rule in RULES}}, findings, options)


if __name__ == '__main__':
    main()
