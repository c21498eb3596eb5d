//! The directory is shut to other users, and nothing in it is taken over from one.
//!
//! Whoever can write into the directory can change the bodies in it, and whoever can read it reads the entries of
//! all tenants. So it belongs to the user of this process, and has the mode 0700 if all that is in it is ours. The
//! administrator may own it, as volumes of containers are made, and so may whoever owns all files of a network volume.
//! Our folders in it are shut in any case.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::format::VERSION;
use super::layout::{Layout, TopName};
use crate::sys;

/// The user id of the administrator.
const ROOT: u32 = 0;
/// Others may read, write or enter.
const OPEN: u32 = 0o077;
/// Others may write.
const WRITABLE: u32 = 0o022;
/// Only the owner of a file may replace it.
const STICKY: u32 = 0o1000;

/// Blocking: refuses a link that another user made.
pub(super) fn check_link(root: &Path) -> io::Result<()> {
    match sys::if_exists(fs::symlink_metadata(root))? {
        Some(found) if found.is_symlink() && !is_trusted(&found, root)? => Err(foreign(&found)),
        _ => Ok(()),
    }
}

/// Blocking: refuses a directory of another user, and shuts others out of it if `all_ours`. Answers whether others
/// could still replace what is in it.
pub(super) fn shut(root: &Path, all_ours: bool) -> io::Result<bool> {
    let metadata = fs::metadata(root)?;
    if !is_trusted(&metadata, root)? {
        return Err(foreign(&metadata));
    }
    let mode = metadata.permissions().mode();
    if all_ours && mode & OPEN != 0 && sys::is_own(&metadata) {
        fs::set_permissions(root, Permissions::from_mode(0o700))?;
        return Ok(false);
    }
    Ok(mode & WRITABLE != 0 && mode & STICKY == 0)
}

/// Blocking: refuses what stands under our names and is not ours: a link, a file of another user.
pub(super) fn check_names(layout: &Layout) -> io::Result<()> {
    let names = TopName::ALL.iter().map(|name| layout.path(*name));
    for path in names.chain([layout.lock(), layout.format()]) {
        let Some(found) = sys::if_exists(fs::symlink_metadata(&path))? else {
            continue;
        };
        if found.is_symlink() {
            let text = format!("{} is a link; remove it", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        if !is_trusted(&found, layout.root())? {
            return Err(foreign(&found));
        }
        if found.is_dir() && found.permissions().mode() & OPEN != 0 && sys::is_own(&found) {
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Blocking: marks the directory as ours.
pub(super) fn write_format(layout: &Layout) -> io::Result<()> {
    let mut file = sys::open_private(&layout.format())?;
    file.set_len(0)?;
    writeln!(file, "{VERSION}")?;
    // The mark has to be there after a power loss if entries are.
    file.sync_all()
}

/// Whether a file belongs to the administrator or to us. Some network volumes give all files one owner: then ours
/// have it, too.
fn is_trusted(found: &Metadata, root: &Path) -> io::Result<bool> {
    if sys::is_own(found) || found.uid() == ROOT {
        return Ok(true);
    }
    match owner_of_new_files(root) {
        Ok(owner) => Ok(owner == found.uid()),
        // Where we cannot write, nothing of ours can be.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error),
    }
}

/// The user to whom the volume gives what this process makes.
fn owner_of_new_files(root: &Path) -> io::Result<u32> {
    let path = root.join(format!(".owner-{}", std::process::id()));
    let made = File::create_new(&path)?;
    let owner = made.metadata().map(|metadata| metadata.uid());
    fs::remove_file(&path)?;
    owner
}

fn foreign(found: &Metadata) -> io::Error {
    let text = format!(
        "it belongs to another user (uid {}), who could change the entries; chown it to the user of this server",
        found.uid()
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}
