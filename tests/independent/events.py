"""What the scripts beside this one share: reading events and writing answers
(Python standard library only)."""
import argparse, datetime, gzip, hashlib, json, sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR


def read(path):
    """The events of an NDJSON file, which may be gzipped; `-` is standard input."""
    if path == '-':
        yield from map(json.loads, sys.stdin)
        return
    opened = gzip.open(path, 'rt', encoding='utf-8') if path.endswith('.gz') else open(path, encoding='utf-8')
    with opened as file:
        yield from map(json.loads, file)


def micros(text):
    """An RFC 3339 date-time as microseconds since 1970."""
    return (datetime.datetime.fromisoformat(text.replace('Z', '+00:00')) - EPOCH) // MICROSECOND


def shown(micros):
    """The reverse, in UTC."""
    text = (EPOCH + micros * MICROSECOND).strftime('%Y-%m-%dT%H:%M:%S.%f')
    return text.rstrip('0').rstrip('.') + 'Z'


def parser(description, settings):
    """The options that all scripts have. `settings` is the default for the policy's settings."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument('events', help='NDJSON CloudEvents, perhaps gzipped; - for standard input')
    options.add_argument('--settings', type=json.loads, default=settings, help='the settings as JSON; default: %(default)s')
    options.add_argument('--findings', help='also write every finding to this file, one JSON per line')
    return options


def write(answer, findings, options):
    """The answer on standard output; the findings where they are wanted. Its
    `digest` is the SHA-256 of all findings: of each the values joined by blanks, as
    sorted lines."""
    lines = sorted(' '.join(map(str, finding.values())) + '\n' for finding in findings)
    answer['digest'] = hashlib.sha256(''.join(lines).encode()).hexdigest()
    if options.findings:
        with open(options.findings, 'w', encoding='utf-8') as file:
            for finding in findings:
                file.write(json.dumps(finding, ensure_ascii=False, sort_keys=True, separators=(',', ':')) + '\n')
    json.dump(answer, sys.stdout, indent=1, sort_keys=True)
    print()
