//! Small volumes of their own, for users who may mount them. Tests that need one say so when they are skipped.
#![expect(clippy::print_stderr, reason = "skipped tests say so")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mounted volume; gone when it is dropped.
pub(crate) struct Volume {
    mounted: tempfile::TempDir,
    image: Option<PathBuf>,
    _images: Option<tempfile::TempDir>,
}

fn succeeds(program: &str, arguments: &[&str], path: &[&Path]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).args(path);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Volume {
    /// In memory, with a size as `mount` takes it.
    pub(crate) fn memory(size: &str) -> Option<Self> {
        let mounted = tempfile::tempdir().unwrap();
        let size = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &size, "chacha-test"];
        if !succeeds("mount", &arguments, &[mounted.path()]) {
            eprintln!("skipped: cannot mount a volume");
            return None;
        }
        Some(Self {
            mounted,
            image: None,
            _images: None,
        })
    }

    /// A new file system of `bytes` bytes in a file: `ext4`, `xfs` or `btrfs`. What it has written is in that file, and
    /// the rest in the memory of the machine.
    pub(crate) fn image(file_system: &str, bytes: u64) -> Option<Self> {
        let images = tempfile::tempdir().unwrap();
        let image = images.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        if !succeeds(&format!("mkfs.{file_system}"), &["-q"], &[&image]) {
            eprintln!("skipped: cannot make a volume with {file_system}");
            return None;
        }
        Self::of_image(image, Some(images))
    }

    fn of_image(image: PathBuf, images: Option<tempfile::TempDir>) -> Option<Self> {
        let mounted = tempfile::tempdir().unwrap();
        if !succeeds("mount", &["-o", "loop"], &[&image, mounted.path()]) {
            eprintln!("skipped: cannot mount {}", image.display());
            return None;
        }
        Some(Self {
            mounted,
            image: Some(image),
            _images: images,
        })
    }

    /// What a power loss at this moment leaves of it.
    pub(crate) fn after_power_loss(&self) -> Self {
        let images = tempfile::tempdir().unwrap();
        let copy = images.path().join("image");
        std::fs::copy(self.image.as_ref().unwrap(), &copy).unwrap();
        // The label of XFS must not be mounted twice, for which it has an option of its own.
        let mounted = Self::of_image(copy, Some(images));
        mounted.expect("a volume that survives a power loss")
    }

    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// Bytes that it holds now, those of unlinked files included.
    pub(crate) fn used(&self) -> u64 {
        let volume = rustix::fs::statvfs(self.path()).unwrap();
        (volume.f_blocks - volume.f_bfree) * volume.f_frsize
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        succeeds("umount", &["-l"], &[self.mounted.path()]);
    }
}
