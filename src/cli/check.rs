//! `chacha check`: the checks of `run`, without opening anything.

use std::path::Path;
use std::process::ExitCode;

pub(super) fn execute(file: &Path) -> ExitCode {
    let loaded = match super::load(file) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        super::say(&format!("warning: {warning}"));
    }
    super::say(&format!(
        "{}: ok, {} warnings",
        file.display(),
        loaded.warnings.len()
    ));
    ExitCode::SUCCESS
}
