#!/usr/bin/env python3
"""Writes the MDS documents beside this script: policies and geographies of a made-up city,
in the forms of versions 1.2 and 2.0 (Python standard library only). Squares around
longitude -83, latitude 40; ids count up."""
import json, os

HERE = os.path.dirname(os.path.abspath(__file__))
VEO, SPIN = '6e39f9db-751b-5cea-ae7e-486f579a56bc', '70aa475d-1fcd-4504-b69c-2eeb2107f7be'
PUBLISHED, START = 1767225600000, 1767312000000
PARKED = {'available': [], 'non_operational': [], 'reserved': []}


def uuid(kind, number):
    return f'{kind:08x}-0000-4000-8000-{number:012x}'


def square(west, south, size):
    east, north = round(west + size, 6), round(south + size, 6)
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def feature(geometry, coordinates):
    return {'type': 'Feature', 'properties': {}, 'geometry': {'type': geometry, 'coordinates': coordinates}}


def geography(number, name, *features, **more):
    return {'geography_id': uuid(1, number), 'name': name, 'published_date': PUBLISHED,
            'geography_json': {'type': 'FeatureCollection', 'features': list(features)}, **more}


GEOGRAPHIES = [
    geography(1, 'City', feature('Polygon', square(-83.1, 39.9, 0.2)), description='the whole city'),
    geography(2, 'Parks', feature('Polygon', square(-83.01, 39.96, 0.01)),
              feature('MultiPolygon', [square(-83.05, 39.95, 0.005), square(-83.04, 39.95, 0.005)])),
    geography(3, 'Hub', feature('Polygon', [[position + [230.5] for position in ring] for ring in square(-83.005, 39.965, 0.001)])),
    geography(4, 'Stop', {'type': 'Feature', 'properties': {}, 'geometry': {'type': 'Point', 'coordinates': [-83.0, 40.0]}}),
]


def rule(number, name, kind, places, **more):
    return {'rule_id': uuid(3, number), 'name': name, 'rule_type': kind, 'geographies': [uuid(1, place) for place in places],
            'states': {}, **more}


def policy(number, name, rules, **more):
    return {'policy_id': uuid(2, number), 'name': name, 'description': name, 'start_date': START, 'end_date': None,
            'published_date': PUBLISHED, 'prev_policies': None, 'rules': rules, **more}


def devices(**more):
    return {'rule_units': 'devices', **more}


GOOD = [
    policy(1, 'Parks', [
        rule(1, 'A hub is in a park', 'count', [3], **devices(minimum=0), vehicle_types=['bicycle', 'scooter']),
        rule(2, 'No rides in parks', 'count', [2], **devices(maximum=0), **{'states': {'on_trip': []}}),
        rule(3, 'No vehicles left in parks', 'count', [2], **devices(maximum=0), **{'states': PARKED}),
    ]),
    policy(2, 'Idle time', [
        rule(4, 'Rentable', 'time', [1], rule_units='hours', maximum=72, **{'states': {'available': [], 'reserved': []}}),
        rule(5, 'Not rentable', 'time', [1], rule_units='days', maximum=1, **{'states': {'non_operational': []}}),
    ], provider_ids=[VEO]),
    policy(3, 'Speed', [
        rule(6, 'Parks on weekend afternoons', 'speed', [2], rule_units='mph', maximum=8, days=['sat', 'sun'],
             start_time='12:00:00', end_time='23:59:59', messages={'en-US': 'Slow down in parks!'}, **{'states': {'on_trip': []}}),
        rule(7, 'City', 'speed', [1], rule_units='kph', maximum=25, vehicle_types=['scooter']),
    ], end_date=1798761600000),
    policy(4, 'Night', [
        rule(8, 'Nobody at night', 'count', [2], **devices(maximum=0), start_time='22:00:00', end_time='06:00:00', days=['fri', 'sat']),
    ], prev_policies=[uuid(2, 3)], start_date=1775001600000),
]

# What the settings of the policy cannot say, one thing in each rule or policy.
BAD = [
    policy(11, 'Fleet', [
        rule(21, 'At most 500', 'count', [2], **devices(maximum=500)),
        rule(22, 'At least 10', 'count', [1], **devices(minimum=10, maximum=0)),
        rule(23, 'Elsewhere none', 'count', [1], **devices(maximum=0)),
    ]),
    policy(12, 'Trips', [
        rule(24, 'Ends', 'count', [2], **devices(maximum=0), **{'states': {'available': ['trip_end']}}),
        rule(25, 'Behind it', 'count', [1], **devices(maximum=0)),
    ]),
    policy(13, 'Odds', [
        rule(26, 'A fee', 'time', [1], rule_units='minutes', maximum=10, rate_amount=25, rate_recurrence='once_on_match'),
        rule(27, 'Helmets', 'user', [1]),
        rule(28, 'Seconds', 'time', [1], rule_units='seconds', maximum=90),
        rule(29, 'Half open', 'speed', [1], rule_units='mph', maximum=15, inclusive_maximum=False),
        rule(30, 'Asks', 'speed', [1], rule_units='mph', maximum=15, value_url='https://city.example/limit'),
        rule(31, 'Speed in hours', 'speed', [1], rule_units='hours', maximum=15),
        rule(32, 'Nowhere', 'speed', [9], rule_units='mph', maximum=15, days=['sun', 'sunday']),
    ]),
    policy(14, 'Spin only', [rule(33, 'City', 'speed', [1], rule_units='mph', maximum=15)], provider_ids=[SPIN]),
    policy(15, 'At a stop', [rule(34, 'Stop', 'count', [4], **devices(maximum=0), propulsion_types=['electric'])]),
]


def write(name, document):
    with open(os.path.join(HERE, name), 'w', encoding='utf-8') as file:
        json.dump(document, file, indent=1)
        file.write('\n')


def v2(policies):
    """The same in 2.0, in which every policy has a mode."""
    return [{**policy, 'mode_id': 'micromobility', 'currency': 'USD'} for policy in policies]


def main():
    write('policies-1.2.json', {'version': '1.2.0', 'updated': PUBLISHED, 'data': {'policies': GOOD}})
    write('policies-2.0.json', {'version': '2.0.2', 'last_updated': PUBLISHED, 'data': {'policies': v2(GOOD)}})
    bad = v2(BAD)
    bad[4]['mode_id'] = 'passenger-services'
    bad[3]['rules'][0]['accessibility_options'] = []
    bad[3]['colour'] = 'red'
    write('bad-1.2.json', {'version': '1.2.0', 'updated': PUBLISHED, 'data': {'policies': BAD}})
    write('bad-2.0.json', {'version': '2.0.2', 'last_updated': PUBLISHED, 'data': {'policies': bad}})
    write('geographies-1.2.json', {'version': '1.2.0', 'updated': PUBLISHED, 'data': {'geographies': GEOGRAPHIES}})
    write('geographies-2.0.json', {'version': '2.0.2', 'last_updated': PUBLISHED, 'geographies': GEOGRAPHIES})


if __name__ == '__main__':
    main()
