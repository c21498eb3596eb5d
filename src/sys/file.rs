//! Files: reading, writing and sending them, what they take, and how many there may be.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Whether the byte at `offset` can be read without waiting for a disk.
pub fn is_resident(file: &File, offset: u64) -> bool {
    matches!(read_at_nowait(file, &mut [0; 1], offset), Ok(1))
}

/// Whether [`is_resident`] can say "no" of this file for a better reason than that it cannot tell.
#[cfg(target_os = "linux")]
pub fn tells_residency(file: &File) -> bool {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    let mut byte = [0; 1];
    let read = preadv2(
        file,
        &mut [io::IoSliceMut::new(&mut byte)],
        0,
        ReadWriteFlags::NOWAIT,
    );
    read != Err(Errno::OPNOTSUPP)
}

/// Nothing tells here.
#[cfg(not(target_os = "linux"))]
pub fn tells_residency(_file: &File) -> bool {
    false
}

/// Reads what is in the page cache and nothing else (`RWF_NOWAIT`, Linux 4.14).
///
/// # Errors
/// `WouldBlock` if the bytes would have to come from the disk.
#[cfg(target_os = "linux")]
pub fn read_at_nowait(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    match preadv2(
        file,
        &mut [io::IoSliceMut::new(buffer)],
        offset,
        ReadWriteFlags::NOWAIT,
    ) {
        // A file system that does not know the flag may be in memory, and then never waits, or on another
        // machine, and then does.
        Err(Errno::OPNOTSUPP) if is_in_memory(file) => file.read_at(buffer, offset),
        Err(Errno::OPNOTSUPP) => Err(io::ErrorKind::WouldBlock.into()),
        other => Ok(other?),
    }
}

/// Whether a file has no disk behind it (tmpfs, ramfs).
#[cfg(target_os = "linux")]
fn is_in_memory(file: &File) -> bool {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    // The type of the field differs between processors; the numbers have 32 bits.
    rustix::fs::fstatfs(file).is_ok_and(|system| matches!(system.f_type as u64 & 0xffff_ffff, TMPFS | RAMFS))
}

/// `None` if what was asked for is not there.
pub fn if_exists<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Whether an error of a read says that the volume has lost these bytes: another attempt gives the same.
pub fn is_unreadable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::BADMSG))
}

/// Cannot be asked here: the caller takes the blocking way.
///
/// # Errors
/// Always `WouldBlock`.
#[cfg(not(target_os = "linux"))]
pub fn read_at_nowait(_file: &File, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Blocking: makes a folder that only this user can look into, and what is missing above it. One that is
/// there already stays as it is.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Blocking: opens a file that only this user can read, for reading and writing, and makes it if it is not there. A
/// link is not followed.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    options.mode(0o600).custom_flags(no_follow).open(path)
}

/// Blocking: gives a file these bytes in one step: whoever reads it finds all of the former ones or all of these. It can
/// be read by this user only. `durable`: so it is after a power loss, too.
pub fn replace_file(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let mut aside = std::ffi::OsString::from(".");
    aside.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    let aside = path.with_file_name(aside);
    // What is in its place, a link even, is not written to.
    if_exists(std::fs::remove_file(&aside))?;
    let mut file = open_private(&aside)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&aside, path)?;
    match path.parent().filter(|_| durable) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Whether a file belongs to the user of this process.
pub fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// What tells this boot of the machine from others; `None` where nothing does.
#[cfg(target_os = "linux")]
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Nothing does here.
#[cfg(not(target_os = "linux"))]
pub fn boot_id() -> Option<String> {
    None
}

/// Whether this process may do everything.
pub fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// Blocking: gives the room of these bytes back to the volume; they read as zeros afterwards, and the file
/// keeps its length.
///
/// # Errors
/// `Unsupported` where the file system cannot do this; whatever else the operating system says.
#[cfg(target_os = "linux")]
pub fn punch_hole(file: &File, range: Range<u64>) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    if range.is_empty() {
        return Ok(());
    }
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, mode, range.start, range.end - range.start)?)
}

/// Not available here: the bytes stay until the file goes.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn punch_hole(_file: &File, _range: Range<u64>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Blocking: fills `buffer` from `offset` on.
///
/// # Errors
/// `UnexpectedEof` if the file ends before; whatever the operating system says.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

