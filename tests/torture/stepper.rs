//! Builds `stepper.c`, which kills a server right before the nth system call that changes a file.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("stepper.c");

/// The program, or nothing where it cannot be built or may not work (no C compiler, no `seccomp`).
pub(crate) fn build(dir: &Path) -> Option<PathBuf> {
    let (source, program) = (dir.join("stepper.c"), dir.join("stepper"));
    std::fs::write(&source, SOURCE).ok()?;
    let built = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(&source)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return None;
    }
    let report = dir.join("stepper-works");
    let tried = Command::new(&program)
        .arg("0")
        .arg(dir)
        .arg(report)
        .arg("/bin/true")
        .status();
    tried.is_ok_and(|status| status.success()).then_some(program)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_program_ends_before_the_call_that_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let Some(program) = build(dir.path()) else { return };
        let place = dir.path().join("files");
        std::fs::create_dir(&place).unwrap();
        let report = dir.path().join("report");
        // Makes x, writes to it, renames it.
        for (calls, files) in [(1, vec![]), (3, vec!["x"]), (4, vec!["y"])] {
            let script = "echo 1 > x; mv x y; rm y";
            let mut command = Command::new(&program);
            command.arg(calls.to_string()).arg(&place).arg(&report);
            command.args(["/bin/sh", "-c", script]).current_dir(&place);
            let status = command.status().unwrap();
            assert_eq!(status.signal(), Some(9), "{calls}");
            let left: Vec<_> = std::fs::read_dir(&place)
                .unwrap()
                .map(|file| file.unwrap().file_name())
                .collect();
            assert_eq!(left, files, "{calls}");
            for file in left {
                std::fs::remove_file(place.join(file)).unwrap();
            }
        }
    }
}
