//! How much memory there is.

use std::path::{Path, PathBuf};

/// Bytes of memory that this process may use: those of the machine, or fewer if a control group says so. `None` where
/// the system does not tell (only Linux does).
pub fn memory_size() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| total(&text));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(files).filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        text.trim().parse().ok()
    });
    limits.chain(machine).min()
}

/// `MemTotal` of `/proc/meminfo`, there in KiB.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

/// The files with the limits of a control group and of those above it, by a line of `/proc/self/cgroup`
/// (cgroups(7)). Without a limit they hold a word, or a number far above any memory.
fn files(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (root, name) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        list if list.split(',').any(|one| one == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = Path::new(group.trim_start_matches('/'));
    // In a container the group is often told as the machine sees it, and the files are at the root.
    let above = group
        .ancestors()
        .map(|group| Path::new(root).join(group).join(name));
    above.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read_as_linux_writes_it() {
        let text = "MemTotal:       16384256 kB\nMemFree:         1048576 kB\n";
        assert_eq!(total(text), Some(16_384_256 * 1024));
        for bad in ["", "MemFree: 5 kB", "MemTotal: many kB", "MemTotal: 5 MB"] {
            assert_eq!(total(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_limits_of_a_group_and_of_all_above_it_are_looked_for() {
        let shown = |line| -> Vec<String> {
            let files = files(line);
            files.iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            shown("0::/system.slice/chacha.service"),
            [
                "/sys/fs/cgroup/system.slice/chacha.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(shown("0::/"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            shown("9:hugetlb,memory:/docker/x").last().map(String::as_str),
            Some("/sys/fs/cgroup/memory/memory.limit_in_bytes")
        );
        assert!(shown("4:cpu,cpuacct:/x").is_empty() && shown("").is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(memory_size().is_some_and(|bytes| bytes > 1 << 24));
    }
}
