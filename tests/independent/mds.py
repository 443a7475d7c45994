#!/usr/bin/env python3
"""Answers for policies/mds, without any code of Ephor (Python standard library only).

usage: mds.py EVENTS --settings JSON|@FILE

The rule. Each policy of the settings that is for the observation's provider (or for
all) and holds at its time judges it by itself: the first of its rules that matches
decides, and no other one. A rule matches if the vehicle is inside one of its
geographies (even-odd ray casting), has one of its types and states (all, if it names
none), and if it is one of its days and hours in the settings' time zone. If type or
state would decide and the event does not say it, the whole observation is undecided. A
policy of speed rules has nothing to say about an observation without a speed.

 closed   the rule's kind is the finding: no-vehicles, no-ride, no-parking,
          mandatory-parking.
 time     the vehicle has matched this rule at every observation since `since`, was
          never unobserved for longer than `seen_within_minutes`, and is within
          `moved_degrees` of where it was then. A finding when `maximum_minutes` are
          exceeded, and again for each further time as many. An observation that is
          older than the latest of the vehicle is not held against limits of time, and
          changes nothing of them.
 speed    the speed of the event, in metres per second, is more than `maximum`.

The state is `vehicle_state`, or else: disabled is non_operational, reserved is
reserved, available is available."""
import datetime, hashlib, json, math, sys

import events

KINDS = {'no_vehicles': 'no-vehicles', 'no_ride': 'no-ride', 'no_parking': 'no-parking',
         'mandatory_parking': 'mandatory-parking', 'time': 'time-limit', 'speed': 'speed-limit'}
STATES = ['removed', 'available', 'non_operational', 'reserved', 'on_trip', 'stopped', 'non_contactable', 'missing', 'elsewhere', 'unknown']
DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']
MINUTE = 60 * events.SECOND


def in_ring(ring, x, y):
    inside, j = False, len(ring) - 1
    for i in range(len(ring)):
        (xi, yi), (xj, yj) = ring[i], ring[j]
        if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
            inside = not inside
        j = i
    return inside


class Area:
    def __init__(self, geometry):
        coordinates = geometry['coordinates']
        self.polygons = [coordinates] if geometry['type'] == 'Polygon' else coordinates
        points = [point for polygon in self.polygons for point in polygon[0]]
        x, y = [point[0] for point in points], [point[1] for point in points]
        self.box = (min(x), min(y), max(x), max(y))

    def contains(self, x, y):
        if not (self.box[0] <= x <= self.box[2] and self.box[1] <= y <= self.box[3]):
            return False
        return any(in_ring(rings[0], x, y) and not any(in_ring(hole, x, y) for hole in rings[1:]) for rings in self.polygons)


def sunday(year, month, n):
    first = datetime.date(year, month, 1)
    return first + datetime.timedelta(days=(6 - first.weekday()) % 7 + 7 * (n - 1))


def local(zone, micros):
    """What clocks show. Two zones are known here, by the words of their laws."""
    utc = events.EPOCH.replace(tzinfo=None) + micros * events.MICROSECOND
    if zone == 'UTC0':
        return utc
    assert zone == 'EST5EDT,M3.2.0,M11.1.0', f'this script does not know the zone {zone}'
    at = lambda day, hour: datetime.datetime.combine(day, datetime.time(hour))
    summer = at(sunday(utc.year, 3, 2), 7) <= utc < at(sunday(utc.year, 11, 1), 6)
    return utc - datetime.timedelta(hours=4 if summer else 5)


def clock(text, default):
    parts = [int(part) for part in (text or default).split(':')] + [0]
    return parts[0] * 3600 + parts[1] * 60 + parts[2]


def holds(rule, now):
    second = now.hour * 3600 + now.minute * 60 + now.second
    start, end = clock(rule.get('from'), '00:00'), clock(rule.get('until'), '24:00')
    days = rule.get('days') or DAYS
    today, yesterday = DAYS[now.weekday()] in days, DAYS[now.weekday() - 1] in days
    if end <= start:
        return second >= start and today or second < end and yesterday
    return today and start <= second < end


def parts(degrees):
    """To the nearest millionth; halves away from zero."""
    return int(math.copysign(math.floor(abs(degrees * 1e6) + 0.5), degrees))


class Undecided(Exception):
    pass


