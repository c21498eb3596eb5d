//! The modules of a crate, read from its files: what each defines, names and re-exports.
//!
//! A file is taken apart by `proc_macro2`, so comments and texts never count. Nothing is expanded: what a macro
//! makes is known by the words of its call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::imports::{self, Import};

/// The path of a module below the crate: `store`, `disk`.
pub(crate) type ModulePath = Vec<String>;

/// A module: a file, or a `mod` with a body inside of one.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The file, below `src`.
    pub(crate) file: String,
    /// Whether it is compiled for tests only.
    pub(crate) test: bool,
    /// What `use` brings into it, also what it re-exports: the name here, and the path.
    pub(crate) bindings: BTreeMap<String, Vec<String>>,
    /// Modules whose names it takes all.
    pub(crate) globs: Vec<Vec<String>>,
    /// Every path in its code; `true` for code that is compiled for tests only.
    pub(crate) mentions: BTreeSet<(Vec<String>, bool)>,
    /// What it defines, methods included.
    pub(crate) items: BTreeSet<String>,
    /// Every word of its code.
    pub(crate) words: BTreeSet<String>,
}

/// All modules of a crate.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) modules: BTreeMap<ModulePath, Module>,
}

impl Tree {
    /// Reads the files below `root`.
    pub(crate) fn load(root: &Path) -> Self {
        let mut files = Vec::new();
        collect(root, root, &mut files);
        Self::new(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// A tree of files: the name below `src`, and the text.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self::default();
        for (file, text) in files {
            let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut scan = Scan {
                tree: &mut tree,
                file,
            };
            scan.module(module_of(file), tokens, false);
        }
        tree.spread_tests();
        tree
    }

    /// A module below one for tests is for tests, too.
    fn spread_tests(&mut self) {
        let tests: Vec<ModulePath> = self
            .modules
            .iter()
            .filter(|(_, module)| module.test)
            .map(|(path, _)| path.clone())
            .collect();
        for (path, module) in &mut self.modules {
            module.test |= tests.iter().any(|test| path.starts_with(test));
        }
    }

    /// The module that is a file of its own and holds `path`.
    pub(crate) fn file_module<'p>(&self, path: &'p [String]) -> &'p [String] {
        let file = |path: &[String]| self.modules.get(path).map(|module| module.file.as_str());
        let mut end = path.len();
        while end > 0 && file(&path[..end]) == file(&path[..end - 1]) {
            end -= 1;
        }
        &path[..end]
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// `store/disk/mod.rs` is `store::disk`; `lib.rs` is the crate itself, and `main.rs` another one.
fn module_of(file: &str) -> ModulePath {
    let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
    match name {
        "lib" => Vec::new(),
        name => name.split('/').map(str::to_owned).collect(),
    }
}

struct Scan<'t> {
    tree: &'t mut Tree,
    file: &'t str,
}

/// What the attributes in front of an item have said.
#[derive(Clone, Copy)]
struct Context<'p> {
    here: &'p ModulePath,
    test: bool,
}

impl Scan<'_> {
    fn module(&mut self, path: ModulePath, tokens: TokenStream, test: bool) {
        let module = self.tree.modules.entry(path.clone()).or_default();
        self.file.clone_into(&mut module.file);
        module.test |= test;
        self.code(Context { here: &path, test }, tokens);
    }

    fn code(&mut self, context: Context<'_>, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let (mut at, mut test) = (0, context.test);
        while at < tokens.len() {
            let rest = &tokens[at..];
            if let Some((length, for_tests)) = attribute(rest) {
                test |= for_tests;
                at += length;
                continue;
            }
            at += self.item(Context { test, ..context }, rest);
            if ends_item(&tokens[at - 1]) {
                test = context.test;
            }
        }
    }

    /// Takes what `tokens` begin with; returns how many tokens that was.
    fn item(&mut self, context: Context<'_>, tokens: &[TokenTree]) -> usize {
        match &tokens[0] {
            TokenTree::Group(group) => {
                self.code(context, group.stream());
                1
            }
            TokenTree::Ident(word) => self.word(context, &word.to_string(), tokens),
            _ => 1,
        }
    }

    fn word(&mut self, context: Context<'_>, word: &str, tokens: &[TokenTree]) -> usize {
        let name = match tokens.get(1) {
            Some(TokenTree::Ident(name)) => name.to_string(),
            _ => String::new(),
        };
        match word {
            "mod" if !name.is_empty() => return self.submodule(context, &name, tokens),
            // Not `impl Trait + use<>`.
            "use" if !tokens.get(1).is_some_and(|token| is_punct(token, '<')) => {
                return self.imports(context, tokens);
            }
            "struct" | "enum" | "trait" | "type" | "fn" | "const" | "static" | "union" => {
                self.here(context).items.insert(name);
            }
            _ => {}
        }
        let (path, length) = imports::path(tokens);
        let module = self.here(context);
        module.words.extend(path.iter().cloned());
        if path.len() > 1 {
            module.mentions.insert((path, context.test));
        }
        length
    }

    /// `mod name;` or `mod name { .. }`.
    fn submodule(&mut self, context: Context<'_>, name: &str, tokens: &[TokenTree]) -> usize {
        let mut path = context.here.clone();
        path.push(name.to_owned());
        match tokens.get(2) {
            Some(TokenTree::Group(group)) => self.module(path, group.stream(), context.test),
            _ => self.tree.modules.entry(path).or_default().test |= context.test,
        }
        3.min(tokens.len())
    }

    fn imports(&mut self, context: Context<'_>, tokens: &[TokenTree]) -> usize {
        let end = tokens.iter().position(|token| is_punct(token, ';'));
        let end = end.unwrap_or(tokens.len());
        let imports = imports::of_use(&tokens[1..end]);
        let module = self.here(context);
        for import in imports {
            let path = match import {
                Import::Name { path, name } => {
                    module.words.insert(name.clone());
                    module.bindings.insert(name, path.clone());
                    path
                }
                Import::Glob(path) => {
                    module.globs.push(path.clone());
                    path
                }
            };
            module.mentions.insert((path, context.test));
        }
        end + 1
    }

    fn here(&mut self, context: Context<'_>) -> &mut Module {
        self.tree.modules.entry(context.here.clone()).or_default()
    }
}

/// The length of the attribute that `tokens` begin with, and whether what follows is for tests only.
fn attribute(tokens: &[TokenTree]) -> Option<(usize, bool)> {
    if !is_punct(&tokens[0], '#') {
        return None;
    }
    let at = 1 + usize::from(tokens.get(1).is_some_and(|token| is_punct(token, '!')));
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            let text = group.stream().to_string().replace(' ', "");
            Some((at + 1, text == "cfg(test)"))
        }
        _ => None,
    }
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(token, ';'),
    }
}

pub(super) fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}
