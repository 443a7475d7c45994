"""Events for policies/personal-data-leak, and what stands where in them.

Writes personal-data-leak.ndjson.gz (CloudEvents) and personal-data-leak.labels.ndjson.gz
(a line for each event: a list of [rule, JSON Pointer, first character, end]).

1. The 1,500 labelled texts of presidio-research (Microsoft, MIT: LICENSE.presidio-research
   beside this file), as published content. Of their labels CREDIT_CARD, IBAN_CODE,
   EMAIL_ADDRESS and PHONE_NUMBER count.
2. 560 synthetic events with one planted value each, of all six kinds: in English and
   Chinese sentences and in records; with blanks, hyphens, full-width characters, digits of
   other scripts and zero-width characters in it.
3. 1,100 synthetic events with numbers that are nobody's: orders, parcels, articles,
   devices, amounts, times, organisations, and numbers with a wrong check digit. They are
   drawn at random, so some of them have the form of a card by chance.

    python3 make_personal_data_leak.py ../../../../shared/data

Python standard library only; the same bytes everywhere, for the generator is our own.
"""
import gzip, io, json, pathlib, sys

import planted

HERE = pathlib.Path(__file__).parent
RULES = {'CREDIT_CARD': 'payment-card', 'IBAN_CODE': 'bank-account', 'EMAIL_ADDRESS': 'email-address', 'PHONE_NUMBER': 'phone-number'}


class Random(planted.Random):
    def digits(self, n):
        return ''.join(str(self.below(10)) for _ in range(n))


def luhn_digit(body):
    total = 0
    for i, c in enumerate(reversed(body)):
        v = int(c) * (2 if i % 2 == 0 else 1)
        total += v - 9 if v > 9 else v
    return str(-total % 10)


def card(r):
    prefix, length = r.choose([('4', 16), ('51', 16), ('55', 16), ('2221', 16), ('37', 15), ('6011', 16), ('3530', 16), ('622848', 19),
                           ('621700', 19), ('622202', 19), ('620000', 16)])
    body = prefix + r.digits(length - len(prefix) - 1)
    return body + luhn_digit(body)


def identity_digit(body):
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    return '10X98765432'[sum(int(c) * w for c, w in zip(body, weights)) % 11]


def identity(r):
    region = r.choose(['110101', '310115', '440305', '510104', '330106', '360426', '650102', '810000'])
    body = region + str(1940 + r.below(75)) + f'{1 + r.below(12):02}{1 + r.below(28):02}' + r.digits(3)
    return body + identity_digit(body)


CREDIT = '0123456789ABCDEFGHJKLMNPQRTUWXY'


def credit_code(r, prefix):
    head = prefix + r.choose(['110000', '310115', '440300', '340603'])
    body = ''.join(r.choose(CREDIT[:18]) for _ in range(8))
    s = sum(int(c, 36) * w for c, w in zip(body, [3, 7, 9, 10, 5, 8, 4, 2]))
    k = 11 - s % 11
    body += 'X' if k == 10 else '0' if k == 11 else str(k)
    first = head + body
    s = sum(CREDIT.index(c) * pow(3, i, 31) for i, c in enumerate(first))
    return first + CREDIT[-s % 31]


def iban(r):
    country, letters, digits = r.choose([('DE', 0, 18), ('FR', 0, 23), ('NL', 4, 10), ('ES', 0, 20), ('GB', 4, 14), ('NO', 0, 11), ('CH', 0, 17),
                                     ('MT', 4, 23), ('PL', 0, 24)])
    bban = ''.join(r.choose('ABCDEFGHKLMNOPRSTU') for _ in range(letters)) + r.digits(digits)
    n = int(''.join(str(int(c, 36)) for c in bban + country + '00'))
    return f'{country}{98 - n % 97:02}{bban}'


def phone(r):
    mobile = '1' + r.choose('3456789') + r.digits(9)
    return r.choose([mobile, f'{mobile[:3]} {mobile[3:7]} {mobile[7:]}', f'{mobile[:3]}-{mobile[3:7]}-{mobile[7:]}', f'+86 {mobile}', f'+86-{mobile[:3]}-{mobile[3:7]}-{mobile[7:]}',
                 f'0086{mobile}', f'010-{6 + r.below(3)}{r.digits(7)}', f'(0571) 8{r.digits(7)}', f'+49 30 {r.digits(4)} {r.digits(4)}', f'+1 (415) 555-{r.digits(4)}',
                 f'+44 20 7946 0{r.digits(3)}', f'+33{1 + r.below(9)}{r.digits(8)}'])


