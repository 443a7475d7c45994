//! Money as whole numbers of its smallest unit.
//!
//! Floats do not add up, and a rule about cents must not depend on how a sum was
//! rounded. An amount comes from an event as a decimal text or as a JSON number, is
//! exact from then on, and is refused if it cannot be.
//!
//! ```
//! use ephor_sdk::money::{Currency, Money};
//!
//! let euro = Currency::of("EUR").unwrap();
//! let price = Money::parse("19.99", euro).unwrap();
//! assert_eq!(price.minor(), 1_999);
//! // A field of kind float: the number that the JSON text says, if it has cents at most.
//! let paid = Money::from_float(20.0, euro).unwrap();
//! assert_eq!(paid.minus(price).unwrap().to_string(), "0.01 EUR");
//! assert!(paid.is_more_than(price).unwrap());
//!
//! let error = Money::from_float(0.1 + 0.2, euro).unwrap_err();
//! assert_eq!(error.to_string(), "0.30000000000000004 is no amount of EUR, which has 2 decimals at most");
//! let yen = Money::parse("100", Currency::of("JPY").unwrap()).unwrap();
//! assert_eq!(price.plus(yen).unwrap_err().to_string(), "19.99 EUR and 100 JPY are of two currencies");
//! ```

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::evidence::IntoEvidence;
use crate::settings::settings;
use crate::state::minor_units;

/// Active codes of ISO 4217 and those that were withdrawn since 2020, by how many
/// decimals the smallest unit has. Metals, funds of no unit and codes for tests have
/// none and are left out.
const CODES: [(&str, u32); 4] = [
    ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", 0),
    (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD \
        CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP \
        GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD \
        MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR \
        PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP \
        TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL",
        2,
    ),
    ("BHD IQD JOD KWD LYD OMR TND", 3),
    ("CLF UYW", 4),
];

/// A currency of ISO 4217. In settings its code: `"EUR"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Currency {
    code: &'static str,
    decimals: u32,
}

impl Currency {
    /// The currency with a code of three capital letters; nothing if there is none.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        CODES.iter().find_map(|&(codes, decimals)| {
            let code = codes.split(' ').find(|&known| known == code)?;
            Some(Self { code, decimals })
        })
    }

    /// Its code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// How many decimals its smallest unit has: 2 for the euro, 0 for the yen.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        self.decimals
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code)
    }
}

/// An amount of money: exact, in the smallest unit of its currency, within 64 bits.
///
/// Displayed as `19.99 EUR`, with all decimals of the currency. In settings
/// `{"amount": "19.99", "currency": "EUR"}`. In a state it takes some five bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// So many of the currency's smallest unit.
    #[must_use]
    pub const fn of_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads a decimal number such as `19.99` or `-7`: digits, a point, no exponent,
    /// no separators. Zeros beyond the smallest unit are let through.
    ///
    /// # Errors
    ///
    /// If it is none, has parts of the smallest unit, or does not fit into 64 bits.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let refused = || MoneyError::NoAmount { text: text.to_owned(), currency };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        if !digits(whole) || !digits(part) {
            return Err(refused());
        }
        let decimals = currency.decimals as usize;
        let (units, beyond) = part.split_at(decimals.min(part.len()));
        if beyond.bytes().any(|byte| byte != b'0') {
            return Err(refused());
        }
        // With its sign, so that the least number is one of them.
        let sign = if unsigned.len() == text.len() { "" } else { "-" };
        let minor = format!("{sign}{whole}{units:0<decimals$}").parse().map_err(|_| refused())?;
        Ok(Self { minor, currency })
    }

    /// The amount that a JSON number says.
    ///
    /// # Errors
    ///
    /// If it has parts of the smallest unit, or more than 15 digits, beyond which a
    /// float does not tell decimal numbers apart ([`minor_units`]).
    pub fn from_float(amount: f64, currency: Currency) -> Result<Self, MoneyError> {
        match minor_units(amount, currency.decimals) {
            Some(minor) => Ok(Self { minor, currency }),
            None => Err(MoneyError::NoAmount { text: amount.to_string(), currency }),
        }
    }

    /// How many of the smallest unit.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// What it is money of.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    ///
    /// If they are of two currencies, or the sum does not fit into 64 bits.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.with(other, i64::checked_add)
    }

    /// The difference of two amounts.
    ///
    /// # Errors
    ///
    /// As [`Self::plus`].
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.with(other, i64::checked_sub)
    }

    /// So many times the amount.
    ///
    /// # Errors
    ///
    /// If that does not fit into 64 bits.
    pub fn times(self, factor: i64) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(factor).ok_or(MoneyError::TooMuch)?;
        Ok(Self { minor, ..self })
    }

    /// Whether the amount is greater than another one.
    ///
    /// # Errors
    ///
    /// If they are of two currencies.
    pub fn is_more_than(self, other: Self) -> Result<bool, MoneyError> {
        self.same(other).map(|()| self.minor > other.minor)
    }

    fn with(self, other: Self, operation: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        self.same(other)?;
        let minor = operation(self.minor, other.minor).ok_or(MoneyError::TooMuch)?;
        Ok(Self { minor, ..self })
    }

    fn same(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::TwoCurrencies(self, other)) }
    }

    fn decimal(self) -> String {
        let unit = 10_u64.pow(self.currency.decimals);
        let (whole, part) = (self.minor.unsigned_abs() / unit, self.minor.unsigned_abs() % unit);
        let sign = if self.minor < 0 { "-" } else { "" };
        match self.currency.decimals as usize {
            0 => format!("{sign}{whole}"),
            decimals => format!("{sign}{whole}.{part:0decimals$}"),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.decimal(), self.currency)
    }
}

impl IntoEvidence for Money {
    fn into_evidence(self) -> String {
        self.to_string()
    }
}

