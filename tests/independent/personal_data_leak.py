"""What policies/personal-data-leak must find (Python standard library only).

The rule in words. Every string, member name and whole number in `data` is read
character by character: in ordinary width, without invisible characters, digits of every
script as 0-9, every dash as -, every blank within a line as a blank. Then:

- e-mail address: name@domain, the last label of the domain all letters;
- identity number (GB 11643), bank account (ISO 13616), credit code (GB 32100, only those
  that begin with 92 are a person's): whole groups of letters and digits, joined by single
  blanks, hyphens or dots, that pass the standard's check;
- payment card: 12 to 19 digits with the Luhn digit, in one group, in a usual grouping or in
  a whole run of groups joined alike; not part of something longer; with a network's prefix
  and 14 to 16 digits (UnionPay: to 19), unless it is called a card; not if it is called
  something else;
- phone number: with + and 8 to 15 digits; in a form that is usual in China, North America
  or where a zero is dialled first; or 7 to 15 digits that are called a phone number.

What a number is called: by the nearest label at most 40 characters in front of it, else at
most 15 behind it, else the member's name. One finding per event and rule.

With `--labels FILE` it also says what the labelled spans have, and where the two differ.
"""
import json, re, sys, unicodedata
from collections import Counter
import events

RULES = ['identity-number', 'payment-card', 'bank-account', 'sole-trader-code', 'phone-number', 'email-address']
INVISIBLE = set('\u00ad\u034f\u061c\ufeff') | {chr(c) for a, b in [(0x180b, 0x180f), (0x200b, 0x200f), (0x202a, 0x202e), (0x2060, 0x2069), (0xfe00, 0xfe0f), (0xe0100, 0xe01ef)] for c in range(a, b + 1)}
BLANKS = set('\u00a0\u202f\u205f\u3000') | {chr(c) for c in range(0x2000, 0x200b)}
DASHES = set('\u2212\ufe58\ufe63') | {chr(c) for c in range(0x2010, 0x2016)}
UNSEPARATED = re.compile('[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u312f\u31a0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]')

CARD = 'card cards credit debit cc pan visa mastercard amex unionpay maestro'.split(), '银行卡 信用卡 借记卡 储蓄卡 卡号 银联'.split()
PHONE = ('phone phones telephone tel mobile cell cellphone fax call calling dial whatsapp sms hotline landline contact desk office'.split(),
         '电话 手机 座机 传真 热线 联系方式 致电 拨打 微信'.split())
THING = ('order orders invoice tracking shipment waybill parcel package reference ref imei iccid isbn ean upc gtin barcode sku serial batch lot ticket amount total price ssn '
         'license licence passport zip postcode version build timestamp'.split(), '订单 运单 单号 快递 流水号 序列号 条码 批次 编号 金额 价格 邮编'.split())
LABELS = [(name, re.compile('(?<![a-z0-9\x01])(?:' + '|'.join(sorted(latin, key=len, reverse=True)) + ')(?![a-z0-9\x01])|' + '|'.join(han)))
          for name, (latin, han) in [('card', CARD), ('phone', PHONE), ('thing', THING)]]

IBAN = dict(re.findall(r'([A-Z]{2})(\d\d)', '''AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24
FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20
MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'''))
PROVINCES = set('11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83'.split())
NETWORKS = re.compile(r'''4(?:.{12}|.{15}|.{18}) | 3[47].{13} | (?:30[0-5].|3095|3[689]..).{10,15} | (?:6011|64[4-9].|65..).{12,15} | 35(?:2[89]|[3-8].).{12,15} | (?:1800|2131).{11}
 | 5[1-5].{14} | (?:222[1-9]|22[3-9].|2[3-6]..|27[01].|2720).{12} | 220[0-4].{12,15} | (?:62|81).{14,17} | (?:50..|5[678]..|6304|6390|67..).{8,15}''', re.X)
GROUPINGS = ['4 4 4 4', '4 4 4 4 3', '4 6 5', '4 6 4', '4 3 3 3', '6 13', '6 10']


