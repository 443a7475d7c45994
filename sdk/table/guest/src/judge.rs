//! A configured policy: settings read, what depends on nothing else computed once.

use std::borrow::Cow;

use ephor_sdk::reference::{self, Ask, List};
use ephor_sdk::serde_json;
use ephor_sdk::wit::ephor::policy::evaluation::{Batch, ChangedState, Evidence, Finding, Outcome, Undecided};
use ephor_sdk::wit::ephor::policy::settings::SettingsError;
use ephor_table::program::{Call, Expr, Kind, Measure, Program, Rule, Setting};

use crate::columns::Columns;
use crate::eval::{Fault, Scope};
use crate::value::Value;
use crate::windows::{Added, Memories};
use crate::words::Words;

/// A policy that can judge.
pub struct Judge {
    program: Program,
    settings: Vec<Value<'static>>,
    constants: Vec<Value<'static>>,
    words: Vec<(Expr, bool, Words)>,
    /// What rows will look up, where their fields alone say it.
    asked: Vec<Expr>,
}

impl Judge {
    /// Takes the settings.
    ///
    /// # Errors
    ///
    /// Every problem of them.
    pub fn new(mut program: Program, document: &str) -> Result<Self, Vec<SettingsError>> {
        let settings = settings(&program, document)?;
        let mut constants = Vec::new();
        let mut asked = Vec::new();
        let mut words = Vec::new();
        {
            let mut fold = |expr: &mut Expr| {
                fold(expr, &settings, &mut constants);
                searched(expr, &settings, &constants, &mut words);
            };
            for window in &mut program.windows {
                window.when.iter_mut().for_each(&mut fold);
                match &mut window.measure {
                    Measure::Count => {}
                    Measure::Sum(of) | Measure::Distinct(of) => fold(of),
                }
            }
            for rule in &mut program.rules {
                rule.for_each.iter_mut().chain(&mut rule.when).for_each(&mut fold);
                rule.evidence.iter_mut().for_each(|(_, expr)| fold(expr));
            }
        }
        for rule in &program.rules {
            let all = rule.for_each.iter().chain(&rule.when).chain(rule.evidence.iter().map(|(_, expr)| expr));
            all.for_each(|expr| look_ups(expr, &mut asked));
        }
        Ok(Self { program, settings, constants, words, asked })
    }

    /// Judges a batch, row by row.
    ///
    /// # Panics
    ///
    /// If the batch is not as the contract says.
    pub fn evaluate(&self, batch: &Batch) -> Outcome {
        let columns = Columns::of(&batch.columns);
        let rows = batch.rows as usize;
        let has_lists = !self.program.lists.is_empty();
        let _answers = has_lists.then(|| self.look_up(&columns, rows));
        let mut outcome = Outcome { findings: Vec::new(), undecided: Vec::new(), states: Vec::new(), timers: Vec::new() };
        let states = batch.keys.as_ref().map_or(&[][..], |keys| &keys.states);
        let mut now: Vec<_> = states.iter().map(|state| Memories::decode(&self.program, state.as_deref())).collect();
        for row in 0..batch.rows {
            if has_lists {
                reference::turn_to(row);
            }
            let memory = batch.keys.as_ref().map(|keys| &mut now[keys.of_row[row as usize] as usize]);
            let before = outcome.findings.len();
            if let Err(reason) = self.judge(&columns, row, memory, &mut outcome.findings) {
                outcome.findings.truncate(before);
                outcome.undecided.push(Undecided { row, reason });
            }
        }
        for (key, (before, now)) in (0_u32..).zip(states.iter().zip(&now)) {
            if let Ok(now) = now {
                let state = now.encode(&self.program);
                if state != *before {
                    outcome.states.push(ChangedState { key, state });
                }
            }
        }
        outcome
    }

    /// Judges a row. Nothing is remembered of one that is undecided.
    fn judge(
        &self,
        columns: &Columns<'_>,
        row: u32,
        memory: Option<&mut Result<Memories, String>>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        let Some(memory) = memory else {
            return self.rules(&self.scope(columns, row, &[]), row, findings);
        };
        let mut next = memory.clone().map_err(|problem| format!("the state of the key cannot be read: {problem}"))?;
        let windows = self.windows(columns, row, &mut next)?;
        self.rules(&self.scope(columns, row, &windows), row, findings)?;
        *memory = Ok(next);
        Ok(())
    }

