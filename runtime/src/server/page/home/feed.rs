//! The live feed: the latest entries, which a script goes on with as they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, PreEscaped, html};

use super::super::context::Context;
use super::super::parts::{self, Column};
use crate::ledger::entry::{Entry, Fault, Finding};
use crate::overview::Brief;
use crate::policy::Release;
use crate::server::log;
use crate::verdict::{Decision, Mode, strictest};

/// Entries that the page begins with.
const FIRST_SHOWN: usize = 40;

/// What is asked for: the same words as `GET /v1/verdicts` has.
struct Filter<'a> {
    verdict: Option<Decision>,
    policy: Option<&'a str>,
    subject: Option<&'a str>,
    source: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn of(context: &'a Context<'_>) -> Self {
        let verdict = context.asked("verdict");
        let verdict = Decision::ALL.into_iter().find(|decision| Some(decision.name()) == verdict);
        // By what may not be seen nothing can be found either.
        let of_all = context.viewer.is_whole();
        let asked = |name: &str| context.asked(name).filter(|_| of_all);
        let policy = context.asked("policy").filter(|policy| context.viewer.sees_policy(policy));
        Filter { verdict: verdict.filter(|_| of_all), policy, subject: asked("subject"), source: asked("source") }
    }

    fn takes(&self, brief: &Brief) -> bool {
        let names = |wanted: &str| {
            brief.findings.iter().map(|key| &*key.policy).chain(brief.faults.iter().map(|(policy, _)| &**policy)).any(|name| name == wanted)
        };
        self.verdict.is_none_or(|verdict| verdict == brief.verdict)
            && self.policy.is_none_or(names)
            && self.subject.is_none_or(|subject| brief.subject.as_deref() == Some(subject))
            && self.source.is_none_or(|source| &*brief.source == source)
    }
}

pub(super) async fn section(context: &Context<'_>) -> Markup {
    let filter = Filter::of(context);
    let rows = rows(context, &filter).await;
    let durable = *context.shared.runtime.durable().borrow();
    let body = html! {
        (filters(context, &filter))
        p.says.note { span.live-dot aria-hidden="true" {} span #feed-says { (context.text("feed.unscripted")) } }
        // Said now and then, not for each row: who hears the page could not follow.
        p.heard #feed-heard role="status" aria-live="polite" {}
        div.scroll tabindex="0" role="region" aria-label=(context.text("feed.title")) {
            // The roles are said because a narrow window shows rows otherwise than as rows.
            table #feed-table role="table" data-from=(durable + 1) {
                thead role="rowgroup" { tr role="row" {
                    @for column in [
                        Column::text(context.text("feed.when")),
                        Column::text(context.text("feed.verdict")),
                        Column::text(context.text("feed.said")),
                        Column::text(context.text("feed.subject")),
                        Column::text(context.text("feed.source")),
                        Column::number(context.text("feed.entry")),
                    ] { th scope="col" role="columnheader" class=[column.numeric.then_some("number")] { (column.name) } }
                } }
                tbody #feed-rows role="rowgroup" { @for row in &rows { (row) } }
            }
        }
        @if rows.is_empty() { div.unscripted { (parts::empty(context.text("feed.none"))) } }
        template #feed-badges { @for decision in Decision::ALL { (parts::verdict(context, decision)) } }
        (messages(context))
    };
    html! {
        section.card.feed id="feed" aria-labelledby="feed-title" {
            div.beside {
                h2 id="feed-title" { (context.text("feed.title")) }
                div.buttons.scripted { button #feed-pause type="button" aria-pressed="false" { (context.text("feed.pause")) } }
            }
            @if context.shared.runtime.log().is_some() { (body) } @else { (parts::empty(context.text("home.no-ledger"))) }
        }
    }
}

/// A form that works by itself; the script takes it over.
fn filters(context: &Context<'_>, filter: &Filter<'_>) -> Markup {
    let standing = context.shared.runtime.policies();
    let mut names: Vec<&str> = standing.iter().map(|one| one.release.policy()).filter(|name| context.viewer.sees_policy(name)).collect();
    names.dedup();
    // One that is in force no more can still be asked for.
    if let Some(asked) = filter.policy.filter(|asked| !names.contains(asked)) {
        names.push(asked);
    }
    html! {
        form.filters #feed-filters method="get" action="/#feed" {
            label.field { (context.text("feed.verdict"))
                select name="verdict" {
                    option value="" { (context.text("feed.any")) }
                    @for decision in Decision::ALL {
                        option value=(decision.name()) selected[filter.verdict == Some(decision)] { (parts::verdict_word(context, decision)) }
                    }
                }
            }
            label.field { (context.text("feed.policy"))
                select name="policy" {
                    option value="" { (context.text("feed.any")) }
                    @for name in &names { option value=(name) selected[filter.policy == Some(*name)] { (name) } }
                }
            }
            label.field { (context.text("feed.subject")) input name="subject" value=(filter.subject.unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            label.field { (context.text("feed.source")) input name="source" value=(filter.source.unwrap_or_default()) autocomplete="off" spellcheck="false"; }
            div.buttons {
                button type="submit" { (context.text("feed.filter")) }
                a.button href="/#feed" id="feed-clear" { (context.text("feed.clear")) }
            }
        }
    }
}

/// The latest entries with findings or faults, the latest first, as they stand in the
/// ledger.
async fn rows(context: &Context<'_>, filter: &Filter<'_>) -> Vec<Markup> {
    let Some(overview) = &context.shared.overview else { return Vec::new() };
    let mut sequences: Vec<u64> = overview
        .look(|sums| sums.latest.iter().rev().filter(|brief| filter.takes(brief)).take(FIRST_SHOWN).map(|brief| brief.sequence).collect());
    sequences.reverse();
    let Ok(log) = log::of(context.shared) else { return Vec::new() };
    let lines = log::blocking(log, move |log| {
        let mut lines = Vec::with_capacity(sequences.len());
        log.read_many(&sequences, |_, line| lines.push(line.to_string()))?;
        Ok(lines)
    });
    let lines = lines.await.unwrap_or_default();
    let releases: BTreeMap<String, Arc<Release>> =
        context.shared.runtime.policies().into_iter().map(|one| (one.release.policy().to_string(), one.release)).collect();
    let row = |line: &String| Entry::parse(line.as_bytes()).ok().map(|entry| row(context, &releases, &entry));
    lines.iter().rev().filter_map(row).flatten().collect()
}

/// What a release said, in an entry of an event or of a timer.
struct Said<'e> {
    policy: &'e str,
    mode: Mode,
    findings: &'e [Finding<'e>],
    fault: Option<&'e Fault<'e>>,
}