def plain(text):
    """The text as it is read, the same with its letters kept, and where each character stood."""
    read, letters, places = [], [], []
    for place, c in enumerate(text):
        if c in INVISIBLE:
            continue
        wide = unicodedata.decomposition(c)
        ordinary = chr(int(wide.split()[1], 16)) if wide.startswith(('<wide>', '<narrow>')) else c
        if ordinary in '\u3099\u309a' and places and '\uff66' <= text[place - 1] <= '\uff9d':
            continue
        places.append(place)
        letters.append(ordinary.lower()[0])
        if ordinary.isascii():
            read.append(ordinary.lower())
        elif ordinary in DASHES:
            read.append('-')
        elif ordinary in BLANKS:
            read.append(' ')
        elif unicodedata.decimal(ordinary, None) is not None:
            read.append(str(unicodedata.decimal(ordinary)))
        elif (ordinary.isalnum() or unicodedata.category(ordinary)[0] == 'M') and not UNSEPARATED.match(ordinary):
            read.append('\x01')
        else:
            read.append('\x02')
    assert all(len(c) == 1 for c in read)
    letters = ''.join(l if r == '\x02' else r for r, l in zip(read, letters))
    return ''.join(read), letters, places


def is_date(year, month, day):
    days = [31, 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return 1850 <= year < 2200 and 1 <= month <= 12 and 1 <= day <= days[month - 1]


def is_identity(n):
    if not re.fullmatch(r'\d{17}[\dx]', n) or n[:2] not in PROVINCES or not is_date(int(n[6:10]), int(n[10:12]), int(n[12:14])):
        return False
    return sum((10 if c == 'x' else int(c)) * pow(2, 17 - i, 11) for i, c in enumerate(n)) % 11 == 1


def is_credit_code(n):
    n = n.upper()
    if not re.fullmatch(r'[1-9NY][0-9A-HJ-NP-RTUWXY]\d{6}[0-9A-HJ-NP-RTUWXY]{10}', n) or n[2:4] not in PROVINCES | {'10'}:
        return False
    organisation = '0X987654321'[sum(int(c, 36) * w for c, w in zip(n[8:16], [3, 7, 9, 10, 5, 8, 4, 2])) % 11]
    values = '0123456789ABCDEFGHJKLMNPQRTUWXY'
    return n[16] == organisation and sum(values.index(c) * pow(3, i, 31) for i, c in enumerate(n[:17])) % 31 == -values.index(n[17]) % 31


def is_iban(n):
    n = n.upper()
    if not re.fullmatch(r'[A-Z]{2}\d\d[A-Z0-9]+', n) or str(len(n)) != IBAN.get(n[:2]) or not 2 <= int(n[2:4]) <= 98:
        return False
    return int(''.join(str(int(c, 36)) for c in n[4:] + n[:4])) % 97 == 1


def is_luhn(n):
    return sum(sum(divmod(int(c) * (1 + i % 2), 10)) for i, c in enumerate(reversed(n))) % 10 == 0


class Text:
    def __init__(self, text, name):
        self.read, self.letters, self.places = plain(text)
        # Found parts are crossed out here, and still adjoin what is beside them in `read`.
        self.left = self.read
        self.hits = []
        self.labels = [(m.start(), m.end(), kind) for kind, pattern in LABELS for m in pattern.finditer(self.letters)]
        words = plain(re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name or ''))[1]
        named = [(m.end(), kind) for kind, pattern in LABELS for m in pattern.finditer(words)]
        self.name = max(named)[1] if named else None

    def label(self, start, end):
        before = max((it for it in self.labels if it[1] <= start), key=lambda it: it[1], default=None)
        if before and start - before[1] <= 40:
            return before[2]
        behind = min((it for it in self.labels if it[0] >= end), key=lambda it: it[1], default=None)
        return behind[2] if behind and behind[0] - end <= 15 else self.name

    def take(self, rule, start, end):
        self.hits.append((rule, self.places[start], self.places[end - 1] + 1))
        self.left = self.left[:start] + re.sub(r'[a-z0-9\x01]', '\x03', self.left[start:end]) + self.left[end:]

    def emails(self):
        for at in [m.start() for m in re.finditer('@', self.read)]:
            # The name begins with its first letter or digit.
            run = re.search(r'[a-z0-9\x01._%+-]*\Z', self.read[:at])
            first = re.search(r'[a-z0-9\x01]', run.group())
            label = r'[a-z0-9\x01](?:[a-z0-9\x01-]*[a-z0-9\x01])?'
            domain = re.match(rf'{label}(?![a-z0-9\x01-])(?:\.{label}(?![a-z0-9\x01-]))*', self.read[at + 1:])
            if not first or run.group().endswith('.') or not domain:
                continue
            labels = domain.group().split('.')
            while len(labels) > 1 and (not re.fullmatch(r'[a-z\x01]{2,}', labels[-1]) or labels[-1] in 'png jpg jpeg gif svg webp css js html json'.split()):
                labels.pop()
            if len(labels) > 1:
                self.take('email-address', run.start() + first.start(), at + 1 + len('.'.join(labels)))

    def starts(self):
        return [m.start() for m in re.finditer(r'(?<![a-z0-9\x01])[a-z0-9]', self.left)]

    def checked(self):
        until = 0
        for start in self.starts():
            if start < until:
                continue
            # Groups from here on, until something else comes.
            run = re.match(r'[a-z0-9\x01]+(?:[ .-][a-z0-9\x01]+)*', self.left[start:]).group()
            number = ''
            for m in re.finditer(r'[a-z0-9\x01]+', run):
                number += m.group()
                if '\x01' in number or len(number) > 34:
                    break
                rule = 'identity-number' if is_identity(number) else 'sole-trader-code' if is_credit_code(number) else 'bank-account' if is_iban(number) else None
                if rule:
                    until = start + m.end()
                    self.take(rule, start, until)
                    if rule == 'sole-trader-code' and not number.startswith('92'):
                        self.hits.pop()
                    break

    def cards(self):
        part = r'[a-z0-9\x01]'
        until = 0
        for start in self.starts():
            if start < until:
                continue
            rest = self.left[start:]
            tries = [r'\d{%s}' % '}([ .-])\\d{'.join([sizes.split()[0], sizes.split()[1]]) + ''.join(r'\1\d{%s}' % size for size in sizes.split()[2:]) for sizes in GROUPINGS]
            found = [re.match(pattern + f'(?!{part})', rest) for pattern in tries]
            whole = re.match(rf'\d+([ .-])\d+(?!{part})(?:\1\d+(?!{part}))*', rest)
            if whole and not re.search(rf'(?<!{part})\d+{re.escape(whole.group(1))}\Z', self.left[:start]):
                found.append(whole)
            found.append(re.match(rf'\d+(?!{part})', rest))
            for m in filter(None, found):
                end = start + m.end()
                if self.is_card(re.sub(r'\D', '', m.group()), start, end):
                    self.take('payment-card', start, end)
                    until = end
                    break

    def is_card(self, number, start, end):
        if not 12 <= len(number) <= 19 or not is_luhn(number):
            return False
        if re.search(r'(?:[a-z0-9\x01][-_]|\d\.)\Z', self.read[:start]) or re.match(r'[-_][a-z0-9\x01]|\.\d', self.read[end:]):
            return False
        called = self.label(start, end)
        return called == 'card' or called != 'thing' and bool(NETWORKS.fullmatch(number)) and (14 <= len(number) <= 16 or number.startswith(('62', '81')))

    def phones(self):
        runs, extended = [], True
        before = None
        for m in re.finditer(r'(?<![a-z0-9\x01])(\d+)(x\d{1,6})?(?![a-z0-9\x01])', self.left):
            joint = self.left[before.end():m.start()] if before else ''
            if before and not extended and re.fullmatch(r'[ .()-]{1,2}', joint):
                runs[-1].append((m.start(1), m.end(1), joint, m.end()))
            else:
                runs.append([(m.start(1), m.end(1), '', m.end())])
            before, extended = m, bool(m.group(2))
        for run in runs:
            first = 0
            while first < len(run):
                ends = [last for last in range(len(run), first, -1) if last == len(run) or run[last][2] == ' ']
                last = next((last for last in ends if self.is_phone(run[first:last], first == 0)), None) if first == 0 or run[first][2] == ' ' else None
                if last:
                    self.take('phone-number', self.beginning(run[first:last]), run[last - 1][3])
                first = last or first + 1

    def beginning(self, parts):
        start = parts[0][0]
        # A bracket in front is the number's own if it is closed within the number.
        closed = any(')' in joint for _, _, joint, _ in parts[1:])
        return start - len(re.search(r'\+?\(?\Z' if closed else r'\+?\Z', self.read[:start]).group())

    def is_phone(self, parts, at_beginning):
        start, end = self.beginning(parts), parts[-1][3]
        groups = [self.read[a:b] for a, b, _, _ in parts]
        digits, sizes, joints = ''.join(groups), [len(group) for group in groups], [joint for _, _, joint, _ in parts[1:]]
        if not 7 <= len(digits) <= 17:
            return False
        if re.search(r'(?:[a-z0-9\x01][-_./]|\d[,:]|[a-z0-9\x01$#])\Z', self.read[:start]) or re.match(r'[-_./,:]\d|%', self.read[end:]):
            return False
        shape = ' '.join(groups)
        if len(groups) > 2 and all(joint in ('.', '-') for joint in joints[:2]):
            if re.match(r'(?:19|20)\d\d \d{1,2} \d{1,2}(?!\d)|\d{1,2} \d{1,2} (?:19|20)\d\d(?!\d)', shape):
                return False
            if len(groups) == 4 and max(sizes) <= 3 and all(joint.startswith('.') for joint in joints):
                return False
        if self.read[start] == '+':
            return digits[0] != '0' and 8 <= len(digits) <= 15
        called = self.label(start, end)
        if called in ('thing', 'phone'):
            return called == 'phone' and len(digits) <= 15
        if len(groups) > 1 and sizes[0] > 1 and re.fullmatch(r'00[1-9]\d{7,14}', digits):
            return True
        if re.fullmatch(r'(?:(?:00)?86 ?)?1[3-9](?:\d{9}|\d \d{4} \d{4}|\d \d{8}|\d{5} \d{4})', shape):
            return True
        if re.fullmatch(r'0[1-9]\d{1,2} \d{7,8}|0[1-9]\d \d{4} \d{4}', shape):
            return True
        if re.fullmatch(r'(?:1 )?[2-9]\d\d \d{3} \d{4}', shape) and ' ' not in joints[-2:]:
            return True
        return at_beginning and bool(re.fullmatch(r'0[1-9]\d{7,10}', digits)) and len(groups) > 2 and min(sizes) > 1


