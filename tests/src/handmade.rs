//! A policy written by hand, of a few kilobytes, so that a test has every byte of it in
//! its hand: what it answers, where its lists are, what its numbers are.
//!
//! It does by the first two characters of the description of a listing what the test has
//! written in WebAssembly text for them ([`Handmade::on`]), and nothing on every other.
//! With several rows, one of which has a `!`, it traps, so that the host looks for the
//! row at fault and asks about each alone.

use std::fmt::Write as _;

use wasm_encoder::Encode as _;

/// The name in its manifest.
pub const NAME: &str = "handmade";

/// Where its manifest begins in memory: the record, then what it points at.
pub const MANIFEST: u32 = 4_096;
/// An answer in which there is nothing, or zeros that a test may write to.
pub const ANSWER: u32 = 16_384;
/// Where `cabi_realloc` begins.
const HEAP: u32 = 65_536;

/// What it is made of.
#[derive(Debug, Clone, Default)]
pub struct Handmade {
    /// What it does on a description of `!` and a letter.
    pub cases: Vec<(char, String)>,
    /// Further fields of its core module.
    pub module: String,
    /// Further fields of the component, before the core module's instance.
    pub component: String,
    /// Further functions for the core module to import from `host`: `(export "f" (func $f))`.
    pub host: String,
    /// What `configure` does before it takes its settings.
    pub configure: String,
    /// What `describe` does before it answers.
    pub describe: String,
    /// What `cabi_realloc` does before it gives memory.
    pub realloc: String,
    /// What follows the number of its memory's first pages: a maximum.
    pub memory: String,
    /// Replaces text of the whole.
    pub replace: Vec<(String, String)>,
}

impl Handmade {
    /// What it does when it is asked about one listing whose description begins with `!`
    /// and this letter: instructions that leave the address of an outcome, 32 bytes. They
    /// may use the locals `$a` to `$d` (i32) and `$x` (i64), and call `$log` and `$alloc`.
    #[must_use]
    pub fn on(mut self, letter: char, instructions: impl Into<String>) -> Self {
        self.cases.push((letter, instructions.into()));
        self
    }

    /// Replaces text of it, which has to be there.
    #[must_use]
    pub fn replacing(mut self, from: &str, to: &str) -> Self {
        self.replace.push((from.into(), to.into()));
        self
    }

    /// The component.
    ///
    /// # Panics
    ///
    /// If the text is no component.
    pub fn component(&self) -> Vec<u8> {
        let text = self.text();
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// The component as text.
    ///
    /// # Panics
    ///
    /// If there is nothing to be replaced where something is.
    pub fn text(&self) -> String {
        let cases = self.cases.iter().fold(String::new(), |mut cases, (letter, instructions)| {
            let code = u32::from(*letter);
            let _ =
                writeln!(cases, "(if (i32.eq (local.get $letter) (i32.const {code})) (then (return (block (result i32) {instructions}))))");
            cases
        });
        let mut text = TEMPLATE.to_string();
        for (mark, with) in [
            ("@types", TYPES),
            ("@cases", &cases),
            ("@module", &self.module),
            ("@component", &self.component),
            ("@host", &self.host),
            ("@configure", &self.configure),
            ("@describe", &self.describe),
            ("@realloc", &self.realloc),
            ("@memory", &self.memory),
            ("@manifest", &manifest()),
            ("@MANIFEST", &MANIFEST.to_string()),
            ("@ANSWER", &ANSWER.to_string()),
            ("@HEAP", &HEAP.to_string()),
        ] {
            text = text.replace(mark, with);
        }
        for (from, to) in &self.replace {
            assert!(text.contains(from), "{from:?} is to be replaced and is not there");
            text = text.replace(from, to);
        }
        text
    }
}

/// Writes numbers of four bytes to an address.
pub fn store(address: u32, numbers: &[u32]) -> String {
    let store =
        |(at, number): (usize, &u32)| format!("(i32.store (i32.const {}) (i32.const {}))", address as usize + at * 4, *number as i32);
    numbers.iter().enumerate().map(store).collect()
}

/// A component that has a core module, and nothing else.
pub fn wrapped(module: &[u8]) -> Vec<u8> {
    in_a_component(1, module)
}

/// A component of one section.
pub fn in_a_component(section: u8, body: &[u8]) -> Vec<u8> {
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.push(section);
    body.encode(&mut component);
    component
}

/// The manifest as it is in memory, as a string of WebAssembly text.
fn manifest() -> String {
    const RECORD: usize = 92;
    let mut image = Image { bytes: vec![0; RECORD] };
    let name = image.text(NAME);
    let version = image.text("1.0.0");
    let summary = image.text("Does what a test says");
    let pattern = image.text("retail.*");
    let events = image.list(&[&pattern]);
    let (pointer, purpose) = (image.text("/data/description"), image.text("Says what to do"));
    // The third is the kind, text, and that it is not required; the last is the form, plain.
    let fields = image.list(&[&[pointer[0], pointer[1], 3, purpose[0], purpose[1], 0]]);
    let (id, basis) = (image.text("seen"), image.text("None: this policy is for tests"));
    let (language, message) = (image.text("en"), image.text("Saw {it}."));
    let messages = image.list(&[&[language[0], language[1], message[0], message[1]]]);
    // The third is the action, flag, and the severity, low.
    let rules = image.list(&[&[id[0], id[1], 0, basis[0], basis[1], messages[0], messages[1]]]);
    let schema = image.text("{}");
    let mut at = 0;
    for pair in [name, version, summary, events, fields] {
        image.put(&mut at, &pair);
    }
    at += 28; // keyed: none
    for pair in [rules, [0, 0], schema] {
        image.put(&mut at, &pair);
    }
    image.bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}

/// Memory that begins at [`MANIFEST`].
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    fn end(&mut self) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        MANIFEST + self.bytes.len() as u32
    }

    fn text(&mut self, text: &str) -> [u32; 2] {
        let at = self.end();
        self.bytes.extend_from_slice(text.as_bytes());
        [at, text.len() as u32]
    }

    /// A list of records, as words of four bytes.
    fn list(&mut self, records: &[&[u32]]) -> [u32; 2] {
        let at = self.end();
        for number in records.iter().copied().flatten() {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        [at, records.len() as u32]
    }

    fn put(&mut self, at: &mut usize, numbers: &[u32]) {
        for number in numbers {
            self.bytes[*at..*at + 4].copy_from_slice(&number.to_le_bytes());
            *at += 4;
        }
    }
}

