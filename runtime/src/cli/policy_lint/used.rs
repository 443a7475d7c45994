//! Which declared fields are read, and which rules are found, anywhere in the sources.
//!
//! There is no compiler here that knows the types of expressions. The type of a parameter
//! stands in the source, and that is where fields come from; of anything else whose member
//! is read it is taken that it may be the fields. So what is reported is not read.

use std::collections::{BTreeSet, HashMap, HashSet};

use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};
use syn::{Expr, FnArg, Member, Pat, Type};

use super::declared::Declared;
use super::names::{Uses, members_in, paths_in, segments};
use super::source::{Crate, is_test};
use super::{Finding, Lint};

/// Says which fields nobody reads, and which rules nobody finds.
pub fn look(sources: &Crate, declared: &Declared, findings: &mut Vec<Finding>) {
    let structs: HashSet<String> = declared.fields.iter().map(|fields| fields.name.clone()).collect();
    let mut seen = Seen::default();
    for source in &sources.files {
        let uses = Uses::of(&source.parsed);
        let mut looking = Looking { structs: &structs, uses, known: HashMap::new(), own: None, seen: &mut seen };
        looking.visit_file(&source.parsed);
    }
    for fields in &declared.fields {
        for member in &fields.members {
            let is_read = seen.members.contains(&(Some(fields.name.clone()), member.name.clone()))
                || seen.members.contains(&(None, member.name.clone()));
            if !is_read && !declared.key.contains(&member.pointer) {
                let what = format!("the field `{}` ({}) is declared, and nothing reads it", member.name, member.pointer);
                let remedy = format!("take `{}` out of `{}`, or judge with it", member.name, fields.name);
                findings.push(Finding::new(&fields.file, member.at, Lint::UnusedField, what, remedy));
            }
        }
    }
    for rule in &declared.rules {
        let is_found = seen.paths.iter().any(|path| match &path[..] {
            [.., rules, variant] => *variant == rule.variant && (*rules == rule.rules || rules == "Self"),
            [variant] => *variant == rule.variant,
            [] => false,
        });
        if !is_found {
            let what = format!("nothing finds the rule `{}`", rule.id);
            let remedy = format!("find it (`out.find({}::{})`) or take the clause out", rule.rules, rule.variant);
            findings.push(Finding::new(&rule.file, rule.at, Lint::RuleNeverFound, what, remedy));
        }
    }
}

#[derive(Default)]
struct Seen {
    /// Members that are read: of which struct of fields, or of something unknown.
    members: BTreeSet<(Option<String>, String)>,
    /// Paths that are used as values, whole.
    paths: BTreeSet<Vec<String>>,
}

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    /// It is this struct of fields.
    Fields(String),
    /// It is something else.
    Other,
    Unknown,
}

struct Looking<'l> {
    structs: &'l HashSet<String>,
    uses: Uses,
    /// The variables of the function.
    known: HashMap<String, Known>,
    /// What `self` is.
    own: Option<Known>,
    seen: &'l mut Seen,
}