def found(text, name):
    it = Text(text, name)
    it.emails()
    it.checked()
    it.cards()
    it.phones()
    return it.hits


def texts(value, place=('data',), name=None):
    """Every text with its place, whether it is a name, and what it is called."""
    if isinstance(value, str):
        yield place, False, name, value
    elif isinstance(value, bool) or value is None or isinstance(value, float):
        return
    elif isinstance(value, int):
        if 0 <= value < 1 << 64:
            yield place, False, name, str(value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*place, str(index)), name)
    else:
        for member, item in value.items():
            yield (*place, member), True, name, member
            yield from texts(item, (*place, member), member)


def pointer(place):
    return ''.join('/' + name.replace('~', '~0').replace('/', '~1') for name in place)


def is_expected(place, is_name, rule, expected):
    steps = pointer(place).split('/')
    return not is_name and any(rule in it['rules'] and len(steps) == len(it['pointer'].split('/')) and all(b in ('*', a) for a, b in zip(steps, it['pointer'].split('/')))
                               for it in expected)


def measure(hits, labelled):
    """Of each rule: labelled and found, exactly found, labelled, found; and the same by events."""
    spans, whole = {rule: Counter() for rule in RULES}, {rule: Counter() for rule in RULES}
    for rule in RULES:
        for ours, theirs in zip(hits, labelled):
            ours, theirs = [it[1:] for it in ours if it[0] == rule], [it[1:] for it in theirs if it[0] == rule]
            meets = lambda a, b: a[0] == b[0] and a[1] < b[2] and b[1] < a[2]
            spans[rule].update(labelled=len(theirs), found=len(ours), recalled=sum(any(meets(a, b) for a in ours) for b in theirs),
                               right=sum(any(meets(a, b) for b in theirs) for a in ours), exact=len(set(ours) & set(theirs)))
            whole[rule].update(labelled=bool(theirs), found=bool(ours), both=bool(theirs) and bool(ours))
    return spans, whole


