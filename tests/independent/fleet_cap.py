#!/usr/bin/env python3
"""Answers for policies/fleet-cap, without any code of Ephor (Python standard library
only).

usage: fleet_cap.py EVENTS [--settings JSON] [--findings FILE]

Of each snapshot and provider that `caps` names, the observation that is the first
above the provider's cap is a finding."""
import events


def main():
    options = events.parser('Fleets above their cap.', {'caps': {'Spin': 2000, 'Veo': 2000}}).parse_args()
    fleets, count = {}, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        if event['type'] == 'mobility.vehicle.observed':
            fleets.setdefault((event['data']['provider'], event['data']['snapshot_id']), []).append(number)
    findings = []
    for (provider, snapshot), seen in fleets.items():
        cap = options.settings['caps'].get(provider)
        if cap is not None and len(seen) > cap:
            findings.append({'event': seen[cap], 'rule': 'fleet-cap-exceeded', 'provider': provider, 'snapshot': snapshot})
    events.write({'events': count, 'findings': len(findings)}, findings, options)


if __name__ == '__main__':
    main()
