#!/usr/bin/env python3
"""Answers about the sample, computed without any code of Ephor: truth.json
(Python standard library only).

usage: truth.py [BOUNDARIES]     default: ../../../policies/geofence/settings.json

BOUNDARIES is any JSON that holds a list of boundaries: GeoJSON features, or the
`boundaries` of the shared data-policy.json. A point is inside a boundary by
even-odd ray casting in longitude and latitude."""
import gzip, json, os, sys
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
CAP = 2000
WORDS = ('CIGAR', 'WINE', 'MATCHES', 'KNIFE', 'LANTERN')


def boundaries(value):
    """The first list of objects with a geometry, wherever it is."""
    if isinstance(value, list) and value and all(isinstance(v, dict) and 'geometry' in v for v in value):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in map(boundaries, inner) if found), None)


def named(boundary, *names):
    return next((place[name] for place in (boundary.get('properties') or {}, boundary) for name in names if name in place), None)


def in_ring(x, y, ring):
    inside, j = False, len(ring) - 1
    for i in range(len(ring)):
        (xi, yi), (xj, yj) = ring[i][:2], ring[j][:2]
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            inside = not inside
        j = i
    return inside


def in_polygons(x, y, polygons):
    return any(in_ring(x, y, p[0]) and not any(in_ring(x, y, hole) for hole in p[1:]) for p in polygons)


def events(name):
    with gzip.open(os.path.join(HERE, name + '.ndjson.gz'), 'rt', encoding='utf-8') as file:
        for line in file:
            yield json.loads(line)


def columbus(path):
    fences = []
    with open(path, encoding='utf-8') as file:
        for boundary in boundaries(json.load(file)):
            geometry = boundary['geometry']
            polygons = [geometry['coordinates']] if geometry['type'] == 'Polygon' else geometry['coordinates']
            xs = [point[0] for polygon in polygons for point in polygon[0]]
            ys = [point[1] for polygon in polygons for point in polygon[0]]
            fences.append((boundary, named(boundary, 'boundary_type', 'type'), polygons, min(xs), max(xs), min(ys), max(ys)))
    rows, hits, types, fleets, over = 0, Counter(), Counter(), Counter(), Counter()
    for event in events('columbus'):
        data = event['data']
        rows += 1
        fleets[(data['snapshot_id'], data['provider'])] += 1
        if fleets[(data['snapshot_id'], data['provider'])] > CAP:
            over[data['provider']] += 1
        x, y, seen = data['lng'], data['lat'], set()
        if x is None or y is None:
            continue
        for index, (_, kind, polygons, x0, x1, y0, y1) in enumerate(fences):
            if x0 <= x <= x1 and y0 <= y <= y1 and in_polygons(x, y, polygons):
                hits[index] += 1
                seen.add(kind)
        for kind in seen:
            types[f"{data['provider']}/{kind}"] += 1
    return {
        'events': rows,
        'observations_inside_any_by_provider_type': dict(sorted(types.items())),
        'geofence_hits_per_boundary': [
            {'index': index, 'type': kind, 'geography_id': named(boundary, 'geography_id', 'id'),
             'name': named(boundary, 'geography_name', 'name'), 'observations_inside': hits[index]}
            for index, (boundary, kind, *_) in enumerate(fences)],
        'vehicles_by_snapshot_provider': {f'{snapshot}/{provider}': n for (snapshot, provider), n in sorted(fleets.items())},
        'cap_2000_breaches': dict(sorted(Counter(provider for (_, provider), n in fleets.items() if n > CAP).items())),
        'observations_beyond_cap_2000': dict(sorted(over.items())),
    }


def retail():
    rows, words, lines_with_any = 0, Counter({word: 0 for word in WORDS}), 0
    for event in events('retail'):
        rows += 1
        text = f" {(event['data']['description'] or '').upper().replace(',', ' ').replace('.', ' ')} "
        found = [word for word in WORDS if f' {word} ' in text]
        words.update(found)
        lines_with_any += any(word != 'LANTERN' for word in found)
    return {'events': rows, 'lines_with_word': dict(words), 'lines_with_any_of_the_first_four': lines_with_any}


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '..', '..', '..', 'policies', 'geofence', 'settings.json')
    truth = {'columbus': columbus(path), 'retail': retail()}
    with open(os.path.join(HERE, 'truth.json'), 'w', encoding='utf-8') as file:
        json.dump(truth, file, indent=1)
        file.write('\n')


if __name__ == '__main__':
    main()