impl IntoEvidence for Currency {
    fn into_evidence(self) -> String {
        self.code.to_owned()
    }
}

/// Why there is no amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoneyError {
    /// It is no decimal number, or has parts of the smallest unit, or is too large.
    NoAmount {
        /// What was to be an amount.
        text: String,
        /// Of what.
        currency: Currency,
    },
    /// Amounts of two currencies cannot be added or compared.
    TwoCurrencies(Money, Money),
    /// It does not fit into 64 bits. The row should be undecided.
    TooMuch,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAmount { text, currency } => {
                write!(out, "{text} is no amount of {currency}, which has {} decimals at most", currency.decimals)
            }
            Self::TwoCurrencies(one, other) => write!(out, "{one} and {other} are of two currencies"),
            Self::TooMuch => out.write_str("the amount does not fit into 64 bits"),
        }
    }
}

impl std::error::Error for MoneyError {}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let code = String::deserialize(from)?;
        Self::of(&code).ok_or_else(|| D::Error::custom(format!("{code:?} is no currency of ISO 4217, such as \"EUR\"")))
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "The code of a currency, as in ISO 4217.", "pattern": "^[A-Z]{3}$"})
    }
}

/// How settings have it.
#[settings]
struct Written {
    /// A decimal number, with no more decimals than the currency has.
    amount: String,
    currency: Currency,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.minor, self.currency).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // People write settings; states are written as small as can be.
        if from.is_human_readable() {
            let Written { amount, currency } = Written::deserialize(from)?;
            return Self::parse(&amount, currency).map_err(D::Error::custom);
        }
        let (minor, currency) = Deserialize::deserialize(from)?;
        Ok(Self { minor, currency })
    }
}

impl JsonSchema for Money {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        Currency::of(code).unwrap_or_else(|| panic!("{code} is a currency"))
    }

    #[test]
    fn currencies() {
        for (code, decimals) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("CNY", 2), ("ZWG", 2), ("AED", 2)] {
            assert_eq!((currency(code).code(), currency(code).decimals()), (code, decimals));
        }
        for code in ["", "eur", "EURO", "XTS", "XAU", "EUR ", "R U", "US"] {
            assert_eq!(Currency::of(code), None, "{code:?}");
        }
        let codes: Vec<_> = CODES.iter().flat_map(|(codes, _)| codes.split(' ')).collect();
        assert!(codes.iter().all(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())), "{codes:?}");
        let different: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!((codes.len(), different.len()), (171, 171));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(minor in any::<i64>(), code in prop::sample::select(vec!["EUR", "JPY", "KWD", "CLF"])) {
            let money = Money::of_minor(minor, currency(code));
            let (text, _) = money.to_string().split_once(' ').map(|(text, code)| (text.to_owned(), code.to_owned())).expect("two words");
            prop_assert_eq!(Money::parse(&text, money.currency()), Ok(money));
            prop_assert_eq!(postcard::from_bytes::<Money>(&postcard::to_extend(&money, vec![]).expect("written")), Ok(money));
        }

        #[test]
        fn a_float_is_what_its_text_says(minor in -999_999_999_999_999_i64..=999_999_999_999_999) {
            let money = Money::of_minor(minor, currency("EUR"));
            let float: f64 = money.decimal().parse().expect("a number");
            prop_assert_eq!(Money::from_float(float, money.currency()), Ok(money));
        }
    }

    #[test]
    fn what_is_no_amount() {
        let euro = currency("EUR");
        for (text, minor) in
            [("12", 1_200), ("12.5", 1_250), ("-0.07", -7), ("0012.500", 1_250), ("-0", 0), ("92233720368547758.07", i64::MAX)]
        {
            assert_eq!(Money::parse(text, euro).map(Money::minor), Ok(minor), "{text}");
        }
        for text in ["", "-", "+1", "1,5", "1e3", ".5", "5.", "1.005", "1 000", "--1", "1.-5", "١", "92233720368547758.08", "Infinity"] {
            assert!(matches!(Money::parse(text, euro), Err(MoneyError::NoAmount { .. })), "{text}");
        }
        for float in [f64::NAN, f64::INFINITY, 1e300, 2.555] {
            assert!(Money::from_float(float, euro).is_err(), "{float}");
        }
        assert_eq!(
            Money::parse("1.5", currency("JPY")).expect_err("no parts").to_string(),
            "1.5 is no amount of JPY, which has 0 decimals at most"
        );
    }

    #[test]
    fn sums() {
        let (one, most) = (Money::of_minor(1, currency("EUR")), Money::of_minor(i64::MAX, currency("EUR")));
        assert_eq!(most.plus(one), Err(MoneyError::TooMuch));
        assert_eq!(Money::of_minor(i64::MIN, currency("EUR")).minus(one), Err(MoneyError::TooMuch));
        assert_eq!(most.times(2), Err(MoneyError::TooMuch));
        assert_eq!(one.times(-3).expect("fits").to_string(), "-0.03 EUR");
        assert!(one.is_more_than(Money::of_minor(1, currency("USD"))).is_err());
    }

    #[test]
    fn in_settings() {
        let money: Money = serde_json::from_str(r#"{"amount": "19.90", "currency": "EUR"}"#).expect("an amount");
        assert_eq!(money.to_string(), "19.90 EUR");
        for (text, problem) in [
            (r#"{"amount": "1", "currency": "EURO"}"#, "\"EURO\" is no currency of ISO 4217"),
            (r#"{"amount": "1.234", "currency": "EUR"}"#, "1.234 is no amount of EUR"),
            (r#"{"amount": 1.5, "currency": "EUR"}"#, "invalid type"),
        ] {
            let error = serde_json::from_str::<Money>(text).expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
