//! How tables and numbers look, in one place.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};
use ephor::policy::manifest::Action;
use ephor::verdict::Decision;

/// Lines above, below and under the header; none between rows or columns.
const STYLE: TableStyle = TableStyle::new()
    .top_border(LineStyle::none().fill('─').junction('─'))
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// A table under a heading. Colours and wrapping only where standard output is
/// a terminal.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    table
}

/// Prints a table under its heading.
pub fn print(heading: &str, table: &Table) {
    println!("\n{heading}\n{table}");
}

/// A number, to the right, with thousands set apart.
pub fn number(value: u64) -> Cell {
    Cell::new(grouped(value)).set_alignment(CellAlignment::Right)
}

/// A number that ought to be zero.
pub fn ought_to_be_zero(value: u64) -> Cell {
    number(value).fg(if value == 0 { Color::Green } else { Color::Red })
}

/// Text to the right.
pub fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A verdict in its colour.
pub fn decision(decision: Decision) -> Cell {
    Cell::new(decision.name()).fg(match decision {
        Decision::Allow => Color::Green,
        Decision::Flag => Color::Yellow,
        Decision::Undetermined => Color::Magenta,
        Decision::Deny => Color::Red,
    })
}

/// An action in the colour of the verdict that it leads to.
pub fn action(action: Action) -> Cell {
    match action {
        Action::Flag => decision(Decision::Flag),
        Action::Deny => decision(Decision::Deny),
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as KiB or MiB, for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Text from a server or a component, fit for a terminal: control characters
/// are shown, not obeyed.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (702_470, "702,470"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(value), text);
        }
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
    }
}
