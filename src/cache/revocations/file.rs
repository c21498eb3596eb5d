//! The file of revoked tokens: a line for each, behind a line that names the form.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::{Revocation, TokenId};
use crate::store::budget::whole_blocks;
use crate::store::disk::Disk;
use crate::sys;

const HEAD: &str = "chacha revoked 1";

/// The file, for the owner's eyes only.
#[derive(Debug)]
pub(super) struct RevokedFile {
    path: PathBuf,
    disk: Arc<Disk>,
    /// What it takes on the disk.
    accounted: i64,
}

impl RevokedFile {
    pub(super) fn new(path: PathBuf, disk: Arc<Disk>) -> Self {
        Self {
            path,
            disk,
            accounted: 0,
        }
    }

    /// What is in it.
    ///
    /// # Errors
    /// It is there and cannot be read, or something else is in it.
    pub(super) async fn load(&mut self) -> io::Result<Vec<Revocation>> {
        let path = self.path.clone();
        let read = sys::run_blocking(move || sys::if_exists(std::fs::read_to_string(path)));
        let Some(text) = read.await.map_err(io::Error::other)?? else {
            return Ok(Vec::new());
        };
        self.account(text.len());
        parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
    }

    pub(super) async fn save(&mut self, revocations: Vec<Revocation>) -> io::Result<()> {
        let (path, text) = (self.path.clone(), write(&revocations));
        let bytes = text.len();
        let written = sys::run_blocking(move || sys::replace_file(&path, text.as_bytes(), true));
        written.await.map_err(io::Error::other)??;
        self.account(bytes);
        Ok(())
    }

    fn account(&mut self, bytes: usize) {
        let takes = i64::try_from(whole_blocks(bytes as u64)).unwrap_or_default();
        self.disk.account(takes - self.accounted);
        self.accounted = takes;
    }
}

fn write(revocations: &[Revocation]) -> String {
    let line = |one: &Revocation| format!("{} {} {}\n", one.first, one.until, one.tenant);
    let lines: String = revocations.iter().map(line).collect();
    format!("{HEAD}\n{lines}")
}

fn parse(text: &str) -> Option<Vec<Revocation>> {
    let lines = text.strip_prefix(HEAD)?.strip_prefix('\n')?;
    if !lines.is_empty() && !lines.ends_with('\n') {
        return None;
    }
    lines.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Revocation> {
    let mut fields = line.splitn(3, ' ');
    Some(Revocation {
        first: TokenId::try_from(fields.next()?.to_owned()).ok()?,
        until: fields.next()?.parse().ok()?,
        tenant: fields.next()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_whole_is_noticed() {
        let one = Revocation {
            first: TokenId::try_from("0123456789abcdef".repeat(2)).unwrap(),
            until: 77,
            tenant: "tenant".into(),
        };
        let nobody = Revocation {
            tenant: "".into(),
            ..one.clone()
        };
        let both = [one, nobody];
        assert_eq!(parse(&write(&both)).as_deref(), Some(&both[..]));
        assert_eq!(parse(&write(&[])), Some(Vec::new()));
        let text = write(&both);
        let ends_of_lines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        for end in (0..text.len()).filter(|end| !ends_of_lines.contains(end)) {
            assert_eq!(parse(&text[..end]), None, "{end}");
        }
        assert_eq!(parse("chacha revoked 2\n"), None);
    }
}