def email(r):
    name = r.choose(['li.ming', 'wang_fang', 'zhang-wei', 'chen.jie+shop', 'anna.k', 'j.doe', 'user'])
    return f'{name}{r.below(1000)}@{r.choose(["example.com", "mail.example.org", "post.example.co.uk", "example.cn"])}'


def grouped(value, sizes, joint):
    parts, at = [], 0
    for size in sizes:
        parts.append(value[at:at + size])
        at += size
    if at < len(value):
        parts.append(value[at:])
    return joint.join(part for part in parts if part)


def wide(value):
    return ''.join(chr(ord(c) + 0xFEE0) if '!' <= c <= '~' else '\u3000' if c == ' ' else c for c in value)


def arabic(value):
    return ''.join(chr(0x660 + int(c)) if c in '0123456789' else c for c in value)


def hidden(value):
    return value[:5] + '\u200b' + value[5:9] + '\u2060' + value[9:]


def disguised(r, rule, value):
    """The value as somebody may write it."""
    sizes = {'identity-number': [6, 4, 4, 4], 'payment-card': [4, 6, 5] if len(value) == 15 else [4, 4, 4, 4], 'bank-account': [4] * 9, 'sole-trader-code': [2, 6, 9, 1]}
    ways = [value, value, value]
    if rule in sizes:
        ways += [grouped(value, sizes[rule], ' '), grouped(value, sizes[rule], '-'), grouped(value, sizes[rule], '\u00a0'), grouped(value, sizes[rule], '\u2011'), value.lower()]
    if rule != 'email-address':
        ways += [arabic(value)]
    ways += [wide(value), hidden(value)]
    return r.choose(ways)


SENTENCES = ['Please contact {} about the delivery.', 'customer wrote: {}', 'My details are {}, thank you', '({})', '客户信息：{}，请核对。', '请联系{}。',
             '个人资料「{}」已提交', 'first line\n{}\nlast line', 'Name: unknown; value={}; end', '证件及联系:{}谢谢']
NAMES = ['note', 'value', 'remark', 'content', 'field_7']


def planted(r):
    for rule, make, count in [('identity-number', identity, 130), ('payment-card', card, 110), ('bank-account', iban, 100), ('sole-trader-code', lambda r: credit_code(r, '92'), 70),
                              ('phone-number', phone, 90), ('email-address', email, 60)]:
        for _ in range(count):
            value = disguised(r, rule, make(r))
            if r.below(3) == 0:
                name = r.choose(NAMES)
                data = r.choose([lambda: ({'row': {name: value, 'n': r.below(99)}}, f'/data/row/{name}'), lambda: ({'rows': [{'a': 'b'}, {name: value}]}, f'/data/rows/1/{name}'),
                             lambda: ([value], '/data/0'), lambda: ({'a/b': {'~': value}}, '/data/a~1b/~0')])()
                if rule in ('identity-number', 'payment-card') and value.isascii() and value.isdigit():
                    data = ({'row': {name: int(value)}}, f'/data/row/{name}')
                yield 'record.shared', data[0], [[rule, data[1], 0, len(value)]]
            else:
                sentence = r.choose(SENTENCES)
                start = sentence.index('{}')
                yield 'message.sent', {'text': sentence.format(value)}, [[rule, '/data/text', start, start + len(value)]]


def wrong_digit(r, value):
    at = len(value) - 1 - r.below(3)
    return value[:at] + str((int(value[at], 36) + 1 + r.below(8)) % 10) + value[at + 1:]


def ean(r, prefix):
    body = prefix + r.digits(12 - len(prefix))
    return body + str(-sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(body)) % 10)