    fn scope<'a>(&'a self, columns: &'a Columns<'a>, row: u32, windows: &'a [Result<Value<'a>, Fault>]) -> Scope<'a> {
        Scope { settings: &self.settings, constants: &self.constants, words: &self.words, row: Some((columns, row as usize)), windows }
    }

    /// Puts the row into the windows that it counts in.
    fn windows<'a>(&'a self, columns: &'a Columns<'a>, row: u32, memory: &mut Memories) -> Result<Vec<Result<Value<'a>, Fault>>, String> {
        let scope = self.scope(columns, row, &[]);
        let mut windows = Vec::with_capacity(self.program.windows.len());
        for (index, window) in (0_u16..).zip(&self.program.windows) {
            // What cannot be counted would be missing later on, when nobody sees it.
            let added = || -> Result<(i64, Added), Fault> {
                let Value::Time(at) = scope.eval(&Expr::Field(window.at), &mut Vec::new())? else { return Err(Fault::Missing(window.at)) };
                let counts = window.when.as_ref().map_or(Ok(true), |when| scope.condition(when, &mut Vec::new()))?;
                let of = match &window.measure {
                    _ if !counts => return Ok((at, Added::Nothing)),
                    Measure::Count => return Ok((at, Added::One)),
                    Measure::Sum(of) | Measure::Distinct(of) => scope.eval(of, &mut Vec::new())?,
                };
                Ok((at, if let Value::Integer(number) = of { Added::Number(number) } else { Added::Text(of.text().into_owned()) }))
            };
            let seen = added().map(|(at, added)| memory.see(&self.program, index, at, added));
            match seen {
                Ok(Err(fault @ Fault::Number(_))) | Err(fault) => {
                    return Err(format!("window {}: {}", window.name, fault.reason(&self.program)));
                }
                Ok(seen) => windows.push(seen),
            }
        }
        Ok(windows)
    }

    fn rules<'a>(&'a self, scope: &Scope<'a>, row: u32, findings: &mut Vec<Finding>) -> Result<(), String> {
        for (index, rule) in (0_u16..).zip(&self.program.rules) {
            self.rule(scope, row, index, rule, findings).map_err(|fault| format!("rule {}: {}", rule.id, fault.reason(&self.program)))?;
        }
        Ok(())
    }

    fn rule<'a>(&'a self, scope: &Scope<'a>, row: u32, index: u16, rule: &'a Rule, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        let mut variables = Vec::new();
        let mut find = |variables: &mut Vec<Value<'a>>| -> Result<(), Fault> {
            if let Some(when) = &rule.when
                && !scope.condition(when, variables)?
            {
                return Ok(());
            }
            let mut evidence = Vec::with_capacity(rule.evidence.len());
            for (name, expr) in &rule.evidence {
                let value = scope.eval(expr, variables)?.text().into_owned();
                evidence.push(Evidence { name: name.clone(), value });
            }
            findings.push(Finding { row, rule: index, evidence });
            Ok(())
        };
        let Some(for_each) = &rule.for_each else { return find(&mut variables) };
        if let Value::List(list) = scope.eval(for_each, &mut variables)? {
            for value in list.iter() {
                variables.push(value.clone());
                find(&mut variables)?;
                variables.clear();
            }
        }
        Ok(())
    }

    /// Looks up for all rows at once what their fields alone say.
    fn look_up(&self, columns: &Columns<'_>, rows: usize) -> impl Drop + use<> {
        let mut ask = Ask::default();
        for row in 0..rows {
            ask.turn_to(row);
            let scope = self.scope(columns, row as u32, &[]);
            for expr in &self.asked {
                let (Expr::ListContains(list, key) | Expr::ListGet(list, key)) = expr else { continue };
                // Where the key has a fault, the rule says so if it comes to that.
                let Ok(key) = scope.eval(key, &mut Vec::new()) else { continue };
                match expr {
                    Expr::ListGet(..) => ask.get(List::nth(*list), &key.text()),
                    _ => ask.contains(List::nth(*list), &key.text()),
                }
            }
        }
        ask.answered(rows)
    }
}

fn settings(program: &Program, document: &str) -> Result<Vec<Value<'static>>, Vec<SettingsError>> {
    let error = |pointer: String, message: String| SettingsError { pointer, message };
    let document: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(document).map_err(|problem| vec![error(String::new(), problem.to_string())])?;
    let mut errors = Vec::new();
    for name in document.keys().filter(|name| !program.settings.iter().any(|setting| setting.name == **name)) {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        errors.push(error(pointer, "there is no such setting".to_owned()));
    }
    let mut values = Vec::with_capacity(program.settings.len());
    for setting in &program.settings {
        let pointer = format!("/{}", setting.name);
        match of_setting(setting, document.get(&setting.name)) {
            Ok(value) => {
                if let Some((must, otherwise)) = &setting.must {
                    let scope = Scope { settings: &[], constants: &[], words: &[], row: None, windows: &[] };
                    if scope.condition(must, &mut vec![value.clone()]) != Ok(true) {
                        errors.push(error(pointer, otherwise.clone()));
                    }
                }
                values.push(value);
            }
            Err(problem) => errors.push(error(pointer, problem.to_owned())),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn of_setting(setting: &Setting, given: Option<&serde_json::Value>) -> Result<Value<'static>, &'static str> {
    let Some(given) = given else {
        return match &setting.default {
            Some(default) => constant(default).ok_or("the default is no constant"),
            None => Err("is missing"),
        };
    };
    let scalar = |given: &serde_json::Value| match setting.kind {
        Kind::Boolean => given.as_bool().map(Value::Boolean),
        Kind::Integer => given.as_i64().map(Value::Integer),
        Kind::Float => given.as_f64().map(Value::Float),
        Kind::Text | Kind::Time => given.as_str().map(|text| Value::Text(Cow::Owned(text.to_owned()))),
    };
    let value = match (setting.is_list, given) {
        (true, serde_json::Value::Array(items)) => items.iter().map(scalar).collect::<Option<_>>().map(Value::list),
        (true, _) => None,
        (false, given) => scalar(given),
    };
    value.ok_or("is of another type")
}

/// The value of an expression that is one.
fn constant(expr: &Expr) -> Option<Value<'static>> {
    Some(match expr {
        Expr::Boolean(value) => Value::Boolean(*value),
        Expr::Integer(value) => Value::Integer(*value),
        Expr::Float(value) => Value::Float(*value),
        Expr::Text(value) => Value::Text(Cow::Owned(value.clone())),
        Expr::List(values) => Value::list(values.iter().map(constant).collect::<Option<_>>()?),
        _ => return None,
    })
}

/// The expressions right below one.
fn below(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Not(one) | Expr::Negative(one) | Expr::ListContains(_, one) | Expr::ListGet(_, one) => vec![one],
        Expr::And(one, other) | Expr::Or(one, other) | Expr::Binary(_, one, other) | Expr::Loop(_, one, other) => vec![one, other],
        Expr::If(one, two, three) => vec![one, two, three],
        Expr::List(all) | Expr::Call(_, all) => all.iter_mut().collect(),
        _ => Vec::new(),
    }
}

