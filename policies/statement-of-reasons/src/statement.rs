//! What a statement of reasons says, field by field, under the names of the
//! Commission's API.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ephor_sdk::prelude::*;

/// A statement of reasons that a platform is about to submit, or has submitted.
#[derive(Fields)]
pub struct Statement<'a> {
    #[field("/data/platform_name", purpose = "tell the statements of platforms apart")]
    pub(crate) platform: &'a str,
    #[field("/data/puid", purpose = "know a statement again")]
    pub(crate) puid: &'a str,
    #[field("/time", purpose = "say when a statement came first")]
    pub(crate) time: Time,
    #[field("/data/decision_visibility", purpose = "compare it with the values that may be stated")]
    decision_visibility: Option<Json<'a>>,
    #[field("/data/decision_visibility_other", purpose = "see whether it is there and not too long")]
    decision_visibility_other: Option<&'a str>,
    #[field("/data/end_date_visibility_restriction", purpose = "compare the dates of a statement with one another")]
    end_date_visibility_restriction: Option<&'a str>,
    #[field("/data/decision_monetary", purpose = "compare it with the values that may be stated")]
    decision_monetary: Option<&'a str>,
    #[field("/data/decision_monetary_other", purpose = "see whether it is there and not too long")]
    decision_monetary_other: Option<&'a str>,
    #[field("/data/end_date_monetary_restriction", purpose = "compare the dates of a statement with one another")]
    end_date_monetary_restriction: Option<&'a str>,
    #[field("/data/decision_provision", purpose = "compare it with the values that may be stated")]
    decision_provision: Option<&'a str>,
    #[field("/data/end_date_service_restriction", purpose = "compare the dates of a statement with one another")]
    end_date_service_restriction: Option<&'a str>,
    #[field("/data/decision_account", purpose = "compare it with the values that may be stated")]
    decision_account: Option<&'a str>,
    #[field("/data/end_date_account_restriction", purpose = "compare the dates of a statement with one another")]
    end_date_account_restriction: Option<&'a str>,
    #[field("/data/account_type", purpose = "compare it with the values that may be stated")]
    account_type: Option<&'a str>,
    #[field("/data/decision_ground", purpose = "compare it with the values that may be stated")]
    decision_ground: Option<&'a str>,
    #[field("/data/illegal_content_legal_ground", purpose = "see whether it is there and not too long")]
    illegal_content_legal_ground: Option<&'a str>,
    #[field("/data/illegal_content_explanation", purpose = "see whether it contradicts the rest of the statement")]
    illegal_content_explanation: Option<&'a str>,
    #[field("/data/incompatible_content_ground", purpose = "see whether it contradicts the rest of the statement")]
    incompatible_content_ground: Option<&'a str>,
    #[field("/data/incompatible_content_explanation", purpose = "see whether it contradicts the rest of the statement")]
    incompatible_content_explanation: Option<&'a str>,
    #[field("/data/incompatible_content_illegal", purpose = "compare it with the values that may be stated")]
    incompatible_content_illegal: Option<&'a str>,
    #[field("/data/category", purpose = "compare it with the values that may be stated")]
    category: Option<&'a str>,
    #[field("/data/category_addition", purpose = "compare it with the values that may be stated")]
    category_addition: Option<Json<'a>>,
    #[field("/data/category_specification", purpose = "compare it with the values that may be stated")]
    category_specification: Option<Json<'a>>,
    #[field("/data/content_type", purpose = "compare it with the values that may be stated")]
    content_type: Option<Json<'a>>,
    #[field("/data/content_type_other", purpose = "see whether it is there and not too long")]
    content_type_other: Option<&'a str>,
    #[field("/data/content_language", purpose = "compare it with the values that may be stated")]
    content_language: Option<&'a str>,
    #[field("/data/content_date", purpose = "compare the dates of a statement with one another")]
    content_date: Option<&'a str>,
    #[field("/data/territorial_scope", purpose = "compare it with the values that may be stated")]
    territorial_scope: Option<Json<'a>>,
    #[field("/data/application_date", purpose = "compare the dates of a statement with one another")]
    application_date: Option<&'a str>,
    #[field("/data/decision_facts", purpose = "see whether it contradicts the rest of the statement")]
    decision_facts: Option<&'a str>,
    #[field("/data/source_type", purpose = "compare it with the values that may be stated")]
    source_type: Option<&'a str>,
    #[field("/data/automated_detection", purpose = "compare it with the values that may be stated")]
    automated_detection: Option<&'a str>,
    #[field("/data/automated_decision", purpose = "compare it with the values that may be stated")]
    automated_decision: Option<&'a str>,
}