impl Looking<'_> {
    fn read(&mut self, of: Known, member: String) {
        match of {
            Known::Fields(name) => {
                self.seen.members.insert((Some(name), member));
            }
            Known::Other => {}
            Known::Unknown => {
                self.seen.members.insert((None, member));
            }
        }
    }

    fn variable(&self, name: &str) -> Known {
        match name {
            "self" => self.own.clone().unwrap_or(Known::Unknown),
            name => self.known.get(name).cloned().unwrap_or(Known::Unknown),
        }
    }

    fn type_of(&self, kind: &Type, generics: &HashSet<String>) -> Known {
        match kind {
            Type::Reference(reference) => self.type_of(&reference.elem, generics),
            Type::Paren(paren) => self.type_of(&paren.elem, generics),
            Type::Path(path) if path.qself.is_none() => {
                let (whole, _) = self.uses.whole(&segments(&path.path));
                let Some(last) = whole.last() else { return Known::Unknown };
                match whole.len() {
                    // `Self::Fields<'_>`, which is the one there is.
                    2 if whole[0] == "Self" && last == "Fields" => match self.structs.iter().next() {
                        Some(only) if self.structs.len() == 1 => Known::Fields(only.clone()),
                        _ => Known::Unknown,
                    },
                    _ if self.structs.contains(last) => Known::Fields(last.clone()),
                    1 if generics.contains(last) || last == "Self" => Known::Unknown,
                    _ => Known::Other,
                }
            }
            Type::Path(_) | Type::ImplTrait(_) | Type::TraitObject(_) | Type::Infer(_) | Type::Macro(_) => Known::Unknown,
            _ => Known::Other,
        }
    }

    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let generics: HashSet<String> = signature.generics.type_params().map(|parameter| parameter.ident.to_string()).collect();
        let before = std::mem::take(&mut self.known);
        for input in &signature.inputs {
            let FnArg::Typed(input) = input else { continue };
            let of = self.type_of(&input.ty, &generics);
            match &*input.pat {
                Pat::Ident(pat) => {
                    self.known.insert(pat.ident.to_string(), of);
                }
                pattern => self.pattern(pattern),
            }
        }
        // A name that stands for something else further down is not known any more.
        let mut others = Bound(HashSet::new());
        others.visit_block(body);
        for name in others.0 {
            self.known.insert(name, Known::Unknown);
        }
        self.visit_block(body);
        self.known = before;
    }

    /// Takes note of what a pattern takes out of a struct of fields.
    fn pattern(&mut self, pattern: &Pat) {
        struct Patterns<'p, 'l>(&'p mut Looking<'l>);
        impl<'ast> Visit<'ast> for Patterns<'_, '_> {
            fn visit_pat_struct(&mut self, pattern: &'ast syn::PatStruct) {
                self.0.taken(pattern);
                visit::visit_pat_struct(self, pattern);
            }
        }
        Patterns(self).visit_pat(pattern);
    }

    fn taken(&mut self, pattern: &syn::PatStruct) {
        let (whole, _) = self.uses.whole(&segments(&pattern.path));
        let of = match whole.last() {
            Some(last) if self.structs.contains(last) => Known::Fields(last.clone()),
            Some(last) if last == "Self" => self.own.clone().unwrap_or(Known::Unknown),
            _ => return,
        };
        for field in &pattern.fields {
            let is_dropped = match &*field.pat {
                Pat::Wild(_) => true,
                Pat::Ident(ident) => ident.ident.to_string().starts_with('_'),
                _ => false,
            };
            if let (false, Member::Named(name)) = (is_dropped, &field.member) {
                self.read(of.clone(), name.unraw().to_string());
            }
        }
    }
}

/// Names that patterns bind.
struct Bound(HashSet<String>);

impl<'ast> Visit<'ast> for Bound {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.0.insert(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

impl<'ast> Visit<'ast> for Looking<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if is_test(&item.attrs) {
            return;
        }
        let generics = item.generics.type_params().map(|parameter| parameter.ident.to_string()).collect();
        let before = self.own.replace(self.type_of(&item.self_ty, &generics));
        visit::visit_item_impl(self, item);
        self.own = before;
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test(&function.attrs) {
            self.function(&function.sig, &function.block);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            self.function(&function.sig, &function.block);
        }
    }

    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        if let Member::Named(name) = &field.member {
            let of = match &*field.base {
                Expr::Path(path) => path.path.get_ident().map_or(Known::Unknown, |ident| self.variable(&ident.to_string())),
                _ => Known::Unknown,
            };
            self.read(of, name.unraw().to_string());
        }
        visit::visit_expr_field(self, field);
    }

    fn visit_pat_struct(&mut self, pattern: &'ast syn::PatStruct) {
        self.taken(pattern);
        visit::visit_pat_struct(self, pattern);
    }

    fn visit_pat(&mut self, pattern: &'ast Pat) {
        // A variant that is matched is not one that is found.
        if !matches!(pattern, Pat::Path(_)) {
            visit::visit_pat(self, pattern);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let (whole, _) = self.uses.whole(&segments(&path.path));
        self.seen.paths.insert(whole);
        visit::visit_expr_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        for (base, member) in members_in(called.tokens.clone()) {
            let of = base.map_or(Known::Unknown, |base| self.variable(&base));
            self.read(of, member);
        }
        for (path, _) in paths_in(called.tokens.clone()) {
            self.seen.paths.insert(self.uses.whole(&path).0);
        }
        visit::visit_macro(self, called);
    }
}

