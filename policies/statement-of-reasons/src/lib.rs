//! Who restricts what somebody put online owes that person a statement of reasons, and
//! the Commission's database a copy of it. A statement that lacks what the law asks for,
//! contradicts itself, or comes twice, is none that can be relied on.

mod date;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

use ephor_sdk::prelude::*;

use date::day;
pub use statement::Statement;
use statement::{Values, is_field};

/// The restrictions of article 17(1), points (a) to (d).
const RESTRICTIONS: [&str; 4] = ["decision_visibility", "decision_monetary", "decision_provision", "decision_account"];
const APPLICATION: &str = "application_date";
const CONTENT: &str = "content_date";
const END_DATES: [&str; 4] =
    ["end_date_visibility_restriction", "end_date_monetary_restriction", "end_date_service_restriction", "end_date_account_restriction"];
/// The texts in which a platform explains how it decided.
const EXPLANATIONS: [&str; 3] = ["decision_facts", "illegal_content_explanation", "incompatible_content_explanation"];
/// A value that nobody knows may be any text; so much of it is evidence.
const SHOWN_CHARS: usize = 60;

/// What a statement must say. Fields have the names of the Commission's API.
#[settings]
pub struct Settings {
    /// Fields that every statement has.
    required: BTreeSet<String>,
    /// Fields that some statements have.
    required_if: Vec<Condition>,
    /// The values that a field may have. Fields that are not here may have any.
    values: BTreeMap<String, BTreeSet<String>>,
    /// The most characters that a field may have.
    max_chars: BTreeMap<String, usize>,
    /// Dates are days without a time zone. Two of them contradict each other only if
    /// they are apart by more days than these.
    date_tolerance_days: u32,
    /// Content that was put online more than so many days before the restriction is old.
    old_content_days: u32,
    /// Phrases that say that a machine took the decision.
    automated_phrases: Vec<String>,
    /// Grounds that do not go with a category.
    ground_contradictions: Vec<Contradiction>,
}

/// If `field` has `value`, the fields of `requires` must be there.
#[settings]
struct Condition {
    /// The field that decides.
    field: String,
    /// The value that it has, perhaps among others.
    value: String,
    /// The fields that must then be there.
    requires: Vec<String>,
}

/// A contractual ground with one of `phrases` contradicts the categories.
#[settings]
struct Contradiction {
    /// Compared without regard to case.
    phrases: Vec<String>,
    /// Values of `category`.
    categories: BTreeSet<String>,
}

/// What is remembered of a statement.
#[state]
pub struct Known {
    /// When it came first, by the event's time.
    first: Option<Time>,
    /// How often it came.
    times: u64,
}

/// What a statement can lack.
#[derive(Rules, Clone, Copy)]
pub enum Rule {
    /// No restriction is named.
    #[rule(
        id = "no-restriction",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(3)(a)",
        en = "the statement of {platform} names no restriction: neither of visibility nor of payments, service or account",
        zh = "{platform} 的理由说明未写明任何限制：可见性、付款、服务、账户均无"
    )]
    NoRestriction,
    /// A field that every statement has is not there.
    #[rule(
        id = "missing-field",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), articles 17(3) and 24(5)",
        en = "the statement of {platform} lacks {field}",
        zh = "{platform} 的理由说明缺少 {field}"
    )]
    MissingField,
    /// A field that this statement has to have is not there.
    #[rule(
        id = "missing-conditional-field",
        action = flag,
        severity = high,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(3)(a), (d) and (e)",
        en = "the statement of {platform} lacks {field}, which it needs because {because} is {value}",
        zh = "{platform} 的理由说明缺少 {field}；因 {because} 为 {value}，该项必填"
    )]
    MissingConditionalField,
    /// A value is none of those that may be stated.
    #[rule(
        id = "unknown-value",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 24(5); the Commission's API of the transparency database",
        en = "the statement of {platform} has {value} as {field}, which is none of the values that it may have",
        zh = "{platform} 的理由说明中 {field} 为 {value}，不在允许值之列"
    )]
    UnknownValue,
    /// A text is longer than the database takes.
    #[rule(
        id = "too-long",
        action = flag,
        severity = low,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 24(5); the Commission's API of the transparency database",
        en = "the statement of {platform} has {chars} characters as {field}, more than {limit}",
        zh = "{platform} 的理由说明中 {field} 有 {chars} 个字符，超过 {limit}"
    )]
    TooLong,
    /// A date is none.
    #[rule(
        id = "bad-date",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 24(5); the Commission's API of the transparency database",
        en = "the statement of {platform} has something as {field} that is no date",
        zh = "{platform} 的理由说明中 {field} 不是日期"
    )]
    BadDate,
    /// The content was restricted before it was there.
    #[rule(
        id = "application-before-content",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(1), clear and specific",
        en = "the statement of {platform} restricts on {application} what was put online on {content}",
        zh = "{platform} 的理由说明称 {application} 起限制，而内容于 {content} 才发布"
    )]
    ApplicationBeforeContent,
    /// A restriction ended before it began.
    #[rule(
        id = "end-before-application",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(3)(a), duration",
        en = "the statement of {platform} has {end} as {field}, before the restriction began on {application}",
        zh = "{platform} 的理由说明中 {field} 为 {end}，早于限制开始日 {application}"
    )]
    EndBeforeApplication,
    /// The content was online for long. No breach of the law by itself.
    #[rule(
        id = "old-content",
        action = flag,
        severity = low,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(3)(b), facts and circumstances",
        en = "{platform} restricts on {application} what had been online since {content}, for {days} days",
        zh = "{platform} 于 {application} 限制自 {content} 起发布、已存在 {days} 天的内容"
    )]
    OldContent,
    /// It was decided without a machine, and the text says that it was one.
    #[rule(
        id = "automation-contradicted",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(3)(c)",
        en = "the statement of {platform} says that the decision was not automated, and in {field}: {phrase}",
        zh = "{platform} 的理由说明称决定非自动作出，但 {field} 写有：{phrase}"
    )]
    AutomationContradicted,
    /// The contractual ground is another matter than the category.
    #[rule(
        id = "ground-contradicts-category",
        action = flag,
        severity = medium,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 17(3)(e) and (4)",
        en = "the statement of {platform} has the category {category}, and a contractual ground with the word {phrase}",
        zh = "{platform} 的理由说明类别为 {category}，而合同依据含有“{phrase}”"
    )]
    GroundContradictsCategory,
    /// The statement was there before.
    #[rule(
        id = "duplicate-statement",
        action = flag,
        severity = low,
        legal_basis = "Regulation (EU) 2022/2065 (Digital Services Act), article 24(5); the Commission's API of the transparency database",
        en = "{platform} gives the statement {statement} for time number {times}; it came first at {first}",
        zh = "{platform} 第 {times} 次提交理由说明 {statement}；首次为 {first}"
    )]
    DuplicateStatement,
}

