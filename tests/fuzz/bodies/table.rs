//! Files of rules, and what a component carries of them. The first line is `program` in front
//! of the latter.

use ephor_table::author::compile;
use ephor_table::program::Program;

use super::headed;

pub fn body(bytes: &[u8]) {
    if let (b"program", rest) = headed(bytes) {
        if let Ok(program) = Program::of_bytes(rest) {
            let written = program.to_bytes().expect("what was read can be written");
            assert_eq!(Program::of_bytes(&written).ok(), Some(program));
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match compile(text) {
        Ok(program) => {
            let written = program.to_bytes().expect("a program of a file can be written");
            assert_eq!(Program::of_bytes(&written).ok(), Some(program));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                let line = text.split('\n').nth(problem.line().wrapping_sub(1));
                let line = line.unwrap_or_else(|| panic!("no line {}: {problem}", problem.line()));
                assert!((1..=line.chars().count() + 1).contains(&problem.column()), "column {} of {line:?}: {problem}", problem.column());
                assert!(!problem.what().is_empty() && !problem.remedy().is_empty());
            }
        }
    }
}
