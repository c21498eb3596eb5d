//! What a round leaves: counts, faults, and each operation as a line of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::plan::Mode;

/// Shows of each kind only so many faults; the file has all.
const SHOWN: usize = 3;

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) mode: Mode,
    folder: PathBuf,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    lines: Vec<Value>,
    counts: BTreeMap<String, u64>,
    faults: BTreeSet<String>,
    figures: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn new(seed: u64, mode: Mode, reports: &Path) -> Self {
        Self {
            seed,
            mode,
            folder: reports.join(format!("{mode}-{seed}")),
            pages: Mutex::default(),
        }
    }

    /// Notes an operation or an event.
    pub(crate) fn note(&self, at: u64, what: &str, details: Value) {
        let mut line = json!({"at": at, "what": what});
        if let (Some(line), Value::Object(details)) = (line.as_object_mut(), details) {
            line.extend(details);
        }
        self.pages.lock().unwrap().lines.push(line);
    }

    pub(crate) fn count(&self, what: impl Into<String>) {
        *self.pages.lock().unwrap().counts.entry(what.into()).or_default() += 1;
    }

    /// Keeps the largest value of a figure.
    pub(crate) fn figure(&self, name: &'static str, value: u64) {
        let mut pages = self.pages.lock().unwrap();
        let figure = pages.figures.entry(name).or_default();
        *figure = value.max(*figure);
    }

    /// Notes something that must not be. The text begins with its kind and a colon.
    pub(crate) fn fault(&self, text: impl Into<String>) {
        self.pages.lock().unwrap().faults.insert(text.into());
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.pages.lock().unwrap().faults.is_empty()
    }

    /// The lines for the terminal.
    pub(crate) fn summary(&self, seconds: f64) -> String {
        let pages = self.pages.lock().unwrap();
        let pairs = |map: &BTreeMap<String, u64>| {
            map.iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let figures = pages
            .figures
            .iter()
            .map(|(name, value)| (String::from(*name), *value))
            .collect();
        let word = if pages.faults.is_empty() { "ok" } else { "FAILED" };
        let mut text = format!(
            "round {} seed {}: {word} ({seconds:.0} s)\n",
            self.mode, self.seed
        );
        text += &format!("  {}\n  {}\n", pairs(&pages.counts), pairs(&figures));
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for fault in &pages.faults {
            let kind = fault
                .split(": ")
                .find(|word| !word.starts_with('['))
                .unwrap_or_default();
            let seen = kinds.entry(kind).or_default();
            *seen += 1;
            if *seen <= SHOWN {
                text += &format!("  FAULT {fault}\n");
            }
        }
        if !pages.faults.is_empty() {
            let kinds: Vec<_> = kinds
                .iter()
                .map(|(kind, count)| format!("{kind} x{count}"))
                .collect();
            text += &format!(
                "  kinds: {}\n  files: {}\n",
                kinds.join(", "),
                self.folder.display()
            );
            text += &format!(
                "  again: TORTURE_SEED={} TORTURE_MODE={} .ci/long/torture\n",
                self.seed, self.mode
            );
        }
        text
    }

    /// Writes all operations, all faults, and the logs of the servers below `home`.
    pub(crate) fn save(&self, home: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let pages = self.pages.lock().unwrap();
        let lines: String = pages.lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(self.folder.join("operations.jsonl"), lines)?;
        let faults: String = pages.faults.iter().map(|fault| format!("{fault}\n")).collect();
        std::fs::write(self.folder.join("faults"), faults)?;
        for server in std::fs::read_dir(home)?.flatten() {
            for name in ["log", "config.yaml"] {
                let target = self
                    .folder
                    .join(format!("{}-{name}", server.file_name().display()));
                // A folder that is no server's has neither.
                std::fs::copy(server.path().join(name), target).ok();
            }
        }
        Ok(())
    }
}
