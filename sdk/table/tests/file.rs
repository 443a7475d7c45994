//! Files of rules: what is wrong in them is said with its place and with what to do.

#![cfg(feature = "author")]

use ephor_table::author::compile;

const GOOD: &str = r#"name = "large-orders"
version = "0.1.0"
summary = "Flags large orders."
events = ["shop.order.*"]
lists = ["sanctions"]

[[field]]
name = "merchant"
pointer = "/data/merchant"
kind = "text"
purpose = "count by merchant"

[[field]]
name = "amount"
pointer = "/data/amount"
kind = "float"
optional = true
purpose = "compare amounts"

[[field]]
name = "time"
pointer = "/time"
kind = "time"
purpose = "count by the hour"

[settings.limit]
kind = "integer"
about = "Most orders in an hour."
default = 3

[settings.words]
kind = "list of text"
about = "Words."
must = "value.size() > 0"
otherwise = "expected a word"

[key]
fields = ["merchant"]

[[window]]
name = "orders"
kind = "count"
over = "1h"

[[window]]
name = "cents"
kind = "sum"
of = "event.amount.minorUnits(2)"
when = "has(event.amount)"
over = "24h"
shape = "tumbling"

[[rule]]
id = "many"
action = "flag"
severity = "low"
legal_basis = "An act, article 1"
message.en = "{n} orders of {merchant}"
message.zh = "{merchant} 有 {n} 个订单"
when = '''
windows.orders > settings.limit
  && !lists.sanctions.contains(event.merchant)'''
evidence.n = "windows.orders"
evidence.merchant = "event.merchant"
"#;

/// What is said about the file with one part replaced.
#[track_caller]
fn said(right: &str, wrong: &str) -> Vec<String> {
    assert!(GOOD.contains(right), "{right}");
    let text = GOOD.replacen(right, wrong, 1);
    compile(&text).expect_err(wrong).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_said(right: &str, wrong: &str, expected: &str) {
    assert_eq!(said(right, wrong), [expected], "{wrong}");
}

#[test]
fn a_good_file_is_a_program() {
    let program = compile(GOOD).expect("good");
    assert_eq!(program.windows.len(), 2);
    assert_eq!(program.keyed.as_ref().map(|keyed| keyed.key.clone()), Some(vec![0]));
    let names: Vec<&str> = program.rules[0].evidence.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["n", "merchant"], "in the order of the file");
    assert_eq!(program.rules[0].messages[0].0, "en");
    let schema: serde_json::Value = serde_json::from_str(&program.settings_schema).expect("JSON");
    assert_eq!(schema["required"], serde_json::json!(["words"]));
    assert_eq!(schema["properties"]["limit"]["default"], 3);
    assert_eq!(schema["properties"]["words"]["description"], "Words.");
    let bytes = program.to_bytes().expect("bytes");
    assert_eq!(ephor_table::program::Program::of_bytes(&bytes).expect("read"), program);
    assert!(ephor_table::program::Program::of_bytes(&[&bytes[..], b"x"].concat()).is_err());
}

#[test]
fn unknown_names_are_said_with_the_nearest() {
    assert_said(
        "contains(event.merchant)",
        "contain(event.merchant)",
        "62:23: a reference list has no function `contain`; did you mean `contains`?",
    );
    assert_said(
        "windows.orders > ",
        "size(event.merchant.upperAsci()) > ",
        "61:21: there is no function `upperAsci`; did you mean `upperAscii`?",
    );
    assert_said(
        "windows.orders > settings.limit\n",
        "event.merchant.matches('x')\n",
        "61:16: there is no function `matches`; regular expressions are left out, for their cost has no bound; take contains, startsWith, endsWith or hasWord",
    );
    assert_said("windows.orders >", "windows.order >", "61:9: there is no window `order`; did you mean `orders`?");
    assert_said("\"event.merchant\"", "\"event.mechant\"", "64:28: there is no field `mechant`; did you mean `merchant`?");
    assert_said("\"event.merchant\"", "\"merchant\"", "64:22: nothing is called `merchant`; did you mean `event.merchant`?");
    assert_said("> settings.limit\n", "> settings.limits\n", "61:27: there is no setting `limits`; did you mean `limit`?");
    assert_said("lists.sanctions", "lists.sanction", "62:13: there is no list `sanction`; did you mean `sanctions`?");
}

