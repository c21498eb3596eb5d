//! From a path in the code of a module to the modules that it reaches.

use super::source::{ModulePath, Tree};

/// No path of ours goes through as many re-exports; a circle of them does.
const MAX_STEPS: usize = 32;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Modules that hand the name on, by a re-export.
    pub(crate) through: Vec<ModulePath>,
    /// The module that defines it, or is it.
    pub(crate) module: ModulePath,
    /// What is left of the path below that module: an item, its variant or method.
    pub(crate) item: Vec<String>,
}

impl Tree {
    /// Where `path` in the code of `here` leads; `None` if that is another crate.
    pub(crate) fn resolve(&self, here: &[String], path: &[String]) -> Option<Target> {
        self.from(here, path, MAX_STEPS)
    }

    fn from(&self, here: &[String], path: &[String], steps: usize) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let first = path.first()?;
        match first.as_str() {
            "crate" => self.walk(&[], &path[1..], steps),
            "self" => self.walk(here, &path[1..], steps),
            "super" => {
                let above = &here[..here.len().checked_sub(1)?];
                match path.get(1).map(String::as_str) {
                    Some("super") => self.from(above, &path[1..], steps),
                    _ => self.walk(above, &path[1..], steps),
                }
            }
            _ if self.knows(here, first) => self.walk(here, path, steps),
            _ => None,
        }
    }

    /// Whether a bare name means something of the crate in `here`.
    fn knows(&self, here: &[String], name: &str) -> bool {
        let Some(module) = self.modules.get(here) else {
            return false;
        };
        self.child(here, name).is_some() || module.bindings.contains_key(name) || module.items.contains(name)
    }

    fn child(&self, here: &[String], name: &str) -> Option<ModulePath> {
        let mut path = here.to_vec();
        path.push(name.to_owned());
        self.modules.contains_key(&path).then_some(path)
    }

    fn walk(&self, here: &[String], path: &[String], steps: usize) -> Option<Target> {
        let end = |item: &[String]| Target {
            through: Vec::new(),
            module: here.to_vec(),
            item: item.to_vec(),
        };
        let Some((first, rest)) = path.split_first() else {
            return Some(end(&[]));
        };
        if let Some(child) = self.child(here, first) {
            return self.walk(&child, rest, steps);
        }
        let module = self.modules.get(here)?;
        if let Some(binding) = module.bindings.get(first) {
            // A name that stands for itself is that of another crate.
            let itself = binding.len() == 1 && binding[0] == *first;
            let whole = [binding.as_slice(), rest].concat();
            return if itself {
                None
            } else {
                self.through(here, &whole, steps)
            };
        }
        if module.items.contains(first) {
            return Some(end(path));
        }
        let globs = module.globs.iter().filter_map(|glob| {
            let whole = [glob.as_slice(), path].concat();
            self.through(here, &whole, steps)
                .filter(|target| self.defines(target))
        });
        globs.into_iter().next().or_else(|| Some(end(path)))
    }

    fn through(&self, here: &[String], path: &[String], steps: usize) -> Option<Target> {
        let mut target = self.from(here, path, steps)?;
        target.through.insert(0, here.to_vec());
        Some(target)
    }

    /// Whether the item is known to be where the path has led.
    pub(crate) fn defines(&self, target: &Target) -> bool {
        let Some(module) = self.modules.get(&target.module) else {
            return false;
        };
        target.item.first().is_none_or(|item| module.items.contains(item))
    }
}