def harmless(r):
    def order():
        return r.choose(['Order {} has shipped', 'order no. {} was paid', '订单号：{}，已发货', '您的订单{}已完成', 'ORD-{}', 'invoice number {} is due']).format(r.digits(16 + r.below(4)))

    def parcel():
        return r.choose(['Tracking number {}', '运单号{}', 'SF{} is on its way', '快递 YT{}', 'Parcel 1Z{}']).format(r.digits(12 + r.below(4)))

    def article():
        return r.choose(['EAN {}', '条码 {}', 'ISBN {}', 'article {}']).format(r.choose([ean(r, '978'), ean(r, '690'), ean(r, '40'), ean(r, '50')]))

    def device():
        body = r.choose(['35', '86', '01']) + r.digits(12)
        return r.choose(['IMEI {}', 'device {} went offline', 'SIM 8986{}']).format(body + luhn_digit(body))

    def amount():
        return r.choose([f'Total {r.below(999)},{r.digits(3)},{r.digits(3)}.{r.digits(2)} EUR', f'金额{r.digits(7)}.00元', f'${1 + r.below(9)}{r.digits(9)}', f'0.{r.digits(16)}',
                     f'{1 + r.below(9)} {r.digits(3)} {r.digits(3)} {r.digits(3)} kWh', f'{r.digits(8)}% of {r.digits(9)}'])

    def moment():
        year, month, day = 1990 + r.below(40), 1 + r.below(12), 1 + r.below(28)
        return r.choose([f'{year}-{month:02}-{day:02} {r.below(24):02}:{r.below(60):02}:{r.below(60):02}', f'{day:02}.{month:02}.{year} {r.below(24):02}:00', f'{year}{month:02}{day:02}{r.digits(6)}',
                     f'{year}/{month:02}/{day:02}', f'at 17{r.digits(11)} ms', f'{year}年{month}月{day}日', f'{year}-{month:02}-{day:02}T10:11:12.{r.digits(6)}+08:00'])

    def address():
        return r.choose([f'10.{r.below(256)}.{r.below(256)}.{r.below(256)}', f'192.168.{100 + r.below(100)}.{100 + r.below(100)}:8080', f'v1.{r.below(99)}.{r.digits(8)}',
                     f'{r.below(90)}.{r.digits(7)}, {r.below(180)}.{r.digits(7)}', f'icon@2x.png icon{r.below(9)}@3x.jpg', f'package@{r.below(9)}.{r.below(9)}.{r.below(9)}',
                     '%08x-%04x-4%03x-8%03x-%012x' % (r.below(1 << 32), r.below(1 << 16), r.below(1 << 12), r.below(1 << 12), r.below(1 << 48)),
                     f'sha1 {r.below(1 << 64):016x}{r.below(1 << 64):016x}{r.below(1 << 32):08x}', f'https://shop.example/p/{r.digits(9)}?id={r.digits(6)}'])

    def mistaken():
        return r.choose(['value {}', '证件 {} 有误', 'checked: {}']).format(wrong_digit(r, r.choose([identity, card, iban])(r)))

    def organisation():
        return r.choose(['Company {}', '统一社会信用代码：{}', '{} 有限公司']).format(credit_code(r, r.choose(['91', '12', '51'])))

    def long_number():
        return r.choose(['reading {}', '{}', 'counter={}', 'x{}y', '序号{}']).format(r.digits(16 + r.below(8)))

    makers = [order, order, parcel, article, device, amount, moment, address, mistaken, organisation, long_number]
    for index in range(1_100):
        text = makers[index % len(makers)]()
        if index % 4 == 0:
            yield 'record.shared', {'items': [{'ref': text, 'quantity': r.below(100), 'created': 1_700_000_000_000_000 + r.below(10**14), 'id': r.below(10**12)}]}, []
        else:
            yield 'message.sent', {'text': text}, []


def labelled(folder):
    with gzip.open(folder / 'pii/synth_dataset_v2.json.gz') as file:
        documents = json.load(file)
    for document in documents:
        labels = [[RULES[span['entity_type']], '/data/text', span['start_position'], span['end_position']] for span in document['spans'] if span['entity_type'] in RULES]
        yield 'content.published', {'text': document['full_text']}, sorted(labels, key=lambda it: it[2])


def write(name, lines):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode='wb', compresslevel=9, mtime=0, filename='') as file:
        for line in lines:
            file.write((json.dumps(line, ensure_ascii=False, separators=(',', ':')) + '\n').encode())
    (HERE / name).write_bytes(buffer.getvalue())


def main():
    r = Random(20240607)
    synthetic = [*planted(r), *harmless(r)]
    for at in range(len(synthetic) - 1, 0, -1):
        other = r.below(at + 1)
        synthetic[at], synthetic[other] = synthetic[other], synthetic[at]
    events, labels = [], []
    for index, (kind, data, spans) in enumerate([*labelled(pathlib.Path(sys.argv[1])), *synthetic]):
        minute = index % 1440
        events.append({'specversion': '1.0', 'id': str(index), 'source': '/platform/content', 'type': kind,
                       'time': f'2024-06-{1 + index // 1440:02}T{minute // 60:02}:{minute % 60:02}:00Z', 'data': data})
        labels.append(spans)
    write('personal-data-leak.ndjson.gz', events)
    write('personal-data-leak.labels.ndjson.gz', labels)


main()
