//! A policy as a file of rules, for whoever has no compiler.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Answers, Args, Folder, NO_LEGAL_BASIS, PLAIN, TO_DO, Values, check_unused};
use crate::cli::exit::Outcome;
use crate::cli::policy_table::RULES;

/// The vectors are those of the policy in Rust that judges in the same way.
pub(super) const FILES: &[(&str, &str)] = &[
    (RULES, include_str!("table/rules.toml.in")),
    ("settings.json", include_str!("plain/settings.json.in")),
    ("vectors/above.json", include_str!("plain/above.json.in")),
    ("vectors/within.json", include_str!("plain/within.json.in")),
    ("vectors/unreadable.json", include_str!("plain/unreadable.json.in")),
    ("README.md", include_str!("table/README.md.in")),
    (".gitignore", include_str!("gitignore.in")),
];

pub(super) fn run(args: &Args) -> Outcome {
    let folder = args.into.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    check_unused(&folder)?;
    let answers = Answers::of(args, &PLAIN)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let folder = Folder::of(folder)?;
    let values = Values::of(&args.name, &answers, "", &folder.path, None);
    for (path, template) in FILES {
        folder.write(path, values.fill(template).as_bytes())?;
    }
    println!("{} is a policy now, with vectors that it passes. In {}:\n", args.name, folder.shown.display());
    for (path, about) in [
        (RULES, "what it sees, what it can find, and when"),
        ("settings.json", "what its publisher decides"),
        ("vectors/", "events, and what it says about each"),
        ("README.md", "the rule in prose, and its legal source"),
    ] {
        println!("  {path:<18}{about}");
    }
    println!("\nNext:\n\n  cd {}", folder.shown.display());
    for (command, about) in
        [("ephor policy build", "makes the component, in target/policies"), ("ephor policy test", "runs the vectors against it")]
    {
        println!("  {command:<20}{about}");
    }
    let places = if answers.legal_basis == NO_LEGAL_BASIS { "README.md and rules.toml" } else { "README.md" };
    println!("\n{TO_DO} in {places} marks what only you can say: the rule, and the law behind it.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_good_whatever_the_texts_are() {
        let text = r#"Flags "too many" \ of {count}, 超过"#.to_owned();
        let answers = Answers { event: "shop.*".into(), summary: text.clone(), legal_basis: text.clone() };
        let values = Values::of("fleet-cap", &answers, "", "/srv/fleet-cap".as_ref(), None);
        for (path, template) in FILES {
            assert!(!values.fill(template).contains("{{"), "{path}");
        }
        let program = ephor_table::author::compile(&values.fill(FILES[0].1)).expect("good rules");
        assert_eq!((program.summary, &program.rules[0].legal_basis), (text.clone(), &text));
    }
}
