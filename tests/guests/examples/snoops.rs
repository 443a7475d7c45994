//! Tries to find out what it was not granted: reports every value that it is given, logs
//! it, looks for a text in every byte of its memory, and calls what it may import with
//! what no honest policy would.
//!
//! The text to look for comes with its bytes changed, in the settings: its being there
//! is then no find.

#![cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "reads all of its own memory, which no safe code can"))]

use ephor_sdk::prelude::*;

#[derive(Fields)]
struct Order<'a> {
    #[field("/data/do", purpose = "Says what to try")]
    order: &'a str,
    #[field("/data/plain", purpose = "To report it")]
    plain: Option<&'a str>,
    #[field("/data/rider", purpose = "To report it", form = pseudonym)]
    pseudonym: Option<&'a str>,
    #[field("/data/phone", purpose = "To report it", form = mask)]
    mask: Option<&'a str>,
    #[field("/data/price", purpose = "To report it", form = coarse)]
    price: Option<i64>,
    #[field("/data/started", purpose = "To report it", form = coarse)]
    started: Option<Time>,
    #[field("/data/latitude", purpose = "To report it", form = coarse)]
    latitude: Option<f64>,
    #[field("/data/absent", purpose = "To report it")]
    absent: Option<Json<'a>>,
    #[field("/data/secret", purpose = "To report it, which is not granted")]
    secret: Option<&'a str>,
    #[field("/data", purpose = "To report all of it, which is not granted")]
    all: Option<Json<'a>>,
    #[field("/subject", purpose = "To report it, which is not granted")]
    subject: Option<&'a str>,
}

#[derive(Rules, Clone, Copy)]
enum Rule {
    #[rule(id = "saw", action = flag, severity = low, legal_basis = "None: this policy is for tests", en = "Here is what I see.")]
    Saw,
}

#[settings]
struct Settings {
    /// What to look for: texts, with every byte's lowest bit changed.
    changed: Vec<Vec<u8>>,
}

struct Snoops(Settings);

#[policy(name = "snoops", summary = "Tries to see more than it was granted", events = ["snoop"])]
impl Policy for Snoops {
    type Fields<'a> = Order<'a>;
    type Settings = Settings;
    type State = ();
    type Rule = Rule;

    fn configure(settings: Settings) -> Result<Self, SettingsErrors> {
        Ok(Snoops(settings))
    }

    fn evaluate(&self, order: Order<'_>, (): &mut (), out: &mut Out<Rule>) {
        let found = [
            ("plain", order.plain.map(str::to_string)),
            ("pseudonym", order.pseudonym.map(str::to_string)),
            ("mask", order.mask.map(str::to_string)),
            ("price", order.price.map(|it| it.to_string())),
            ("started", order.started.map(|it| it.to_string())),
            ("latitude", order.latitude.map(|it| format!("{it:?}"))),
            ("absent", order.absent.map(|it| it.0.to_string())),
            ("secret", order.secret.map(str::to_string)),
            ("all", order.all.map(|it| it.0.to_string())),
            ("subject", order.subject.map(str::to_string)),
        ];
        let mut finding = out.find(Rule::Saw);
        for (name, value) in found {
            if let Some(value) = value {
                log::info(&format!("{name}: {value}"));
                finding = finding.with(name, value);
            }
        }
        match order.order {
            "look" => {
                let finds = self.0.changed.iter().map(|changed| memory::count(changed).to_string()).collect::<Vec<_>>();
                let _ = finding.with("bytes", memory::bytes()).with("finds", finds.join(" "));
            }
            "contains" => memory::contains(),
            "get" => memory::get(),
            _ => {}
        }
    }
}

/// The instance's own memory, byte by byte, and imports that are called by hand.
#[cfg(target_family = "wasm")]
mod memory {
    use core::arch::wasm32::memory_size;

    use ephor_sdk::wit::ephor::policy::columns::Texts;
    use ephor_sdk::wit::ephor::policy::reference;

    const PAGE: usize = 65_536;

    pub fn bytes() -> u64 {
        (memory_size(0) * PAGE) as u64
    }

    /// How often a text is anywhere in memory.
    pub fn count(changed: &[u8]) -> u64 {
        let end = memory_size(0) * PAGE;
        // SAFETY: every address below the memory's size can be read; volatile, because the
        // compiler takes none of these for an object.
        let byte = |at: usize| unsafe { core::ptr::read_volatile(at as *const u8) };
        let is_at = |at: &usize| changed.iter().enumerate().all(|(offset, changed)| byte(at + offset) == changed ^ 1);
        // Address 0 is a byte as well, but Rust takes it for a null pointer.
        (1..end - changed.len()).filter(is_at).count() as u64
    }

    /// A list of everybody's; a policy that declares none has none.
    pub fn contains() {
        for list in [0, 1, u16::MAX] {
            let _ = reference::contains_many(list, &Texts { present: vec![1], offsets: vec![0, 1], text: "a".into() });
        }
    }

    pub fn get() {
        let _ = reference::get_many(0, &Texts { present: vec![255], offsets: vec![0, 1, 1, 1, 1, 1, 1, 1, 1], text: "a".into() });
    }
}

/// Natively there is no memory of its own, and no host.
#[cfg(not(target_family = "wasm"))]
mod memory {
    pub fn bytes() -> u64 {
        0
    }

    pub fn count(_: &[u8]) -> u64 {
        0
    }

    pub fn contains() {}

    pub fn get() {}
}