#[cfg(test)]
mod tests {
    use super::super::declared;
    use super::super::source::{Source, Text};
    use super::*;

    const DECLARED: &str = r#"
        #[derive(Fields)]
        struct Order<'a> {
            #[field("/data/a", purpose = "one thing")] a: &'a str,
            #[field("/data/b", purpose = "two things")] b: i64,
            #[field("/data/c", purpose = "three things")] c: i64,
        }
        #[derive(Rules, Clone, Copy)]
        enum Rule {
            #[rule(id = "x", action = flag, severity = low, legal_basis = "Order Act, section 5", en = "x", zh = "x")] X,
            #[rule(id = "y", action = flag, severity = low, legal_basis = "Order Act, section 6", en = "y", zh = "y")] Y,
        }
        #[policy(name = "p", summary = "s", events = ["e"], key = ["/data/a"], state_version = 1)]
        impl Policy for P { type Rule = Rule; }
    "#;

    fn found(code: &str) -> Vec<String> {
        let code = format!("{DECLARED}{code}");
        let text = Text { shown: "src/lib.rs".into(), text: code.clone() };
        let manifest = Text { shown: "Cargo.toml".into(), text: String::new() };
        let source = Source { text, parsed: syn::parse_file(&code).expect("Rust") };
        let sources = Crate { files: vec![source], manifest };
        let mut findings = Vec::new();
        let declared = declared::look(&sources, &mut findings);
        look(&sources, &declared, &mut findings);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn what_is_read_and_found_is_not_reported() {
        let rules = "fn r(out: &mut Out<Rule>) { out.find(Rule::X); let r = if true { Rule::Y } else { Rule::X }; }";
        for code in [
            "fn f(o: Order<'_>) { o.b; o.c; }",
            "fn f(o: &Order<'_>) { let Order { b, c: other, .. } = o; }",
            "fn f(Order { b, c, .. }: Order<'_>) {}",
            "fn f(o: Order<'_>) { println!(\"{} {}\", o.b, o.c + 1); }",
            "impl Order<'_> { fn f(&self) -> i64 { self.b + self.c } }",
            "fn f(o: Option<Order<'_>>) { o.map(|o| o.b + o.c); }",
            "fn f(all: &[Order<'_>]) { all[0].b; all[0].c; }",
            "impl Policy for Q { fn f(&self, o: Self::Fields<'_>) { o.b; o.c; } }",
        ] {
            assert_eq!(found(&format!("{code} {rules}")), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_reported() {
        let unused = |field: &str| format!("the field `{field}` (/data/{field}) is declared, and nothing reads it");
        for code in [
            "fn f(o: Order<'_>, state: &mut State) { o.b; state.c; }",
            "impl Other { fn f(&self, o: Order<'_>) { o.b; self.c; } }",
            "fn f(o: Order<'_>) { let Order { b, c: _, .. } = o; }",
            "fn f(o: Order<'_>) { o.b; } #[cfg(test)] mod tests { fn f(o: Order<'_>) { o.c; } }",
        ] {
            let code = format!("{code} fn r(out: &mut Out<Rule>) {{ out.find(Rule::X); }}");
            assert_eq!(found(&code), [unused("c"), "nothing finds the rule `y`".to_string()], "{code}");
        }
        let matched = "fn f(o: Order<'_>) { o.b; o.c; } fn r(r: Rule) { match r { Rule::X => {} Rule::Y => {} } }";
        assert_eq!(found(matched).len(), 2, "a rule that is matched is not found");
    }
}