def main():
    options = events.parser(__doc__, {'expected': []})
    options.add_argument('--labels', help='also compare with the labelled spans of this file, on standard error')
    options = options.parse_args()
    findings, counts, all_hits, count = [], Counter(), [], 0
    documents = []
    for index, event in enumerate(events.read(options.events)):
        hits = [(rule, pointer(place), start, end) for place, is_name, name, text in texts(event['data']) for rule, start, end in found(text, name)
                if not is_expected(place, is_name, rule, options.settings['expected'])]
        for rule in sorted({hit[0] for hit in hits}):
            findings.append({'index': index, 'rule': rule})
            counts[rule] += 1
        all_hits.append(hits)
        documents.append(event)
        count = index + 1
    if options.labels:
        labelled = [[tuple(it) for it in line] for line in events.read(options.labels)]
        spans, whole = measure(all_hits, labelled)
        for rule in RULES:
            print(rule, 'spans', dict(spans[rule]), 'events', dict(whole[rule]), file=sys.stderr)
        for index, (ours, theirs) in enumerate(zip(all_hits, labelled)):
            for hit in sorted(set(ours) ^ set(theirs)):
                print('only found' if hit in ours else 'only labelled', index, *hit, file=sys.stderr)
    events.write({'events': count, 'rules': {rule: counts[rule] for rule in RULES}}, findings, options)


main()
