//! The language that a component says it is written in.
//!
//! Decides which bounds it is held to, so it is read before anything else is done with
//! it: without looking into modules, and believing nothing. Whoever claims a language to
//! get more room needs the grant for it; whoever hides one has the room of everybody.

use wasmparser::{Chunk, KnownCustom, Parser, Payload};

use crate::policy::Language;

/// The language in the component's own `producers` section, which `ephor policy build`
/// writes. What tools wrote into its modules does not count: an engine is written in
/// something else.
pub(crate) fn language(component: &[u8]) -> Option<Language> {
    let mut parser = Parser::new(0);
    let mut rest = component;
    loop {
        let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) else { return None };
        rest = rest.get(consumed..)?;
        match payload {
            Payload::CustomSection(section) => {
                let KnownCustom::Producers(producers) = section.as_known() else { continue };
                let fields = producers.into_iter().map_while(Result::ok).filter(|field| field.name == "language");
                let names = fields.flat_map(|field| field.values.into_iter().map_while(Result::ok)).map(|value| value.name);
                let known = names.filter_map(Language::of_tool).next();
                if known.is_some() {
                    return known;
                }
            }
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                rest = component.get(unchecked_range.end..)?;
            }
            Payload::End(_) => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("short");
        assert!(length < 128);
        [&[id, length], content].concat()
    }

    fn producers(field: &str, name: &str) -> Vec<u8> {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        section(0, &[text("producers"), vec![1], text(field), vec![1], text(name), text("")].concat())
    }

    #[test]
    fn the_component_itself_says_it() {
        let head = b"\0asm\x0d\0\x01\0".to_vec();
        let module = section(1, &[b"\0asm\x01\0\0\0".to_vec(), producers("language", "JavaScript")].concat());
        let with = |sections: &[Vec<u8>]| language(&[head.clone(), sections.concat()].concat());
        assert_eq!(with(&[producers("language", "Python")]), Some(Language::Python));
        assert_eq!(with(&[module.clone(), producers("language", "JavaScript")]), Some(Language::JavaScript));
        assert_eq!(with(std::slice::from_ref(&module)), None, "what a module says does not count");
        assert_eq!(with(&[producers("language", "Rust"), producers("language", "Python")]), Some(Language::Python));
        assert_eq!(with(&[producers("processed-by", "Python")]), None);
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn what_is_broken_says_nothing() {
        let whole = [b"\0asm\x0d\0\x01\0".to_vec(), section(0, b"\x01x"), producers("language", "Python")].concat();
        assert_eq!(language(&whole), Some(Language::Python));
        for end in 0..whole.len() {
            assert_eq!(language(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(language(b"\x7fELF"), None);
    }
}