/// Whether an expression is the same for every event and every value of a loop.
fn is_constant(expr: &mut Expr) -> bool {
    let varies =
        matches!(expr, Expr::Field(_) | Expr::Has(_) | Expr::Window(_) | Expr::Variable(_) | Expr::ListContains(..) | Expr::ListGet(..));
    !varies && below(expr).into_iter().all(is_constant)
}

/// Computes what is constant in an expression. What has a fault stays, and has it again
/// when it is come to.
fn fold(expr: &mut Expr, settings: &[Value<'static>], constants: &mut Vec<Value<'static>>) {
    let is_simple =
        matches!(expr, Expr::Boolean(_) | Expr::Integer(_) | Expr::Float(_) | Expr::Text(_) | Expr::Time(_) | Expr::Duration(_));
    if is_simple || matches!(expr, Expr::Setting(_) | Expr::Constant(_)) {
        return;
    }
    if is_constant(expr) && constants.len() < usize::from(u16::MAX) {
        let scope = Scope { settings, constants, words: &[], row: None, windows: &[] };
        if let Ok(value) = scope.eval(expr, &mut Vec::new()) {
            let value = owned(&value);
            *expr = Expr::Constant(constants.len() as u16);
            constants.push(value);
            return;
        }
    }
    below(expr).into_iter().for_each(|expr| fold(expr, settings, constants));
}

/// Makes what texts are searched for, where that is known.
fn searched(expr: &mut Expr, settings: &[Value<'static>], constants: &[Value<'static>], found: &mut Vec<(Expr, bool, Words)>) {
    if let Expr::Call(call @ (Call::HasWord | Call::ListedWords | Call::ListedWholeWords), arguments) = &*expr {
        let whole = *call == Call::ListedWholeWords;
        let text;
        let value = match &arguments[1] {
            Expr::Setting(index) => Some(&settings[usize::from(*index)]),
            Expr::Constant(index) => Some(&constants[usize::from(*index)]),
            Expr::Text(word) => {
                text = Value::Text(Cow::Borrowed(word));
                Some(&text)
            }
            _ => None,
        };
        let is_new = !found.iter().any(|(known, is_whole, _)| *known == arguments[1] && *is_whole == whole);
        if let Some(value) = value.filter(|_| is_new) {
            found.push((arguments[1].clone(), whole, Words::of(value, whole)));
        }
    }
    below(expr).into_iter().for_each(|expr| searched(expr, settings, constants, found));
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Boolean(value) => Value::Boolean(*value),
        Value::Integer(value) => Value::Integer(*value),
        Value::AtLeast(value) => Value::AtLeast(*value),
        Value::Float(value) => Value::Float(*value),
        Value::Text(value) => Value::Text(Cow::Owned(value.clone().into_owned())),
        Value::Time(value) => Value::Time(*value),
        Value::Duration(value) => Value::Duration(*value),
        Value::List(values) => Value::list(values.iter().map(owned).collect()),
    }
}

/// The look-ups in an expression whose keys are made of fields and settings.
fn look_ups(expr: &Expr, found: &mut Vec<Expr>) {
    let mut copy = expr.clone();
    if let Expr::ListContains(_, key) | Expr::ListGet(_, key) = &mut copy
        && goes_by_fields(key)
    {
        if !found.contains(expr) {
            found.push(expr.clone());
        }
        return;
    }
    below(&mut copy).into_iter().for_each(|expr| look_ups(expr, found));
}

fn goes_by_fields(expr: &mut Expr) -> bool {
    let varies = matches!(expr, Expr::Window(_) | Expr::Variable(_) | Expr::ListContains(..) | Expr::ListGet(..));
    !varies && below(expr).into_iter().all(goes_by_fields)
}