#[test]
fn types_that_do_not_fit_are_said_at_their_place() {
    assert_said(
        "windows.orders > settings.limit\n",
        "windows.orders + settings.limit\n",
        "61:1: this is of type integer, not boolean; both sides of `&&` are conditions",
    );
    assert_said(
        "windows.orders > settings.limit\n",
        "windows.orders > 'three'\n",
        "61:16: `>` does not take integer and text; compare numbers, texts, times or durations with each other",
    );
    assert_said(
        "when = \"has(event.amount)\"",
        "when = \"event.amount\"",
        "49:9: this is of type float, not boolean; `when` is a condition",
    );
    assert_said(
        "of = \"event.amount.minorUnits(2)\"",
        "of = \"event.amount\"",
        "48:7: this is of type float, not integer; sums are of integers, which have no rounding; event.amount.minorUnits(2) makes cents of a float",
    );
    assert_said(
        "minorUnits(2)",
        "minorUnits('2')",
        "48:20: `minorUnits` does not take float, text; it is called as float.minorUnits(integer)",
    );
    assert_said(
        "value.size()",
        "value.size",
        "34:15: there is nothing called `size` in this value; only event, settings, lists and windows have names; a function is `size()`",
    );
    assert_said(
        "\"windows.orders\"",
        "\"settings.words\"",
        "63:15: this is of type list of text, not boolean or integer or float or text or time or duration; evidence is one value; for a list, make a finding of each with `for_each`",
    );
    let escaped = said("evidence.n = \"windows.orders\"", r#"evidence.n = "'\u4e2d' + windows.orders""#);
    assert_eq!(
        escaped,
        ["63:24: `+` does not take text and integer; take values of one type; string(…), int(…) and double(…) make one of another"]
    );
}

#[test]
fn what_is_missing_or_too_much_is_said() {
    assert_said(
        "legal_basis = \"An act, article 1\"\n",
        "",
        "53:1: missing field `legal_basis`; name the act and the article that the rule carries out: legal_basis = \"…\"",
    );
    assert_said("An act, article 1", " ", "57:15: this text is empty; name the act and the article that the rule carries out");
    assert_said(
        "purpose = \"compare amounts\"\n",
        "",
        "13:1: missing field `purpose`; say why the policy needs the field, in one sentence",
    );
    // With its language it is one text of the manifest, which has at most 2,048 bytes.
    let long = said("{n} orders", &format!("{{n}} {} orders", "x".repeat(2_047 - "{n}  orders of {merchant}".len())));
    assert_eq!(long, ["58:14: this text and its language have 2049 bytes, at most 2048; shorten it"]);
    assert_eq!(said("version = \"0.1.0\"", &format!("version = \"0.1.0-{}\"", "x".repeat(60))).len(), 1);
    assert!(said("severity = \"low\"", "severity = \"mild\"")[0].starts_with("56:12: unknown variant `mild`, expected one of `low`"));
    assert!(said("severity = \"low\"", "sevrity = \"low\"")[0].starts_with("56:1: unknown field `sevrity`, expected one of"));
    assert!(said("kind = \"float\"", "kind = 3")[0].starts_with("16:8: "));
    assert_said(
        "[key]\nfields = [\"merchant\"]\n",
        "",
        "39:8: windows need a key; add a [key] with the fields that events are kept by: fields = [\"merchant\"]",
    );
    assert_said(
        "fields = [\"merchant\"]",
        "fields = [\"amount\"]",
        "38:11: a field of the key must always be there; remove `optional` from the field",
    );
    assert_eq!(
        said("{n} orders", "{m} orders"),
        [
            "58:16: the rule has no evidence \"m\"; did you mean {n}?",
            "59:14: the messages in en and zh name different evidence; name the same in all languages",
        ]
    );
    assert_said("over = \"1h\"", "over = \"1d\"", "43:8: \"1d\" is no duration; a day is written as \"24h\", a week as \"168h\"");
    assert_said("default = 3", "default = \"3\"", "29:11: the default is of another kind than the setting; write one of that kind");
    let problems = said("name = \"merchant\"", "name = \"Merchant\"");
    assert!(problems[0].starts_with("8:8: \"Merchant\" is no name of a field; write a lower-case letter"), "{problems:?}");
}

#[test]
fn all_problems_come_at_once_and_in_order() {
    let text = GOOD.replace("summary = \"Flags large orders.\"", "summary = \"\"").replace("> settings.limit", "> settings.limt");
    let problems = compile(&text).expect_err("two problems");
    assert_eq!(problems.iter().map(|problem| (problem.line(), problem.column())).collect::<Vec<_>>(), [(3, 11), (61, 27)]);
}

#[test]
fn lists_with_hyphens_have_a_name_in_expressions() {
    let text = GOOD.replace("\"sanctions\"", "\"us-sanctions\"").replace("lists.sanctions", "lists.us_sanctions");
    assert_eq!(compile(&text).expect("good").lists, ["us-sanctions"]);
}

#[test]
fn settings_are_looked_at_one_by_one() {
    assert_said(
        "value.size() > 0",
        "value.size() > settings.limit",
        "34:33: a setting is looked at by itself; take `value`, which is what the settings say",
    );
    assert_said(
        "value.size() > 0",
        "value.size() > event.amount",
        "34:30: settings are looked at before there is an event; take `value`, which is what the settings say",
    );
}

#[test]
fn a_policy_has_bounds() {
    let events: Vec<String> = (0..65).map(|number| format!("\"shop.order.{number}\"")).collect();
    let problems = said("[\"shop.order.*\"]", &format!("[\n{}\n]", events.join(",\n")));
    assert_eq!(problems, ["69:1: a policy has at most 64 event types; make two policies of them"]);
}

#[test]
fn names_are_given_once() {
    let twice = GOOD.replace("id = \"many\"", "id = \"many\"\n#")
        + "\n[[rule]]\nid = \"many\"\naction = \"deny\"\nseverity = \"low\"\nlegal_basis = \"x\"\nmessage.en = \"x\"\nwhen = \"true\"\n";
    let problems = compile(&twice).expect_err("a rule twice");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what().contains("before"), "{}", problems[0]);
}