/// What a statement must say, with its phrases in lower case.
pub struct StatementOfReasons(Settings);

#[policy(
    name = "statement-of-reasons",
    summary = "Flags statements of reasons for content moderation that are incomplete, contradict themselves, or come twice.",
    events = ["content.statement.submitted"],
    key = ["/data/platform_name", "/data/puid"],
    state_version = 1
)]
impl Policy for StatementOfReasons {
    type Fields<'a> = Statement<'a>;
    type Settings = Settings;
    type State = Known;
    type Rule = Rule;

    fn configure(mut settings: Settings) -> Result<Self, SettingsErrors> {
        let mut errors = SettingsErrors::default();
        check_fields(&settings, &mut errors);
        let phrases = settings.ground_contradictions.iter_mut().enumerate().map(|(index, it)| {
            let pointer = format!("/ground_contradictions/{index}/phrases");
            (pointer, &mut it.phrases)
        });
        for (pointer, phrases) in phrases.chain([("/automated_phrases".to_owned(), &mut settings.automated_phrases)]) {
            for (index, phrase) in phrases.iter_mut().enumerate() {
                if phrase.trim().is_empty() {
                    errors.push(format!("{pointer}/{index}"), "expected a phrase: a blank one is in every text");
                }
                *phrase = phrase.to_lowercase();
            }
        }
        errors.or(Self(settings))
    }

    fn evaluate(&self, statement: Statement<'_>, known: &mut Known, out: &mut Out<Rule>) {
        let values = match Values::of(&statement) {
            Ok(values) => values,
            Err(field) => return out.undecided(format!("{field} is not a list of texts")),
        };
        let mut judge = Judge { platform: statement.platform, values: &values, out };
        judge.fields(&self.0);
        judge.dates(&self.0);
        judge.contradictions(&self.0);

        known.times = known.times.saturating_add(1);
        match known.first {
            Some(first) => {
                let found = judge.find(Rule::DuplicateStatement).with("statement", statement.puid);
                found.with("times", known.times).with("first", first);
            }
            None => known.first = Some(statement.time),
        }
    }
}

