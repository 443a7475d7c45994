//! What can be told about a component by reading it, before anything compiles it.

use wasmparser::{
    BinaryReaderError, ComponentTypeRef, FuncValidatorAllocations, Operator, Parser, Payload, ValidPayload, Validator, WasmFeatures,
};

use super::LoadError;
use super::limits::Gate;

/// The package that a policy may import from.
const PACKAGE: &str = "ephor:policy/";
/// Interfaces of it that a component can import: two with functions, the others
/// with types only.
const INTERFACES: [&str; 7] = ["log", "reference", "columns", "evaluation", "manifest", "settings", "types"];
/// Versions of the contract that this runtime speaks: 0.1.x.
const VERSION: &str = "0.1.";
/// What a policy exports.
const EXPORTS: [&str; 3] = ["describe", "configure", "evaluate"];

/// Bytes of the name of an import or export. Names are repeated in answers and logs, and a
/// component could have one of 100,000 bytes.
const NAME_BYTES_MAX: usize = 1 << 10;

/// What was seen while reading.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Reads a component and says whether to go on with it.
pub(super) fn check(component: &[u8], gate: &Gate) -> Result<Seen, LoadError> {
    if component.len() > gate.component_bytes_max {
        return Err(over("bytes", component.len() as u64, gate.component_bytes_max as u64));
    }
    identify(component)?;
    let seen = read(component, gate)?;
    for name in &seen.imports {
        check_import(name)?;
    }
    if let Some(missing) = EXPORTS.iter().find(|name| !seen.exports.iter().any(|export| export == *name)) {
        let problem = format!("it does not export the function `{missing}`");
        return Err(LoadError::WrongWorld { problem });
    }
    Ok(seen)
}

fn over(what: &str, found: u64, max: u64) -> LoadError {
    LoadError::Gate { problem: format!("it has {found} {what}, at most {max}") }
}

/// Says what the bytes are if they are no component.
fn identify(bytes: &[u8]) -> Result<(), LoadError> {
    let found = if Parser::is_component(bytes) {
        return Ok(());
    } else if Parser::is_core_wasm(bytes) {
        "a core module"
    } else if bytes.starts_with(b"\x7fELF") {
        "compiled native code"
    } else if bytes.is_empty() {
        "an empty file"
    } else if bytes.trim_ascii_start().starts_with(b"(") || bytes.starts_with(b";;") {
        "WebAssembly text"
    } else if bytes.starts_with(b"\0asm") {
        "WebAssembly of an unknown version"
    } else {
        "something else"
    };
    Err(LoadError::NotAComponent { found: found.into() })
}

/// A name that somebody may be shown.
fn short(name: &str) -> Result<String, LoadError> {
    match name.len() <= NAME_BYTES_MAX {
        true => Ok(name.to_string()),
        false => Err(over("bytes in the name of an import or export", name.len() as u64, NAME_BYTES_MAX as u64)),
    }
}

fn check_import(name: &str) -> Result<(), LoadError> {
    let known = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')).filter(|(interface, _)| INTERFACES.contains(interface));
    match known {
        None => Err(LoadError::Import { name: name.to_string() }),
        Some((_, version)) if !version.starts_with(VERSION) => Err(LoadError::ContractVersion { name: name.to_string() }),
        Some(_) => Ok(()),
    }
}

/// WebAssembly 2.0 and components, without what shares memory, collects garbage (which
/// references to the host's values ask for), unwinds, or differs between processors.
fn features() -> WasmFeatures {
    let core = WasmFeatures::WASM2.difference(WasmFeatures::GC_TYPES);
    core | WasmFeatures::EXTENDED_CONST | WasmFeatures::MULTI_MEMORY | WasmFeatures::COMPONENT_MODEL
}

