//! Looks at a server from outside: its directory, its process, its metrics.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes as `du` counts them: blocks, each file once.
pub(crate) fn du(dir: &Path) -> u64 {
    let mut seen = HashSet::new();
    let mut total = 0;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(own) = fs::symlink_metadata(&folder) else {
            continue;
        };
        total += own.blocks() * 512;
        for file in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(about) = file.metadata() else { continue };
            if about.is_dir() {
                folders.push(file.path());
            } else if seen.insert((about.dev(), about.ino())) {
                total += about.blocks() * 512;
            }
        }
    }
    total
}

/// The same for each thing in it, as a text.
pub(crate) fn du_of_parts(dir: &Path) -> String {
    let parts = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut parts: Vec<String> = parts
        .map(|part| format!("{} {}", part.file_name().display(), du(&part.path())))
        .collect();
    parts.sort();
    parts.join(", ")
}

/// All files below a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        match file.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => found.extend(files(&file.path())),
            false => found.push(file.path()),
        }
    }
    found.sort();
    found
}

/// Bytes of files that a process holds open although their names below `dir` are gone.
pub(crate) fn unlinked(pid: u32, dir: &Path) -> u64 {
    let mut seen = HashSet::new();
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let held = open.filter_map(|link| {
        let target = fs::read_link(link.path()).ok()?;
        let about = fs::metadata(link.path()).ok()?;
        let is_ours = target.starts_with(dir) && about.nlink() == 0;
        (is_ours && seen.insert((about.dev(), about.ino()))).then_some(about.blocks() * 512)
    });
    held.sum()
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    /// The memory that it has now, in bytes.
    pub(crate) memory: u64,
    /// The most memory it had at once, in bytes.
    pub(crate) peak_memory: u64,
    /// Processor time so far, in hundredths of a second.
    pub(crate) processor: u64,
}

pub(crate) fn held(pid: u32) -> Held {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let status = read("status");
    let bytes = |name: &str| {
        let text = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(text.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    let stat = read("stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let times = after_name.split_whitespace().skip(11).take(2);
    Held {
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        memory: bytes("VmRSS:").unwrap_or_default(),
        peak_memory: bytes("VmHWM:").unwrap_or_default(),
        processor: times.filter_map(|text| text.parse::<u64>().ok()).sum(),
    }
}

/// The value of a metric without labels in a page of metrics.
pub(crate) fn metric(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.split(' ').nth(1)?.parse().ok()
}