/// The types of the contract, as a component has to name those of what it exports.
const TYPES: &str = r#"
    (type $kind' (enum "boolean" "integer" "float" "text" "time" "json"))
    (export $kind "kind" (type $kind'))
    (type $form' (enum "plain" "pseudonym" "mask" "coarse"))
    (export $form "form" (type $form'))
    (type $field' (record (field "pointer" string) (field "kind" $kind) (field "required" bool) (field "purpose" string) (field "form" $form)))
    (export $field "field" (type $field'))
    (type $action' (enum "flag" "deny"))
    (export $action "action" (type $action'))
    (type $severity' (enum "low" "medium" "high" "critical"))
    (export $severity "severity" (type $severity'))
    (type $message' (record (field "language" string) (field "text" string)))
    (export $message "message" (type $message'))
    (type $rule' (record (field "id" string) (field "action" $action) (field "severity" $severity) (field "legal-basis" string) (field "messages" (list $message))))
    (export $rule "rule" (type $rule'))
    (type $keyed' (record (field "key" (list u16)) (field "state-version" u32) (field "migrates-from" (list u32)) (field "resets" bool) (field "timers" bool)))
    (export $keyed "keyed" (type $keyed'))
    (type $manifest' (record (field "name" string) (field "version" string) (field "summary" string) (field "events" (list string)) (field "fields" (list $field)) (field "keyed" (option $keyed)) (field "rules" (list $rule)) (field "lists" (list string)) (field "settings-schema" string)))
    (export $manifest "manifest" (type $manifest'))
    (type $settings-error' (record (field "pointer" string) (field "message" string)))
    (export $settings-error "settings-error" (type $settings-error'))
    (type $booleans' (record (field "present" (list u8)) (field "values" (list u8))))
    (export $booleans "booleans" (type $booleans'))
    (type $integers' (record (field "present" (list u8)) (field "values" (list s64))))
    (export $integers "integers" (type $integers'))
    (type $floats' (record (field "present" (list u8)) (field "values" (list float64))))
    (export $floats "floats" (type $floats'))
    (type $texts' (record (field "present" (list u8)) (field "offsets" (list u32)) (field "text" string)))
    (export $texts "texts" (type $texts'))
    (type $column' (variant (case "booleans" $booleans) (case "integers" $integers) (case "floats" $floats) (case "texts" $texts) (case "times" $integers) (case "json" $texts)))
    (export $column "column" (type $column'))
    (type $keys' (record (field "of-row" (list u32)) (field "states" (list (option (list u8))))))
    (export $keys "keys" (type $keys'))
    (type $batch' (record (field "rows" u32) (field "columns" (list $column)) (field "keys" (option $keys))))
    (export $batch "batch" (type $batch'))
    (type $wakes' (record (field "at" (list s64)) (field "states" (list (option (list u8))))))
    (export $wakes "wakes" (type $wakes'))
    (type $evidence' (record (field "name" string) (field "value" string)))
    (export $evidence "evidence" (type $evidence'))
    (type $finding' (record (field "row" u32) (field "rule" u16) (field "evidence" (list $evidence))))
    (export $finding "finding" (type $finding'))
    (type $undecided' (record (field "row" u32) (field "reason" string)))
    (export $undecided "undecided" (type $undecided'))
    (type $changed-state' (record (field "key" u32) (field "state" (option (list u8)))))
    (export $changed-state "changed-state" (type $changed-state'))
    (type $timer' (record (field "row" u32) (field "at" (option s64))))
    (export $timer "timer" (type $timer'))
    (type $outcome' (record (field "findings" (list $finding)) (field "undecided" (list $undecided)) (field "states" (list $changed-state)) (field "timers" (list $timer))))
    (export $outcome "outcome" (type $outcome'))
"#;

/// The whole. As the tools do it, calls to the host go through a table that is filled when
/// the core module, whose memory they need, is there.
const TEMPLATE: &str = r#"(component
    (import "ephor:policy/log@0.1.0" (instance $log
        (type $level' (enum "debug" "info" "warn"))
        (export "level" (type $level (eq $level')))
        (export "write" (func (param "level" $level) (param "message" string)))))
    @types
    (core module $shim
        (type $write (func (param i32 i32 i32)))
        (table (export "table") 1 1 funcref)
        (func (export "write") (type $write)
            (call_indirect (type $write) (local.get 0) (local.get 1) (local.get 2) (i32.const 0))))
    (core module $fixup
        (import "" "write" (func $write (param i32 i32 i32)))
        (import "" "table" (table 1 1 funcref))
        (elem (i32.const 0) func $write))
    @component
    (core instance $shim (instantiate $shim))
    (core module $main
        (import "host" "log" (func $log (param i32 i32 i32)))
        @module
        (memory (export "memory") 2 @memory)
        (data (i32.const @MANIFEST) "@manifest")
        (global $next (mut i32) (i32.const @HEAP))
        (func $alloc (param $bytes i32) (result i32) (local $end i32)
            (local.set $end (i32.and (i32.add (i32.add (global.get $next) (local.get $bytes)) (i32.const 15)) (i32.const -16)))
            (block (loop
                (br_if 1 (i32.le_u (local.get $end) (i32.mul (memory.size) (i32.const 65536))))
                (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                (br 0)))
            (global.get $next)
            (global.set $next (local.get $end)))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            @realloc
            (call $alloc (local.get 3)))
        (func (export "describe") (result i32)
            @describe
            (i32.const @MANIFEST))
        (func (export "configure") (param i32 i32) (result i32)
            @configure
            (i32.const @ANSWER))
        (func $evaluate (export "evaluate") (param $rows i32) (param $columns i32) (param i32 i32 i32 i32 i32 i32) (result i32)
            (local $text i32) (local $end i32) (local $letter i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $x i64)
            (local.set $text (i32.load offset=20 (local.get $columns)))
            (local.set $end (i32.add (local.get $text) (i32.load offset=24 (local.get $columns))))
            (if (i32.gt_u (local.get $rows) (i32.const 1)) (then
                (block (loop
                    (br_if 1 (i32.ge_u (local.get $text) (local.get $end)))
                    (if (i32.eq (i32.load8_u (local.get $text)) (i32.const 33)) (then unreachable))
                    (local.set $text (i32.add (local.get $text) (i32.const 1)))
                    (br 0)))
                (return (i32.const @ANSWER))))
            (if (i32.lt_u (i32.sub (local.get $end) (local.get $text)) (i32.const 2)) (then (return (i32.const @ANSWER))))
            (if (i32.ne (i32.load8_u (local.get $text)) (i32.const 33)) (then (return (i32.const @ANSWER))))
            (local.set $letter (i32.load8_u offset=1 (local.get $text)))
            @cases
            (i32.const @ANSWER))
        (func (export "wake") (param i32 i32 i32 i32) (result i32) (i32.const @ANSWER))
        (func (export "migrate") (param i32 i32 i32) (result i32) (i32.const @ANSWER)))
    (core instance $main (instantiate $main (with "host" (instance
        (export "log" (func $shim "write"))
        @host))))
    (alias core export $main "memory" (core memory $memory))
    (alias core export $main "cabi_realloc" (core func $realloc))
    (core func $write (canon lower (func $log "write") (memory $memory)))
    (core instance (instantiate $fixup (with "" (instance
        (export "table" (table $shim "table"))
        (export "write" (func $write))))))
    (func (export "describe") (result $manifest)
        (canon lift (core func $main "describe") (memory $memory)))
    (func (export "configure") (param "settings" string) (result (result (error (list $settings-error))))
        (canon lift (core func $main "configure") (memory $memory) (realloc $realloc)))
    (func (export "evaluate") (param "batch" $batch) (result $outcome)
        (canon lift (core func $main "evaluate") (memory $memory) (realloc $realloc)))
    (func (export "wake") (param "wakes" $wakes) (result $outcome)
        (canon lift (core func $main "wake") (memory $memory) (realloc $realloc)))
    (func (export "migrate") (param "from" u32) (param "states" (list (list u8))) (result (result (list (option (list u8))) (error string)))
        (canon lift (core func $main "migrate") (memory $memory) (realloc $realloc))))
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_valid_component() {
        let component = Handmade::default().on('a', "unreachable").component();
        let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&component);
        assert!(valid.is_ok(), "{:?}", valid.err());
    }
}
