#!/usr/bin/env python3
"""Answers for policies/idle-vehicle, without any code of Ephor (Python standard
library only).

usage: idle_vehicle.py EVENTS [--settings JSON] [--lateness SECONDS] [--findings FILE]

The rule. A vehicle of a provider begins to stand where it is first observed, or
observed more than `moved_degrees` of latitude or longitude from where it stood. It
is looked at when it has stood for `hours`, and again each `hours` later. If it was
observed there within `seen_within_hours` before, that is a finding; if not, it is
forgotten, and begins to stand anew when it is observed again. An observation that
is older than the latest of the vehicle says nothing.

When a look happens. It is a timer at an event time T. The timer belongs to the
source of the vehicle's latest observation, and fires right before the first event

 (a) of that source that takes the source's watermark to T or beyond: the greatest
     event time of the source so far, less the lateness; or
 (b) that is an observation of the same vehicle, with a time of T or later.

A timer that no event fires is still pending at the end and finds nothing. A look
that asks for another one that is due as well has it in the same place, up to 64
times."""
import heapq, math
from collections import Counter

import events

PLACES = 64
SETTINGS = {'hours': 24, 'seen_within_hours': 12, 'moved_degrees': 0.0005}


def millionths(degrees):
    """To the nearest; halves away from zero."""
    return int(math.copysign(math.floor(abs(degrees * 1e6) + 0.5), degrees))


class Vehicles:
    def __init__(self, settings):
        self.limit = settings['hours'] * events.HOUR
        self.seen_within = settings['seen_within_hours'] * events.HOUR
        self.moved = millionths(settings['moved_degrees'])
        self.stays, self.timers, self.queues, self.sources = {}, {}, {}, {}
        self.findings, self.forgotten, self.fired_by = [], 0, Counter()

    def set_timer(self, key, at):
        self.timers[key] = at
        # A timer that was replaced stays in the queue, and is passed over there.
        heapq.heappush(self.queues.setdefault(self.sources[key], []), (at, key))

    def due(self, source, watermark, key, time):
        """The timers that fire now, each with what fires it, by time."""
        found, queue = {}, self.queues.get(source, [])
        while queue and queue[0][0] <= watermark:
            at, other = heapq.heappop(queue)
            if self.timers.get(other) == at and self.sources[other] == source:
                found[other] = (at, 'watermark')
        if key in self.timers and self.timers[key] <= time:
            found.setdefault(key, (self.timers[key], 'own_event'))
        return sorted((at, other, why) for other, (at, why) in found.items())

    def look(self, key, at, why, number):
        del self.timers[key]
        place, since, last = self.stays[key]
        if at - last > self.seen_within:
            del self.stays[key]
            self.forgotten += 1
            return
        self.fired_by[why] += 1
        self.findings.append({
            'before': number, 'at': events.shown(at), 'provider': key[0], 'vehicle': key[1],
            'since': events.shown(since), 'last': events.shown(last), 'hours': (at - since) // events.HOUR})
        self.set_timer(key, at + self.limit)

    def observe(self, key, source, place, time):
        self.sources[key], timer = source, self.timers.get(key)
        if timer is not None:
            self.set_timer(key, timer)  # it belongs to this source now
        if key in self.stays:
            stood, since, last = self.stays[key]
            if time < last:
                return
            if all(abs(now - then) <= self.moved for now, then in zip(place, stood)):
                self.stays[key] = (stood, since, time)
                return
        self.stays[key] = (place, time, time)
        self.set_timer(key, time + self.limit)


def main():
    options = events.parser('Idle vehicles.', SETTINGS)
    options.add_argument('--lateness', type=int, default=60, help='in seconds; default: %(default)s')
    options = options.parse_args()
    vehicles, marks, count = Vehicles(options.settings), {}, 0
    for number, event in enumerate(events.read(options.events)):
        count += 1
        source, time, key = event['source'], events.micros(event['time']), None
        if event['type'] == 'mobility.vehicle.observed':
            key = (event['data']['provider'], event['data']['vehicle_id'])
        marks[source] = max(marks.get(source, time), time)
        for _ in range(PLACES):
            due = vehicles.due(source, marks[source] - options.lateness * events.SECOND, key, time)
            if not due:
                break
            for at, other, why in due:
                vehicles.look(other, at, why, number)
        else:
            raise SystemExit('a vehicle is looked at more than 64 times in one place: this script does not go on there')
        if key:
            vehicles.observe(key, source, (millionths(event['data']['lat']), millionths(event['data']['lng'])), time)
    findings = vehicles.findings
    answer = {
        'events': count, 'findings': len(findings), 'forgotten': vehicles.forgotten, 'pending': len(vehicles.timers),
        'by_provider': Counter(finding['provider'] for finding in findings),
        'by_hours': Counter(str(finding['hours']) for finding in findings),
        'by_day': Counter(finding['at'][:10] for finding in findings),
        'fired_by': vehicles.fired_by,
    }
    events.write(answer, findings, options)


if __name__ == '__main__':
    main()
