//! Configurations, and in them what publishers are granted.

use ephor::Config;
use ephor::config::Checked;
use ephor::policy::Grant;
use ephor::policy::pseudonym::Secret;

pub fn body(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Checked { config, problems, .. } = Checked::new(text);
    let lines = text.split('\n').count();
    for problem in &problems {
        let line = text.split('\n').nth(problem.line.wrapping_sub(1));
        let line = line.unwrap_or_else(|| panic!("line {} of {lines}: {problem}", problem.line));
        assert!((1..=line.chars().count() + 1).contains(&problem.column), "column {} of {line:?}: {problem}", problem.column);
        assert!(!problem.message.is_empty());
    }
    if !problems.is_empty() {
        return;
    }
    // What has no problem is what serde reads, is written as it is read, and can be carried out.
    assert_eq!(toml::from_str::<Config>(text).as_ref(), Ok(&config));
    let written = toml::Value::try_from(&config).expect("a configuration can be written");
    assert_eq!(written.try_into::<Config>().as_ref(), Ok(&config));
    for (name, publisher) in &config.publishers {
        let grant = Grant::of(name, publisher, &Secret::development());
        assert!(grant.is_ok(), "no problem was found, but {name} is refused: {:?}", grant.err());
    }
}
