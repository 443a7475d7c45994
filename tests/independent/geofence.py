#!/usr/bin/env python3
"""Answers for policies/geofence, without any code of Ephor (Python standard library
only).

usage: geofence.py EVENTS [--settings JSON] [--findings FILE]

An observation is a finding of the rule that a boundary's type names if it lies
inside of one or more boundaries of that type: a ray to the right crosses the outer
ring an odd number of times, and each hole an even number (even-odd rule, plane
coordinates; a polygon that crosses itself included)."""
import json, os

import events

SETTINGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'policies', 'geofence', 'settings.json')


def crossings_are_odd(ring, x, y):
    odd = False
    for (x0, y0), (x1, y1) in zip(ring[-1:] + ring[:-1], ring):
        # Which end is the first makes a difference in the last bit of the slope.
        if (y1 > y) != (y0 > y) and x < (x0 - x1) * (y - y1) / (y0 - y1) + x1:
            odd = not odd
    return odd


class Boundary:
    def __init__(self, feature):
        geometry = feature['geometry']
        self.polygons = [geometry['coordinates']] if geometry['type'] == 'Polygon' else geometry['coordinates']
        self.rule = feature['properties']['boundary_type'].replace('_', '-')
        outer = [point for polygon in self.polygons for point in polygon[0]]
        self.west, self.east = min(x for x, _ in outer), max(x for x, _ in outer)
        self.south, self.north = min(y for _, y in outer), max(y for _, y in outer)

    def holds(self, x, y):
        if not (self.west <= x <= self.east and self.south <= y <= self.north):
            return False
        return any(crossings_are_odd(rings[0], x, y) and not any(crossings_are_odd(hole, x, y) for hole in rings[1:]) for rings in self.polygons)


def main():
    options = events.parser('Vehicles inside of boundaries.', None).parse_args()
    settings = options.settings
    if settings is None:
        with open(SETTINGS, encoding='utf-8') as file:
            settings = json.load(file)
    boundaries, findings, count = [Boundary(feature) for feature in settings['features']], [], 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        if event['type'] != 'mobility.vehicle.observed':
            continue
        x, y = event['data']['lng'], event['data']['lat']
        rules = sorted({boundary.rule for boundary in boundaries if boundary.holds(x, y)})
        findings += [{'event': number, 'rule': rule} for rule in rules]
    events.write({'events': count, 'findings': len(findings)}, findings, options)


if __name__ == '__main__':
    main()