/// How a field is taken out of a statement.
enum Reader {
    Text(for<'s, 'a> fn(&'s Statement<'a>) -> Option<&'a str>),
    /// A list of texts.
    List(for<'s, 'a> fn(&'s Statement<'a>) -> Option<Json<'a>>),
}

/// Every field that settings can name.
const READERS: [(&str, Reader); 30] = [
    ("decision_visibility", Reader::List(|it| it.decision_visibility)),
    ("decision_visibility_other", Reader::Text(|it| it.decision_visibility_other)),
    ("end_date_visibility_restriction", Reader::Text(|it| it.end_date_visibility_restriction)),
    ("decision_monetary", Reader::Text(|it| it.decision_monetary)),
    ("decision_monetary_other", Reader::Text(|it| it.decision_monetary_other)),
    ("end_date_monetary_restriction", Reader::Text(|it| it.end_date_monetary_restriction)),
    ("decision_provision", Reader::Text(|it| it.decision_provision)),
    ("end_date_service_restriction", Reader::Text(|it| it.end_date_service_restriction)),
    ("decision_account", Reader::Text(|it| it.decision_account)),
    ("end_date_account_restriction", Reader::Text(|it| it.end_date_account_restriction)),
    ("account_type", Reader::Text(|it| it.account_type)),
    ("decision_ground", Reader::Text(|it| it.decision_ground)),
    ("illegal_content_legal_ground", Reader::Text(|it| it.illegal_content_legal_ground)),
    ("illegal_content_explanation", Reader::Text(|it| it.illegal_content_explanation)),
    ("incompatible_content_ground", Reader::Text(|it| it.incompatible_content_ground)),
    ("incompatible_content_explanation", Reader::Text(|it| it.incompatible_content_explanation)),
    ("incompatible_content_illegal", Reader::Text(|it| it.incompatible_content_illegal)),
    ("category", Reader::Text(|it| it.category)),
    ("category_addition", Reader::List(|it| it.category_addition)),
    ("category_specification", Reader::List(|it| it.category_specification)),
    ("content_type", Reader::List(|it| it.content_type)),
    ("content_type_other", Reader::Text(|it| it.content_type_other)),
    ("content_language", Reader::Text(|it| it.content_language)),
    ("content_date", Reader::Text(|it| it.content_date)),
    ("territorial_scope", Reader::List(|it| it.territorial_scope)),
    ("application_date", Reader::Text(|it| it.application_date)),
    ("decision_facts", Reader::Text(|it| it.decision_facts)),
    ("source_type", Reader::Text(|it| it.source_type)),
    ("automated_detection", Reader::Text(|it| it.automated_detection)),
    ("automated_decision", Reader::Text(|it| it.automated_decision)),
];

/// Whether settings can name this field.
pub(crate) fn is_field(name: &str) -> bool {
    READERS.iter().any(|(field, _)| *field == name)
}

/// What a statement says: the texts of each field. Blank texts are not there.
pub(crate) struct Values<'a>(BTreeMap<&'static str, Vec<Cow<'a, str>>>);

impl<'a> Values<'a> {
    /// # Errors
    ///
    /// The name of a field that ought to be a list of texts and is not.
    pub(crate) fn of(statement: &Statement<'a>) -> Result<Self, &'static str> {
        let mut values = BTreeMap::new();
        for (name, reader) in READERS {
            let mut texts: Vec<Cow<'a, str>> = match reader {
                Reader::Text(read) => read(statement).map(Cow::Borrowed).into_iter().collect(),
                Reader::List(read) => match read(statement).map(Json::parse::<Vec<String>>) {
                    Some(texts) => texts.map_err(|_| name)?.into_iter().map(Cow::Owned).collect(),
                    None => Vec::new(),
                },
            };
            texts.retain(|text| !text.trim().is_empty());
            if !texts.is_empty() {
                values.insert(name, texts);
            }
        }
        Ok(Self(values))
    }

    /// The texts of a field; none if it is missing.
    pub(crate) fn all(&self, name: &str) -> &[Cow<'a, str>] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The text of a field that has one.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(AsRef::as_ref)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a field has this value, or has it among others.
    pub(crate) fn says(&self, name: &str, value: &str) -> bool {
        self.all(name).iter().any(|text| text == value)
    }
}
