//! What is made of the parser: completions and manual pages.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

use ephor_tests::data;

use crate::cli::{assert_exit, ephor, out};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

/// Every verb as it is called, from `ephor` itself on, as the help has them.
fn verbs() -> Vec<Vec<String>> {
    let mut found = vec![Vec::new()];
    let mut at = 0;
    while let Some(verb) = found.get(at).cloned() {
        for name in verbs_below(&verb) {
            found.push([verb.clone(), vec![name]].concat());
        }
        at += 1;
    }
    found
}

fn verbs_below(verb: &[String]) -> Vec<String> {
    let args: Vec<&str> = verb.iter().map(String::as_str).chain(["-h"]).collect();
    let help = out(&ephor(&args));
    let (_, list) = help.split_once("\nCommands:\n").unwrap_or_default();
    let lines = list.lines().take_while(|line| !line.is_empty());
    // Lines that begin further to the right go on with what a verb does.
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_string).collect()
}

#[test]
fn every_shell_gets_completions() {
    for shell in SHELLS {
        let script = ephor(&["completions", shell]);
        assert_exit(&script, 0);
        for name in ["serve", "policy", "watch", "completions"] {
            assert!(out(&script).contains(name), "{name} for {shell}");
        }
    }
    let refused = ephor(&["completions", "no-such-shell"]);
    assert_exit(&refused, 2);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(SHELLS.iter().all(|shell| why.contains(shell)), "{why}");
}

/// Runs a line of bash with these arguments; nothing where there is no bash.
fn bash(script: &str, args: &[&str]) -> Option<Output> {
    match Command::new("bash").args(["--noprofile", "--norc", "-c", script, "bash"]).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            data::left_out("completions in bash", "there is no bash here");
            None
        }
        Err(error) => panic!("bash: {error}"),
    }
}

#[test]
fn bash_completes_verbs_and_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ephor.bash");
    std::fs::write(&file, ephor(&["completions", "bash"]).stdout).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let Some(read) = bash("bash -n \"$1\"", &[file]) else { return };
    assert_exit(&read, 0);
    // As bash does it when somebody presses the tabulator behind the last word.
    let complete = "source \"$1\"; word=$2; before=$3; shift 3; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
        _ephor ephor \"$word\" \"$before\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (words, expected) in
        [(&["ephor", "pol"][..], "policy"), (&["ephor", "policy", "wa"], "watch"), (&["ephor", "serve", "--poli"], "--policies")]
    {
        let &[.., before, word] = words else { panic!("two words or more") };
        let completed = bash(complete, &[&[file, word, before], words].concat()).expect("bash was there");
        assert_exit(&completed, 0);
        assert_eq!(out(&completed).trim(), expected, "{words:?}");
    }
}

#[test]
fn every_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("share/man1");
    let verbs = verbs();
    assert!(verbs.len() > 30 && verbs.iter().any(|verb| verb[..] == ["policy", "watch"]), "{verbs:?}");
    // Twice: a later version writes over the pages of an earlier one.
    for _ in 0..2 {
        let made = ephor(&["man", "--out", pages.to_str().expect("a path in UTF-8")]);
        assert_exit(&made, 0);
        assert!(out(&made).starts_with(&format!("{} manual pages in ", verbs.len())), "{}", out(&made));
    }
    let found: BTreeSet<String> = std::fs::read_dir(&pages)
        .expect("the pages")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    let expected: BTreeSet<String> = verbs.iter().map(|verb| format!("{}.1", called(verb, "-"))).collect();
    assert_eq!(found, expected);
    let help = out(&ephor(&["-h"]));
    let (_, exits) = help.split_once("Exit codes:\n").expect("exit codes in the help");
    for verb in &verbs {
        let (name, usage) = (called(verb, "-"), called(verb, " "));
        let page = page(&pages.join(format!("{name}.1")));
        let title = format!(".TH {name} 1 \"\" \"ephor {}\" Ephor\n", env!("CARGO_PKG_VERSION"));
        let (about, synopsis) = (format!(".SH NAME\n{name} - "), format!(".SH SYNOPSIS\n\\fB{usage}\\fR "));
        for part in [title.as_str(), about.as_str(), synopsis.as_str(), ".SH \"EXIT STATUS\"\n"] {
            assert!(page.contains(part), "{part:?} in\n{page}");
        }
        for (code, meaning) in exits.lines().filter_map(|line| line.trim().split_once("  ")) {
            assert!(page.contains(&format!(".TP\n{code}\n{meaning}")), "exit code {code}, {meaning}, in\n{page}");
        }
    }
}

/// A verb with `ephor` before it.
fn called(verb: &[String], separator: &str) -> String {
    let words: Vec<&str> = ["ephor"].into_iter().chain(verb.iter().map(String::as_str)).collect();
    words.join(separator)
}

/// A page, with the letters that have a meaning of their own in its format as they are read.
fn page(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.replace("\\-", "-").replace("\\*(Aq", "'")
}
