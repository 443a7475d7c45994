//! Components that no compiler would make, forged out of ones that work.
//!
//! A binary of either kind (module, component) is an eight-byte preamble and a
//! list of sections, each an id, a length and a body. Most edits here copy
//! sections as they are and touch only what they must.

use wasm_encoder::reencode::{ReencodeComponent, RoundtripReencoder};
use wasm_encoder::{
    ComponentAliasSection, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, Encode, ExportSection, Function,
    InstanceSection, InstanceType, ModuleArg,
};
use wasmparser::{ComponentAlias, ExternalKind, FuncType, Parser, Payload, Validator};

const CORE_TYPES: u8 = 1;
const CORE_FUNCTIONS: u8 = 3;
const CORE_MEMORIES: u8 = 5;
const CORE_EXPORTS: u8 = 7;
const CORE_CODE: u8 = 10;

const COMPONENT_MODULE: u8 = 1;
const COMPONENT_CORE_INSTANCES: u8 = 2;
const COMPONENT_ALIASES: u8 = 6;
const COMPONENT_TYPES: u8 = 7;
const COMPONENT_IMPORTS: u8 = 10;

/// Appends to the policy's module a function of `locals` locals and `ifs`
/// conditions in a row. Nothing calls it; a compiler has to work through it all
/// the same. 8,000 by 16,000 takes the better part of a minute.
pub fn slow_to_compile(component: &[u8], locals: u32, ifs: u32) -> Vec<u8> {
    edit_module(component, |module| {
        let mut body = Function::new([(locals, wasm_encoder::ValType::I32)]);
        let mut code = body.instructions();
        for at in 0..ifs {
            let (from, to) = (at % locals, (at * 7 + 1) % locals);
            code.local_get(from).if_(wasm_encoder::BlockType::Empty);
            code.local_get(to).i32_const(at as i32).i32_add().local_set(from).end();
        }
        code.end();
        module.add_function(&[], &[], &body);
    })
}

/// Gives the policy's module two more memories, and an `evaluate` that grows
/// all three until there is no more.
pub fn three_memories_in_one_module(component: &[u8]) -> Vec<u8> {
    edit_module(component, |module| {
        for _ in 0..2 {
            module.append(CORE_MEMORIES, &[0x00, 0x01]); // no maximum, one page
        }
        let evaluate = module.export_type("evaluate");
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.loop_(wasm_encoder::BlockType::Empty);
        for memory in 0..3 {
            code.i32_const(1).memory_grow(memory).i32_const(-1).i32_eq();
            code.if_(wasm_encoder::BlockType::Empty).unreachable().end();
        }
        code.br(0).end().unreachable().end();
        let index = module.add_function(evaluate.params(), evaluate.results(), &body);
        module.redirect_export("evaluate", index);
    })
}

/// Makes one of the policy's exports trap at once.
pub fn trapping_in(component: &[u8], export: &str) -> Vec<u8> {
    edit_module(component, |module| {
        let ty = module.export_type(export);
        let mut body = Function::new([]);
        body.instructions().unreachable().end();
        let index = module.add_function(ty.params(), ty.results(), &body);
        module.redirect_export(export, index);
    })
}