/// Every field that settings name is one, and conditions can come true.
fn check_fields(settings: &Settings, errors: &mut SettingsErrors) {
    let mut check = |name: &str, pointer: String| {
        if !is_field(name) {
            errors.push(pointer, format!("a statement has no field `{name}` that could be looked at"));
        }
    };
    for name in &settings.required {
        check(name, "/required".to_owned());
    }
    for name in settings.values.keys() {
        check(name, format!("/values/{name}"));
    }
    for name in settings.max_chars.keys() {
        check(name, format!("/max_chars/{name}"));
    }
    for (index, condition) in settings.required_if.iter().enumerate() {
        check(&condition.field, format!("/required_if/{index}/field"));
        for (place, name) in condition.requires.iter().enumerate() {
            check(name, format!("/required_if/{index}/requires/{place}"));
        }
    }
    for (index, Condition { field, value, .. }) in settings.required_if.iter().enumerate() {
        if settings.values.get(field).is_some_and(|values| !values.contains(value)) {
            errors.push(format!("/required_if/{index}/value"), format!("expected one of `/values/{field}`: the field has no others"));
        }
    }
    let categories = settings.values.get("category");
    for (index, contradiction) in settings.ground_contradictions.iter().enumerate() {
        let unknown = contradiction.categories.iter().find(|it| categories.is_some_and(|known| !known.contains(*it)));
        if let Some(unknown) = unknown {
            errors.push(format!("/ground_contradictions/{index}/categories"), format!("`{unknown}` is none of `/values/category`"));
        }
    }
}

/// A statement that is being judged.
struct Judge<'s, 'a> {
    platform: &'s str,
    values: &'s Values<'a>,
    out: &'s mut Out<Rule>,
}

impl Judge<'_, '_> {
    fn find(&mut self, rule: Rule) -> ephor_sdk::evidence::Found<'_> {
        self.out.find(rule).with("platform", self.platform)
    }

    fn fields(&mut self, settings: &Settings) {
        let values = self.values;
        if !RESTRICTIONS.iter().any(|name| values.has(name)) {
            self.find(Rule::NoRestriction);
        }
        for name in settings.required.iter().filter(|name| !values.has(name)) {
            self.find(Rule::MissingField).with("field", name);
        }
        for Condition { field, value, requires } in settings.required_if.iter().filter(|it| values.says(&it.field, &it.value)) {
            for name in requires.iter().filter(|name| !values.has(name)) {
                self.find(Rule::MissingConditionalField).with("field", name).with("because", field).with("value", value);
            }
        }
        for (name, listed) in &settings.values {
            for value in values.all(name).iter().filter(|value| !listed.contains(value.as_ref())) {
                let shown: String = value.chars().take(SHOWN_CHARS).collect();
                self.find(Rule::UnknownValue).with("field", name).with("value", shown);
            }
        }
        for (name, &limit) in &settings.max_chars {
            for chars in values.all(name).iter().map(|value| value.chars().count()).filter(|chars| *chars > limit) {
                self.find(Rule::TooLong).with("field", name).with("chars", chars).with("limit", limit);
            }
        }
    }

    fn dates(&mut self, settings: &Settings) {
        let (content, application) = (self.date(CONTENT), self.date(APPLICATION));
        let ends = END_DATES.map(|name| (name, self.date(name)));
        let Some((application, shown)) = application else { return };
        let tolerance = i64::from(settings.date_tolerance_days);
        if let Some((content, content_shown)) = content {
            let days = application - content;
            if days < -tolerance {
                self.find(Rule::ApplicationBeforeContent).with("application", &shown).with("content", content_shown);
            } else if days > i64::from(settings.old_content_days) {
                self.find(Rule::OldContent).with("application", &shown).with("content", content_shown).with("days", days);
            }
        }
        for (name, end) in ends {
            let Some((_, end_shown)) = end.filter(|(end, _)| application - end > tolerance) else { continue };
            self.find(Rule::EndBeforeApplication).with("field", name).with("end", end_shown).with("application", &shown);
        }
    }

    /// The number of the day and its text; nothing if the field is missing or is no date.
    fn date(&mut self, name: &str) -> Option<(i64, String)> {
        let text = self.values.first(name)?.trim();
        let day = day(text);
        if day.is_none() {
            self.find(Rule::BadDate).with("field", name);
        }
        Some((day?, text.chars().take(10).collect()))
    }

    fn contradictions(&mut self, settings: &Settings) {
        let values = self.values;
        if values.says("automated_decision", "AUTOMATED_DECISION_NOT_AUTOMATED") {
            let said = EXPLANATIONS.iter().find_map(|name| Some((*name, phrase_in(values.first(name)?, &settings.automated_phrases)?)));
            if let Some((name, phrase)) = said {
                self.find(Rule::AutomationContradicted).with("field", name).with("phrase", phrase);
            }
        }
        let (Some(category), Some(ground)) = (values.first("category"), values.first("incompatible_content_ground")) else { return };
        for contradiction in settings.ground_contradictions.iter().filter(|it| it.categories.contains(category)) {
            if let Some(phrase) = phrase_in(ground, &contradiction.phrases) {
                self.find(Rule::GroundContradictsCategory).with("category", category).with("phrase", phrase);
            }
        }
    }
}

/// The first of the phrases, which are in lower case, that the text has.
fn phrase_in<'p>(text: &str, phrases: &'p [String]) -> Option<&'p str> {
    let text = text.to_lowercase();
    phrases.iter().find(|phrase| text.contains(phrase.as_str())).map(String::as_str)
}