/// Blocking: reads `range` and drops the bytes, so that they are in the page cache.
///
/// # Errors
/// `UnexpectedEof` if the file ends before; whatever the operating system says.
pub fn read_through(file: &File, range: Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut at = range.start;
    while at < range.end {
        let length = (range.end - at).min(buffer.len() as u64);
        file.read_exact_at(&mut buffer[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

/// Blocking: writes all slices in order from `offset` on, with as few calls as possible.
///
/// # Errors
/// Whatever the operating system says; some of the bytes may have been written then.
pub fn write_all_vectored_at(file: &File, slices: &[impl AsRef<[u8]>], mut offset: u64) -> io::Result<()> {
    const MAX_SLICES: usize = 64;
    let mut index = 0;
    let mut skip = 0;
    while index < slices.len() {
        let pieces: Vec<IoSlice<'_>> = slices[index..]
            .iter()
            .take(MAX_SLICES)
            .enumerate()
            .map(|(nth, slice)| IoSlice::new(&slice.as_ref()[if nth == 0 { skip } else { 0 }..]))
            .collect();
        let mut written = match rustix::io::pwritev(file, &pieces, offset) {
            Ok(0) if pieces.iter().any(|piece| !piece.is_empty()) => {
                return Err(io::ErrorKind::WriteZero.into());
            }
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => continue,
            Err(other) => return Err(other.into()),
        };
        offset += written as u64;
        while index < slices.len() && written >= slices[index].as_ref().len() - skip {
            written -= slices[index].as_ref().len() - skip;
            skip = 0;
            index += 1;
        }
        skip += written;
    }
    Ok(())
}

/// Whether [`send_file`] works here.
pub const CAN_SEND_FILE: bool = cfg!(target_os = "linux");

/// Sends up to `length` bytes of `file` from `offset` on to a socket without copying them through
/// this process. The caller makes sure that the bytes are in the page cache.
///
/// # Errors
/// `WouldBlock` if the socket takes nothing now; `Unsupported` where there is no such call.
#[cfg(target_os = "linux")]
pub fn send_file(socket: impl AsFd, file: &File, mut offset: u64, length: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), length)?)
}

/// Not available here: the caller reads and writes.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub fn send_file(_socket: impl AsFd, _file: &File, _offset: u64, _length: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Size of a page of memory. Only used to place residency probes, so the common value is enough.
pub const PAGE: u64 = 4096;

/// How many files this process may hold open.
pub fn open_file_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Lets this process hold as many files open as the system allows it: a server is often started with
/// a limit meant for interactive programs. Best effort.
pub fn raise_open_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum {
        // A system that refuses leaves us where we were.
        setrlimit(Resource::Nofile, raised).ok();
    }
}

/// Bytes that a file or directory takes on its volume, as `du` counts them.
pub fn block_bytes(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// The same for what is at `path`; 0 if there is nothing.
pub fn path_block_bytes(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| block_bytes(&metadata))
}

/// How many names a file has; 0 means that it is unlinked.
pub fn link_count(metadata: &Metadata) -> u64 {
    metadata.nlink()
}

/// Size in bytes of the volume that holds `path`; `None` if it cannot be asked.
pub fn volume_size(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some(volume.f_blocks.saturating_mul(volume.f_frsize))
}

/// Bytes of the volume that holds `path` that nobody has, those that are kept for the administrator included; `None` if
/// it cannot be asked.
pub fn volume_unused(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some(volume.f_bfree.saturating_mul(volume.f_frsize))
}

/// Bytes of the volume that holds `path` that this user may still take; `None` if it cannot be asked.
pub fn volume_free(path: &Path) -> Option<u64> {
    let volume = rustix::fs::statvfs(path).ok()?;
    Some(volume.f_bavail.saturating_mul(volume.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_for_this_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("name.old");
        for (bytes, durable) in [(&b"first, and long"[..], false), (b"second", true)] {
            replace_file(&path, bytes, durable).expect("replaced");
            assert_eq!(std::fs::read(&path).expect("read"), bytes);
            let mode = path.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
        assert!(replace_file(&dir.path().join("none/name"), b"", false).is_err());
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_followed() {
        let dir = tempfile::tempdir().expect("folder");
        let (path, other) = (dir.path().join("name"), dir.path().join("other"));
        std::fs::write(&other, "of somebody else").expect("written");
        std::os::unix::fs::symlink(&other, dir.path().join(".name")).expect("a link");
        replace_file(&path, b"ours", false).expect("replaced");
        assert_eq!(std::fs::read(&path).expect("read"), b"ours");
        assert_eq!(std::fs::read(&other).expect("read"), b"of somebody else");
        assert!(path.symlink_metadata().expect("a file").is_file());
    }

    #[test]
    fn vectored_writes_keep_order_across_more_slices_than_one_call_takes() {
        let file = tempfile::tempfile().expect("temporary file");
        let slices: Vec<Bytes> = (0..300_u32)
            .map(|n| Bytes::from(n.to_string().repeat((n % 7) as usize)))
            .collect();
        write_all_vectored_at(&file, &slices, 3).expect("write");
        let expected = slices.concat();
        let mut found = vec![0; expected.len()];
        read_exact_at(&file, &mut found, 3).expect("read");
        assert_eq!(found, expected);
    }
}