class Mds:
    def __init__(self, settings):
        self.settings = settings
        self.areas = {place['id']: Area(place['geometry']) for place in settings['geographies']}
        self.order = [place['id'] for place in settings['geographies']]
        self.moved = parts(settings['moved_degrees'])
        self.seen_within = settings['seen_within_minutes'] * MINUTE
        self.stays = {}

    def judge(self, event):
        """The findings of one event: pairs of a rule and the places that the vehicle is inside of."""
        data, time = event['data'], events.micros(event['time'])
        required = [data.get(name) for name in ('provider', 'vehicle_id', 'lat', 'lng')]
        if any(value is None for value in required):
            return []
        provider, vehicle, lat, lng = required
        if abs(lat) > 90 or abs(lng) > 180:
            raise Undecided
        state = data.get('vehicle_state')
        if state is not None and state not in STATES:
            raise Undecided
        if state is None:
            state = ('non_operational' if data.get('is_disabled') else 'reserved' if data.get('is_reserved')
                     else 'available' if data.get('is_available') else None)
        kind = data.get('vehicle_type') or None
        kind = self.settings.get('vehicle_type_names', {}).get(kind, kind)
        now = local(self.settings['zone'], time)
        stay = self.stays.get((provider, vehicle))
        is_late = stay is not None and time < stay['last']
        before = stay
        if before and not is_late:
            near = abs(before['lat'] - parts(lat)) <= self.moved and abs(before['lng'] - parts(lng)) <= self.moved
            if not near or time > before['last'] + self.seen_within:
                before = None
        inside = [place for place in self.order if self.areas[place].contains(lng, lat)]
        findings, clocks = [], {}
        for policy in self.settings['policies']:
            start, end = policy.get('start_ms'), policy.get('end_ms')
            if policy.get('providers') and provider not in policy['providers']:
                continue
            if start is not None and time < start * 1000 or end is not None and time >= end * 1000:
                continue
            if data.get('speed') is None and all(rule['limit']['kind'] in ('speed', 'none') for rule in policy['rules']):
                continue
            for rule in policy['rules']:
                places = [place for place in inside if place in rule['geographies']]
                if not places or not holds(rule, now):
                    continue
                wanted = [(rule.get('vehicle_types'), kind), (rule.get('states'), state)]
                if any(names and value is not None and value not in names for names, value in wanted):
                    continue
                if any(names and value is None for names, value in wanted):
                    raise Undecided
                limit = rule['limit']
                if limit['kind'] == 'time' and not is_late:
                    since, found = (before or {'clocks': {}})['clocks'].get(rule['id'], (time, 0))
                    times = (time - since - 1) // (limit['maximum_minutes'] * MINUTE) if time > since else 0
                    if times > found:
                        findings.append(('time-limit', places))
                    clocks[rule['id']] = (since, max(found, times))
                elif limit['kind'] == 'speed':
                    speed = data.get('speed')
                    if speed is not None:
                        speed = speed * 3600 / 1609.344 if limit['unit'] == 'mph' else speed * 3.6
                    if speed is not None and speed > limit['maximum']:
                        findings.append(('speed-limit', places))
                elif limit['kind'] in KINDS and limit['kind'] != 'time':
                    findings.append((KINDS[limit['kind']], places))
                break
        if not is_late:
            if clocks:
                place = before or {'lat': parts(lat), 'lng': parts(lng)}
                self.stays[provider, vehicle] = {'lat': place['lat'], 'lng': place['lng'], 'last': time, 'clocks': clocks}
            else:
                self.stays.pop((provider, vehicle), None)
        return findings


def main():
    options = events.parser(__doc__.split('\n')[0], None)
    for action in options._actions:
        if action.dest == 'settings':
            action.type = lambda text: json.load(open(text[1:], encoding='utf-8')) if text.startswith('@') else json.loads(text)
    options = options.parse_args()
    policy, count, undecided, lines = Mds(options.settings), 0, 0, []
    rules = dict.fromkeys(KINDS.values(), 0)
    for index, event in enumerate(events.read(options.events)):
        count += 1
        try:
            for rule, _ in policy.judge(event):
                rules[rule] += 1
                lines.append(f'{index} {rule}\n')
        except Undecided:
            undecided += 1
    answer = {'events': count, 'rules': rules, 'undecided': undecided,
              'digest': hashlib.sha256(''.join(sorted(lines)).encode()).hexdigest()}
    json.dump(answer, sys.stdout, indent=1)
    print()


if __name__ == '__main__':
    main()
