//! What a power loss leaves of files that were written in the last seconds and never synced.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::inspect;
use crate::rng::Rng;

/// The kernel writes pages after some seconds; what is older has arrived.
const UNWRITTEN: Duration = Duration::from_secs(5);
const PAGE_BYTES: u64 = 4096;

/// Damages some of the young files below `dir`; says which and how.
pub(crate) fn power_loss(dir: &Path, rng: &mut Rng) -> Vec<String> {
    let mut done = Vec::new();
    // Pages of bodies and of the small files that describe them arrive apart from each other.
    let (bodies, records) = *rng.pick(&[(true, true), (true, false), (false, true)]);
    for path in inspect::files(dir) {
        let young = path
            .metadata()
            .ok()
            .and_then(|about| about.modified().ok()?.elapsed().ok());
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        // What a start syncs before it goes on.
        let is_body = name.starts_with("entries/") || name.starts_with("tmp/") || name.ends_with(".data");
        let is_hit = if is_body { bodies } else { records };
        let is_kept = name.starts_with("server/") || name == "lock" || name == "format";
        if is_kept || !is_hit || young.is_none_or(|age| age >= UNWRITTEN) || !rng.chance(50) {
            continue;
        }
        if let Some(how) = damage(&path, rng) {
            done.push(format!("{name}: {how}"));
        }
    }
    done
}

fn damage(path: &Path, rng: &mut Rng) -> Option<String> {
    let file = File::options().write(true).open(path).ok()?;
    let len = file.metadata().ok()?.len();
    if len == 0 {
        return None;
    }
    if rng.chance(30) {
        let left = rng.below(len);
        file.set_len(left).ok()?;
        return Some(format!("cut to {left} of {len}"));
    }
    let pages = len.div_ceil(PAGE_BYTES);
    let first = rng.below(pages);
    let count = rng.between(1, (pages - first).min(32));
    let from = first * PAGE_BYTES;
    let to = ((first + count) * PAGE_BYTES).min(len);
    file.write_all_at(&vec![0; (to - from) as usize], from).ok()?;
    Some(format!("zeros at {from}..{to} of {len}"))
}
