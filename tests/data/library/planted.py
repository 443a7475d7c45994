"""What the makers of synthetic events beside this one share (Python standard library
only). The same bytes on any Python with the same zlib."""
import datetime, gzip, json, os

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1


class Random:
    """SplitMix64 (Steele, Lea and Flood, 2014), seeded: Python promises no sequence of
    its own for all times."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return (mixed ^ (mixed >> 31)) % bound

    def between(self, least, most):
        return least + self.below(most - least + 1)

    def choose(self, values):
        return values[self.below(len(values))]

    def shuffle(self, items):
        for at in range(len(items) - 1, 0, -1):
            other = self.below(at + 1)
            items[at], items[other] = items[other], items[at]


def moment(text):
    """A point in time from RFC 3339."""
    return datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))


def shown(time):
    return time.astimezone(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def event(kind, source, time, data):
    """A CloudEvent without its id."""
    return {'specversion': '1.0', 'type': kind, 'source': source, 'time': shown(time), 'data': data}


def write(name, events):
    """Numbers the events in their order and writes them beside this file."""
    lines = []
    for number, it in enumerate(events):
        it = {'specversion': it.pop('specversion'), 'id': str(number), **it}
        lines.append(json.dumps(it, ensure_ascii=False, separators=(',', ':')) + '\n')
    path = os.path.join(HERE, name + '.ndjson.gz')
    with open(path, 'wb') as raw, gzip.GzipFile(filename='', mode='wb', fileobj=raw, mtime=0, compresslevel=9) as file:
        file.write(''.join(lines).encode())
    print(f'{path}: {len(lines)} events, {os.path.getsize(path)} bytes')