/// The verdict that these alone would give, for who may not know of the others.
fn alone(said: &[Said<'_>]) -> Decision {
    let counted = || said.iter().filter(|said| said.mode.counts());
    let found = counted().flat_map(|said| said.findings).map(|finding| finding.action);
    strictest(found, counted().any(|said| said.fault.is_some()))
}

/// A row of the feed; none for an entry that nobody gave a verdict in, or in which
/// the viewer may see nothing.
fn row(context: &Context<'_>, releases: &BTreeMap<String, Arc<Release>>, entry: &Entry<'_>) -> Option<Markup> {
    let (at, verdict, source, subject, mut said) = match entry {
        Entry::Event(event) => {
            let said = event.asked.iter().map(|asked| Said {
                policy: &asked.policy,
                mode: asked.mode,
                findings: &asked.findings,
                fault: asked.fault.as_ref(),
            });
            (event.arrived, event.verdict, &*event.source, event.subject.as_deref(), said.collect::<Vec<_>>())
        }
        Entry::Timer(_, timer) => {
            let said = Said { policy: &timer.policy, mode: timer.mode, findings: &timer.findings, fault: timer.fault.as_ref() };
            (timer.arrived, timer.verdict, &*timer.source, None, vec![said])
        }
        _ => return None,
    };
    let is_whole = context.viewer.is_whole();
    said.retain(|said| context.viewer.sees_policy(said.policy) && (!said.findings.is_empty() || said.fault.is_some()));
    if said.is_empty() && !is_whole {
        return None;
    }
    // Whom an event is about is a field like others, which a publisher may not be granted.
    let subject = subject.filter(|_| is_whole);
    let verdict = if is_whole { verdict } else { alone(&said) };
    let sequence = entry.sequence();
    Some(html! {
        tr role="row" {
            td.when role="cell" { (parts::time_micros(at.micros())) }
            td.verdict role="cell" { (parts::verdict(context, verdict)) }
            td.said role="cell" {
                @for said in &said {
                    @for finding in said.findings {
                        p {
                            (parts::says(context.language, releases.get(said.policy).map(|release| &**release), finding))
                            " " span.note { (parts::policy(said.policy)) " · " (*finding.rule) " " (parts::mode(context, said.mode)) }
                        }
                    }
                    @if let Some(fault) = said.fault {
                        p { (context.text_with("feed.fault", &[("kind", fault.kind.name())])) " " span.note { (parts::policy(said.policy)) } }
                    }
                }
            }
            td.subject role="cell" { @if let Some(subject) = subject { (parts::subject(source, subject)) } }
            td.source role="cell" { @if is_whole { (source) } }
            td.number role="cell" { (parts::event(sequence)) }
        }
    })
}

/// What rules say in the viewer's language, for the script: by policy and rule.
fn messages(context: &Context<'_>) -> Markup {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for one in context.shared.runtime.policies().iter().filter(|one| context.viewer.sees_policy(one.release.policy())) {
        for rule in &one.release.manifest.rules {
            let own = rule.messages.iter().find(|message| parts::is_in(context.language, &message.language));
            if let Some(own) = own {
                all.entry(one.release.policy().to_string()).or_default().insert(rule.id.clone(), own.text.clone());
            }
        }
    }
    let json = serde_json::to_string(&all).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" id="feed-messages" { (PreEscaped(json)) } }
}