/// Puts two more module instances, each with a memory of its own, before the
/// policy's `evaluate`. They and the policy's own memory grow in turn, until
/// there is no more.
pub fn three_memories_in_three_instances(component: &[u8]) -> Vec<u8> {
    let mut binary = Binary::of(component);
    let main = Binary::of(&binary.sections[main_module(&binary)].1);
    let evaluate = main.export_type("evaluate");
    let params = "i32 ".repeat(evaluate.params().len());
    assert!(evaluate.params().iter().all(|ty| *ty == wasmparser::ValType::I32), "evaluate takes only i32: {evaluate:?}");
    assert_eq!(evaluate.results(), [wasmparser::ValType::I32], "evaluate returns a pointer");

    // The module has its own `cabi_realloc` in front of the next one's: grow, then
    // let the next one grow. It is there twice, because a module can be
    // instantiated only once where images of memories are taken.
    let module = wat::parse_str(format!(
        r#"(module
            (import "next" "cabi_realloc" (func $next (param i32 i32 i32 i32) (result i32)))
            (memory 1)
            (func $grow (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                (call $next (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
            (func (export "evaluate") (param {params}) (result i32)
                (loop
                    (drop (call $grow (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 65536)))
                    (br 0))
                unreachable))"#
    ))
    .expect("the module is well-formed");

    // The new instances stand right before the section that takes `evaluate`
    // out of the policy's instance, so that no earlier index moves.
    let (at, main_instance) = binary.take_evaluate();
    let before = &binary.sections[..at];
    let modules = before.iter().filter(|(id, _)| *id == COMPONENT_MODULE).count() as u32;
    let instances: u32 = before.iter().filter(|(id, _)| *id == COMPONENT_CORE_INSTANCES).map(|(_, body)| leb(body).0).sum();

    let mut added = InstanceSection::new();
    added.instantiate(modules, [("next", ModuleArg::Instance(main_instance))]);
    added.instantiate(modules + 1, [("next", ModuleArg::Instance(instances))]);
    binary.redirect_evaluate(at, instances + 1);
    for (id, _) in &binary.sections[at..] {
        assert!(
            *id != COMPONENT_CORE_INSTANCES && *id != COMPONENT_MODULE,
            "modules and instances behind the added ones would have to be counted anew"
        );
    }
    let added = [(COMPONENT_MODULE, module.clone()), (COMPONENT_MODULE, module), (COMPONENT_CORE_INSTANCES, section_body(&added))];
    binary.sections.splice(at..at, added);
    checked(binary.bytes())
}

/// Adds an import of an empty interface.
pub fn with_import(component: &[u8], name: &str) -> Vec<u8> {
    let types = Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(component)
        .expect("the component to add an import to is valid");
    let mut binary = Binary::of(component);
    let mut declared = ComponentTypeSection::new();
    declared.instance(&InstanceType::new());
    let mut imports = ComponentImportSection::new();
    imports.import(name, ComponentTypeRef::Instance(types.as_ref().component_type_count()));
    binary.sections.push((COMPONENT_TYPES, section_body(&declared)));
    binary.sections.push((COMPONENT_IMPORTS, section_body(&imports)));
    checked(binary.bytes())
}

/// Puts a core module in the place of the one that is there, counted from 0.
///
/// # Panics
///
/// If there is none.
pub fn with_module(component: &[u8], which: usize, module: &[u8]) -> Vec<u8> {
    let mut binary = Binary::of(component);
    let there = binary.sections.iter_mut().filter(|(id, _)| *id == COMPONENT_MODULE).nth(which);
    there.expect("a core module to replace").1 = module.to_vec();
    binary.bytes()
}

/// The largest core module inside a component: the policy's own code.
pub fn core_module(component: &[u8]) -> Vec<u8> {
    let binary = Binary::of(component);
    binary.sections[main_module(&binary)].1.clone()
}

fn edit_module(component: &[u8], edit: impl FnOnce(&mut Binary)) -> Vec<u8> {
    let mut binary = Binary::of(component);
    let at = main_module(&binary);
    let mut module = Binary::of(&binary.sections[at].1);
    edit(&mut module);
    binary.sections[at].1 = module.bytes();
    checked(binary.bytes())
}

/// A forged component must fail for what was forged, not for a slip in here.
fn checked(component: Vec<u8>) -> Vec<u8> {
    if let Err(error) = Validator::new_with_features(wasmparser::WasmFeatures::all()).validate_all(&component) {
        panic!("forged an invalid component: {error}");
    }
    component
}

fn main_module(component: &Binary) -> usize {
    let modules = component.sections.iter().enumerate().filter(|(_, (id, _))| *id == COMPONENT_MODULE);
    modules.max_by_key(|(_, (_, body))| body.len()).expect("a component with a core module inside").0
}

/// The body of a section, without its length.
fn section_body(section: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    let (_, length) = leb(&bytes);
    bytes.split_off(length)
}

/// An unsigned LEB128 number and how many bytes it takes.
fn leb(bytes: &[u8]) -> (u32, usize) {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (value, at + 1);
        }
    }
    panic!("a number without an end");
}

/// A module or a component, cut in sections.
struct Binary {
    preamble: [u8; 8],
    sections: Vec<(u8, Vec<u8>)>,
}

impl Binary {
    fn of(bytes: &[u8]) -> Self {
        let (preamble, mut rest) = bytes.split_first_chunk::<8>().expect("a Wasm binary has a preamble");
        let mut sections = Vec::new();
        while let Some((id, tail)) = rest.split_first() {
            let (length, width) = leb(tail);
            let (body, tail) = tail[width..].split_at(length as usize);
            sections.push((*id, body.to_vec()));
            rest = tail;
        }
        Binary { preamble: *preamble, sections }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.preamble.to_vec();
        for (id, body) in &self.sections {
            bytes.push(*id);
            body.as_slice().encode(&mut bytes); // length, then the bytes
        }
        bytes
    }

    fn section(&mut self, id: u8) -> &mut Vec<u8> {
        let found = self.sections.iter_mut().find(|(known, _)| *known == id);
        &mut found.unwrap_or_else(|| panic!("the module has no section {id}")).1
    }

    /// Adds an entry to a section that is a list; returns the entry's index.
    fn append(&mut self, id: u8, entry: &[u8]) -> u32 {
        let body = self.section(id);
        let (count, width) = leb(body);
        let mut new = Vec::with_capacity(body.len() + entry.len() + 1);
        (count + 1).encode(&mut new);
        new.extend_from_slice(&body[width..]);
        new.extend_from_slice(entry);
        *body = new;
        count
    }

    /// Adds a function to a module; returns its index.
    fn add_function(&mut self, params: &[wasmparser::ValType], results: &[wasmparser::ValType], body: &Function) -> u32 {
        let number = |types: &[wasmparser::ValType], into: &mut Vec<u8>| {
            types.len().encode(into);
            into.extend(types.iter().map(|ty| match ty {
                wasmparser::ValType::I32 => 0x7f,
                other => panic!("a parameter of type {other}"),
            }));
        };
        let mut ty = vec![0x60];
        number(params, &mut ty);
        number(results, &mut ty);
        let ty = self.append(CORE_TYPES, &ty);
        let mut entry = Vec::new();
        ty.encode(&mut entry);
        let defined = self.append(CORE_FUNCTIONS, &entry);
        let mut code = Vec::new();
        body.encode(&mut code);
        self.append(CORE_CODE, &code);
        self.imported_functions() + defined
    }

    fn imported_functions(&self) -> u32 {
        let mut count = 0;
        self.each(|payload| {
            if let Payload::ImportSection(reader) = payload {
                let imports = reader.into_imports().map(|import| import.expect("an import").ty);
                count += imports.filter(|ty| matches!(ty, wasmparser::TypeRef::Func(_))).count() as u32;
            }
        });
        count
    }

    /// The type of a function that a module exports.
    fn export_type(&self, name: &str) -> FuncType {
        let (mut types, mut functions, mut index) = (Vec::new(), Vec::new(), None);
        self.each(|payload| match payload {
            Payload::TypeSection(reader) => types.extend(reader.into_iter_err_on_gc_types().map(|ty| ty.expect("a function type"))),
            Payload::ImportSection(reader) => {
                functions.extend(reader.into_imports().filter_map(|import| match import.expect("an import").ty {
                    wasmparser::TypeRef::Func(ty) => Some(ty),
                    _ => None,
                }));
            }
            Payload::FunctionSection(reader) => functions.extend(reader.into_iter().map(|ty| ty.expect("a function"))),
            Payload::ExportSection(reader) => {
                for export in reader.into_iter().map(|export| export.expect("an export")) {
                    if export.kind == ExternalKind::Func && export.name == name {
                        index = Some(export.index);
                    }
                }
            }
            _ => {}
        });
        let index = index.unwrap_or_else(|| panic!("the module exports no function {name:?}"));
        types[functions[index as usize] as usize].clone()
    }

    /// Makes an export name another function.
    fn redirect_export(&mut self, name: &str, index: u32) {
        let mut exports = ExportSection::new();
        self.each(|payload| {
            if let Payload::ExportSection(reader) = payload {
                for export in reader.into_iter().map(|export| export.expect("an export")) {
                    let kind = match export.kind {
                        ExternalKind::Func => wasm_encoder::ExportKind::Func,
                        ExternalKind::Table => wasm_encoder::ExportKind::Table,
                        ExternalKind::Memory => wasm_encoder::ExportKind::Memory,
                        ExternalKind::Global => wasm_encoder::ExportKind::Global,
                        other => panic!("an export of kind {other:?}"),
                    };
                    exports.export(export.name, kind, if export.name == name { index } else { export.index });
                }
            }
        });
        *self.section(CORE_EXPORTS) = section_body(&exports);
    }

    /// Where a component takes `evaluate` out of a core instance: the section,
    /// and the instance.
    fn take_evaluate(&self) -> (usize, u32) {
        for (at, (id, body)) in self.sections.iter().enumerate() {
            if *id != COMPONENT_ALIASES {
                continue;
            }
            for alias in aliases(body) {
                if let ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, instance_index, name: "evaluate" } = alias {
                    return (at, instance_index);
                }
            }
        }
        panic!("the component takes no `evaluate` out of a core instance");
    }

    /// Takes `evaluate` out of another core instance.
    fn redirect_evaluate(&mut self, section: usize, instance: u32) {
        let mut new = ComponentAliasSection::new();
        for mut alias in aliases(&self.sections[section].1) {
            if let ComponentAlias::CoreInstanceExport { instance_index, name: "evaluate", .. } = &mut alias {
                *instance_index = instance;
            }
            new.alias(RoundtripReencoder.component_alias(alias).expect("an alias that was read can be written"));
        }
        self.sections[section].1 = section_body(&new);
    }

    fn each(&self, mut visit: impl FnMut(Payload<'_>)) {
        let bytes = self.bytes();
        for payload in Parser::new(0).parse_all(&bytes) {
            visit(payload.expect("a module that was whole before"));
        }
    }
}

fn aliases(body: &[u8]) -> Vec<ComponentAlias<'_>> {
    let reader = wasmparser::BinaryReader::new(body, 0);
    let section = wasmparser::ComponentAliasSectionReader::new(reader).expect("an alias section");
    section.into_iter().map(|alias| alias.expect("an alias")).collect()
}

