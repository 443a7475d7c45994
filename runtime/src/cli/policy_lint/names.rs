//! Names as they are used: what each stands for, by the uses of the file.

use std::collections::HashMap;

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::UseTree;
use syn::visit::{self, Visit};

use super::source::is_test;

/// What the uses of a file bring in.
#[derive(Debug, Default)]
pub struct Uses {
    /// By the name in the file: the whole path, and the line of the use.
    names: HashMap<String, (Vec<String>, usize)>,
    /// Paths of which everything is brought in.
    pub globs: Vec<Vec<String>>,
}

impl Uses {
    pub fn of(file: &syn::File) -> Self {
        let mut uses = Uses::default();
        uses.visit_file(file);
        uses
    }

    fn take(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.take(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = before.last() {
                    self.names.insert(last.clone(), (before.clone(), name.ident.span().start().line));
                }
            }
            UseTree::Name(name) => self.bring(&name.ident, &name.ident, before),
            UseTree::Rename(rename) => self.bring(&rename.rename, &rename.ident, before),
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take(tree, before)),
        }
    }

    fn bring(&mut self, here: &Ident, there: &Ident, before: &[String]) {
        let path = before.iter().cloned().chain([there.to_string()]).collect();
        self.names.insert(here.to_string(), (path, here.span().start().line));
    }

    /// The whole path of a name that is used, and the line of the use that brings it in.
    pub fn whole(&self, path: &[String]) -> (Vec<String>, Option<usize>) {
        let Some((first, rest)) = path.split_first() else { return (Vec::new(), None) };
        match self.names.get(first) {
            Some((whole, line)) => (whole.iter().chain(rest).cloned().collect(), Some(*line)),
            None => (path.to_vec(), None),
        }
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take(&item.tree, &mut Vec::new());
    }
}

/// The segments of a path.
pub fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Runs of `a::b::c` in the arguments of a macro, which no parser knows.
pub fn paths_in(tokens: TokenStream) -> Vec<(Vec<String>, Span)> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<(Vec<String>, Span)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => collect(group.stream(), found),
            // What is behind a dot is a member or a method.
            TokenTree::Ident(ident) if !is_behind_dot(&tokens, at) => {
                let (mut path, span) = (vec![ident.to_string()], ident.span());
                while colon(at + 1) && colon(at + 2) {
                    let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                    path.push(next.to_string());
                    at += 3;
                }
                found.push((path, span));
            }
            _ => {}
        }
        at += 1;
    }
}

/// Members that are read in the arguments of a macro: of which variable, if it is one.
pub fn members_in(tokens: TokenStream) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    members(tokens, &mut found);
    found
}

fn members(tokens: TokenStream, found: &mut Vec<(Option<String>, String)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => members(group.stream(), found),
            TokenTree::Ident(ident) if is_behind_dot(&tokens, at) => {
                let is_call = matches!(tokens.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
                let base = match at.checked_sub(2).and_then(|before| tokens.get(before).map(|token| (before, token))) {
                    Some((before, TokenTree::Ident(base))) if !is_behind_dot(&tokens, before) => Some(base.to_string()),
                    _ => None,
                };
                if !is_call {
                    found.push((base, ident.to_string()));
                }
            }
            _ => {}
        }
    }
}

fn is_behind_dot(tokens: &[TokenTree], at: usize) -> bool {
    let dot = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == '.');
    // Two dots are a range.
    at >= 1 && dot(at - 1) && !(at >= 2 && dot(at - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_followed_through_uses() {
        let file = "use std::time::{self, SystemTime as Clock}; use std::collections::*; mod inner { use std::fs; }
            #[cfg(test)] mod tests { use std::net; }";
        let uses = Uses::of(&syn::parse_file(file).expect("Rust"));
        let whole = |path: &str| uses.whole(&path.split("::").map(str::to_string).collect::<Vec<_>>()).0.join("::");
        assert_eq!(whole("Clock::now"), "std::time::SystemTime::now");
        assert_eq!(whole("time::Instant"), "std::time::Instant");
        assert_eq!(whole("fs::read"), "std::fs::read");
        assert_eq!(whole("net::TcpStream"), "net::TcpStream");
        assert_eq!(uses.globs, [["std", "collections"]]);
    }

    #[test]
    fn the_arguments_of_a_macro_are_read() {
        let tokens = || "\"{}\", order.amount, self.of(order.lines.len()), a::b::c(1..x.y)".parse::<TokenStream>().expect("tokens");
        let paths: Vec<String> = paths_in(tokens()).into_iter().map(|(path, _)| path.join("::")).collect();
        assert!(paths.contains(&"a::b::c".to_string()) && !paths.contains(&"amount".to_string()), "{paths:?}");
        let some = |base: &str, member: &str| (Some(base.to_string()), member.to_string());
        assert_eq!(members_in(tokens()), [some("order", "amount"), some("order", "lines"), some("x", "y")]);
    }
}