fn read(component: &[u8], gate: &Gate) -> Result<Seen, LoadError> {
    let invalid = |error: BinaryReaderError| LoadError::Invalid { problem: error.to_string() };
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut seen = Seen::default();
    let (mut modules, mut nesting) = (0usize, 0usize);
    let (mut functions, mut locals) = (0u32, 0u32);
    let mut data_bytes = 0usize;
    // Some proposals are new ways to write down what there is: what reads has to know as
    // well that they are none of these.
    let mut parser = Parser::new(0);
    parser.set_features(features());
    for payload in parser.parse_all(component) {
        let payload = payload.map_err(invalid)?;
        // What only counts is looked at before it is validated: validating what
        // goes beyond a bound is work that the bound is there to save.
        match &payload {
            Payload::ModuleSection { .. } => {
                (modules, nesting) = (modules + 1, nesting + 1);
                if modules > gate.modules_max {
                    return Err(over("core modules", modules as u64, gate.modules_max as u64));
                }
            }
            Payload::ComponentSection { .. } => nesting += 1,
            Payload::End(_) => nesting = nesting.saturating_sub(1),
            Payload::ImportSection(section) if section.count() > gate.imports_max => {
                return Err(over("imports in one module", section.count().into(), gate.imports_max.into()));
            }
            Payload::FunctionSection(section) => {
                functions = functions.saturating_add(section.count());
                if functions > gate.functions_max {
                    return Err(over("functions", functions.into(), gate.functions_max.into()));
                }
            }
            Payload::TableSection(section) if section.count() > gate.tables_max => {
                return Err(over("tables in one module", section.count().into(), gate.tables_max.into()));
            }
            Payload::MemorySection(section) => {
                if section.count() > gate.memories_max {
                    return Err(over("memories in one module", section.count().into(), gate.memories_max.into()));
                }
                for memory in section.clone() {
                    let bytes = memory.map_err(invalid)?.initial.saturating_mul(64 << 10);
                    if bytes > gate.memory_initial_bytes_max {
                        return Err(over("bytes of memory from the start", bytes, gate.memory_initial_bytes_max));
                    }
                }
            }
            Payload::DataSection(section) => {
                data_bytes += section.range().len();
                if data_bytes > gate.data_bytes_max {
                    return Err(over("bytes of data", data_bytes as u64, gate.data_bytes_max as u64));
                }
            }
            Payload::StartSection { .. } => {
                return Err(LoadError::Gate { problem: "it has a start function; put what it does into `configure`".into() });
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                if bytes > gate.function_bytes_max {
                    return Err(over("bytes in one function", bytes as u64, gate.function_bytes_max as u64));
                }
                let mut own = 0u32;
                for local in body.get_locals_reader().map_err(invalid)? {
                    own = own.saturating_add(local.map_err(invalid)?.0);
                }
                if own > gate.function_locals_max {
                    return Err(over("local variables in one function", own.into(), gate.function_locals_max.into()));
                }
                locals = locals.saturating_add(own);
                if locals > gate.locals_max {
                    return Err(over("local variables", locals.into(), gate.locals_max.into()));
                }
                let mut depth = 0usize;
                let mut operators = body.get_operators_reader().map_err(invalid)?;
                while !operators.eof() {
                    match operators.read().map_err(invalid)? {
                        Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                            depth += 1;
                            if depth > gate.block_depth_max {
                                return Err(over("blocks inside blocks", depth as u64, gate.block_depth_max as u64));
                            }
                        }
                        Operator::End => depth = depth.saturating_sub(1),
                        Operator::BrTable { targets } if targets.len() > gate.branch_targets_max => {
                            return Err(over("targets of one branch", targets.len().into(), gate.branch_targets_max.into()));
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(section) if nesting == 0 => {
                for import in section.clone() {
                    let import = import.map_err(invalid)?;
                    // A type is a name for a shape, nothing that could be called.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        seen.imports.push(short(import.name.name)?);
                    }
                }
            }
            Payload::ComponentExportSection(section) if nesting == 0 => {
                for export in section.clone() {
                    seen.exports.push(short(export.map_err(invalid)?.name.name)?);
                }
            }
            _ => {}
        }
        if nesting > gate.nesting_max {
            return Err(over("levels of components", nesting as u64, gate.nesting_max as u64));
        }
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(invalid)? {
            let mut function = function.into_validator(std::mem::take(&mut allocations));
            function.validate(&body).map_err(invalid)?;
            allocations = function.into_allocations();
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_31_what_is_no_component_is_called_by_its_name() {
        for (bytes, found) in [
            (b"\0asm\x01\0\0\0".as_slice(), "a core module"),
            (b"(component)", "WebAssembly text"),
            (b"\x7fELF\x02", "compiled native code"),
            (b"", "an empty file"),
            (b"hello", "something else"),
        ] {
            assert_eq!(identify(bytes), Err(LoadError::NotAComponent { found: found.into() }));
        }
    }

    #[test]
    fn ws_15_ws_16_imports_are_refused_by_name() {
        assert_eq!(check_import("ephor:policy/log@0.1.0"), Ok(()));
        assert_eq!(check_import("ephor:policy/log@0.1.7"), Ok(()));
        for name in ["wasi:cli/environment@0.2.0", "ephor:policy/clock@0.1.0", "log", ""] {
            assert_eq!(check_import(name), Err(LoadError::Import { name: name.into() }));
        }
        let newer = "ephor:policy/log@0.2.0";
        assert_eq!(check_import(newer), Err(LoadError::ContractVersion { name: newer.into() }));
    }

    #[test]
    fn ws_25_a_component_cut_anywhere_is_refused_without_a_panic() {
        let empty = b"\0asm\x0d\0\x01\0";
        for end in 0..=empty.len() {
            assert!(check(&empty[..end], &Gate::default()).is_err());
        }
    }
}