/// Gives the policy another name of the same length, wherever its name stands.
///
/// # Panics
///
/// If it stands nowhere, or the new name is of another length.
pub fn renamed(component: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "the new name takes as much room");
    let found: Vec<usize> =
        component.windows(old.len()).enumerate().filter(|(_, window)| *window == old.as_bytes()).map(|(at, _)| at).collect();
    assert!(!found.is_empty(), "{old} is nowhere in the component");
    let mut renamed = component.to_vec();
    for at in found {
        renamed[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of the shape that `wit-component` makes.
    fn plain() -> Vec<u8> {
        wat::parse_str(
            r#"(component
                (core module $m
                    (memory (export "memory") 1)
                    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
                    (func (export "evaluate") (param i32 i32) (result i32) i32.const 8))
                (core instance $i (instantiate $m))
                (alias core export $i "memory" (core memory $memory))
                (alias core export $i "evaluate" (core func $evaluate))
                (alias core export $i "cabi_realloc" (core func $realloc))
                (func $lifted (param "text" string) (result (list u8))
                    (canon lift (core func $evaluate) (memory $memory) (realloc $realloc)))
                (export "evaluate" (func $lifted)))"#,
        )
        .expect("a well-formed component")
    }

    #[test]
    fn a_binary_is_its_sections() {
        assert_eq!(Binary::of(&plain()).bytes(), plain());
    }

    #[test]
    fn every_forged_component_is_valid() {
        let plain = plain();
        assert!(slow_to_compile(&plain, 8_000, 16_000).len() > 128 * 1024);
        three_memories_in_one_module(&plain);
        three_memories_in_three_instances(&plain);
        trapping_in(&plain, "evaluate");
        let imported = with_import(&plain, "wasi:sockets/network@0.2.0");
        assert!(String::from_utf8_lossy(&imported).contains("wasi:sockets/network@0.2.0"));
        assert!(core_module(&plain).starts_with(b"\0asm\x01\0\0\0"));
    }
}
