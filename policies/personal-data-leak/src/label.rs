//! Words that say what a number behind them is.

use ephor_sdk::text::WordList;

use crate::plain::Plain;

/// What a number is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Card,
    Phone,
    /// A number of something else than a person: an order, a parcel, an amount.
    Thing,
}

const CARD: [&str; 17] = [
    "card",
    "cards",
    "credit",
    "debit",
    "cc",
    "pan",
    "visa",
    "mastercard",
    "amex",
    "unionpay",
    "maestro",
    "银行卡",
    "信用卡",
    "借记卡",
    "储蓄卡",
    "卡号",
    "银联",
];
const PHONE: [&str; 27] = [
    "phone",
    "phones",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "call",
    "calling",
    "dial",
    "whatsapp",
    "sms",
    "hotline",
    "landline",
    "contact",
    "desk",
    "office",
    "电话",
    "手机",
    "座机",
    "传真",
    "热线",
    "联系方式",
    "致电",
    "拨打",
    "微信",
];
const THING: [&str; 46] = [
    "order",
    "orders",
    "invoice",
    "tracking",
    "shipment",
    "waybill",
    "parcel",
    "package",
    "reference",
    "ref",
    "imei",
    "iccid",
    "isbn",
    "ean",
    "upc",
    "gtin",
    "barcode",
    "sku",
    "serial",
    "batch",
    "lot",
    "ticket",
    "amount",
    "total",
    "price",
    "ssn",
    "license",
    "licence",
    "passport",
    "zip",
    "postcode",
    "version",
    "build",
    "timestamp",
    "订单",
    "运单",
    "单号",
    "快递",
    "流水号",
    "序列号",
    "条码",
    "批次",
    "编号",
    "金额",
    "价格",
    "邮编",
];

/// How far in front of a number its label may end, and how far behind it begin, in
/// visible characters.
const BEFORE: usize = 40;
const BEHIND: usize = 15;

/// All labels.
pub(crate) struct Labels(WordList);

impl Labels {
    pub(crate) fn new() -> Self {
        let all = CARD.iter().chain(&PHONE).chain(&THING);
        Self(WordList::new(all).expect("the words above are different words"))
    }

    fn kind(phrase: usize) -> Label {
        match phrase {
            _ if phrase < CARD.len() => Label::Card,
            _ if phrase < CARD.len() + PHONE.len() => Label::Phone,
            _ => Label::Thing,
        }
    }

    /// The labels in a text, and in its name where it stands.
    pub(crate) fn of(&self, text: &str, name: Option<&str>, plain: &Plain) -> Found {
        let places = |it: ephor_sdk::text::Found| (plain.place(it.range.start), plain.place(it.range.end), Self::kind(it.phrase));
        let name = name.and_then(|name| self.0.find(&in_words(name)).last().map(|it| Self::kind(it.phrase)));
        Found { labels: self.0.find(text).map(places).collect(), name }
    }
}

/// `phoneNumber` in words.
fn in_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for c in name.chars() {
        if was_lower && c.is_uppercase() {
            words.push(' ');
        }
        was_lower = c.is_lowercase();
        words.push(c);
    }
    words
}

/// The labels of one text.
pub(crate) struct Found {
    /// From where to where by places of the plain text, in the order of their ends.
    labels: Vec<(usize, usize, Label)>,
    name: Option<Label>,
}

impl Found {
    /// What the number from `start` to `end` is called: by the nearest label in front of
    /// it, else the nearest behind it, else the name of the text.
    pub(crate) fn label(&self, start: usize, end: usize) -> Option<Label> {
        let in_front = self.labels.iter().rev().find(|it| it.1 <= start).filter(|it| start - it.1 <= BEFORE);
        let behind = || self.labels.iter().find(|it| it.0 >= end).filter(|it| it.0 - end <= BEHIND);
        in_front.or_else(behind).map(|it| it.2).or(self.name)
    }
}
