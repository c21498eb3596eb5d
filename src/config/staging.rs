//! The small disk before a bucket without a section `disk`, and where it is unless it is configured.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::field::Field;
use super::section::Section;
use super::{DiskConfig, S3Config, defaults};
use crate::sys;

impl S3Config {
    /// The small disk before a bucket without a section `disk`: `staging_dir` and `staging_limit`; all else is
    /// default.
    pub fn staging(&self) -> DiskConfig {
        let default = || default_dir(|name| std::env::var_os(name), sys::is_superuser());
        // Without one the configuration was refused, unless there is a disk.
        let dir = self.staging_dir.clone().or_else(default).unwrap_or_default();
        DiskConfig::new(dir, self.staging_limit)
    }
}

/// A folder for the state of this service: never the one for temporary files, which belongs to all users and may be
/// emptied.
fn default_dir(variable: impl Fn(&str) -> Option<OsString>, is_superuser: bool) -> Option<PathBuf> {
    let folder = |name: &str| {
        let value = variable(name)?;
        // systemd may give several, in one order.
        let first = value.to_str().and_then(|value| value.split(':').next());
        let path = first.map_or_else(|| PathBuf::from(&value), PathBuf::from);
        path.is_absolute().then_some(path)
    };
    let of_user = || {
        let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
        Some(state?.join("chacha"))
    };
    let state = match folder("STATE_DIRECTORY") {
        Some(service) => Some(service),
        None if is_superuser => Some(Path::new("/var/lib/chacha").to_owned()),
        None => of_user(),
    };
    Some(state?.join("staging"))
}

/// Reads both keys.
pub(super) fn staging(section: &Section<'_>, config: &mut S3Config, has_disk: bool) {
    let least = |field: &Field<'_>| field.size(defaults::MIN_DISK_LIMIT);
    config.staging_dir = section.optional("staging_dir", Field::file_path);
    section.set(&mut config.staging_limit, "staging_limit", least);
    for name in ["staging_dir", "staging_limit"] {
        if let Some(field) = section.field(name).filter(|_| has_disk) {
            field.warn("is not used: with `disk`, bodies wait there; remove it");
        }
    }
    if !has_disk && section.field("staging_dir").is_none() && config.staging().dir.as_os_str().is_empty() {
        section.missing("staging_dir", "staging_dir: /var/lib/chacha/staging");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(variables: &[(&str, &str)], is_superuser: bool) -> Option<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        default_dir(variable, is_superuser).map(|dir| dir.display().to_string())
    }

    #[test]
    fn the_default_is_a_folder_of_the_service_or_of_its_user_and_never_a_shared_one() {
        let service = ("STATE_DIRECTORY", "/var/lib/ci-cache:/var/lib/other");
        let user = [("XDG_STATE_HOME", "/home/u/state"), ("HOME", "/home/u")];
        let all = [service, user[0], user[1]];
        assert_eq!(dir(&all, false).as_deref(), Some("/var/lib/ci-cache/staging"));
        assert_eq!(dir(&all, true).as_deref(), Some("/var/lib/ci-cache/staging"));
        assert_eq!(dir(&user, true).as_deref(), Some("/var/lib/chacha/staging"));
        assert_eq!(dir(&user, false).as_deref(), Some("/home/u/state/chacha/staging"));
        let home = dir(&user[1..], false);
        assert_eq!(home.as_deref(), Some("/home/u/.local/state/chacha/staging"));
        assert_eq!(
            dir(
                &[("HOME", ""), ("TMPDIR", "/tmp"), ("XDG_STATE_HOME", "state")],
                false
            ),
            None
        );
    }
}
