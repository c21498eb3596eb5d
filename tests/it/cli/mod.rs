//! The real binary: exit codes, what it prints, signals.

mod check;
mod dev;
mod explain;
mod health;
mod run;
mod s3;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::client::{Client, within};
use crate::support::issuer::Issuer;
use crate::support::token::AUDIENCE;

/// What a process has printed when it has ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    /// Checks that the command failed with `code` and exactly one line, which holds all of `parts`.
    fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.mentions(parts);
    }

    /// Checks that standard error holds all of `parts`.
    fn mentions(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.err.contains(part), "{part}: {self:?}");
        }
    }
}

/// A running process; killed when it is dropped.
struct Process {
    child: Child,
    out: Lines,
    err: Lines,
}

/// The lines of one stream, read by a thread, so that no pipe fills up.
struct Lines {
    coming: UnboundedReceiver<String>,
    seen: String,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, coming) = unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            coming,
            seen: String::new(),
        }
    }

    async fn next(&mut self) -> Option<String> {
        let line = within(self.coming.recv()).await?;
        self.seen.push_str(&line);
        self.seen.push('\n');
        Some(line)
    }

    /// Reads on to the first line for which `find` gives something.
    async fn until<T>(&mut self, mut find: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            let line = self.next().await;
            let line = line.unwrap_or_else(|| panic!("the process ended; it said:\n{}", self.seen));
            if let Some(found) = find(&line) {
                return found;
            }
        }
    }
}

impl Process {
    fn spawn(dir: &Path, arguments: &[&str]) -> Self {
        Self::spawn_with(dir, arguments, "")
    }

    /// Starts the binary with these variables in its environment.
    fn spawn_in(dir: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chacha"));
        command.envs(environment.iter().copied());
        Self::start(&mut command, dir, arguments, "")
    }

    /// Starts the binary in the directory `dir` with a text on its standard input.
    fn spawn_with(dir: &Path, arguments: &[&str], input: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chacha"));
        Self::start(&mut command, dir, arguments, input)
    }

    fn start(command: &mut Command, dir: &Path, arguments: &[&str], input: &str) -> Self {
        let mut child = command
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A process that has failed already does not read.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of the process.
    async fn ended(mut self) -> Ended {
        // Both streams end with the process, so waiting for it takes no time after that.
        while self.out.next().await.is_some() {}
        while self.err.next().await.is_some() {}
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code(),
            out: std::mem::take(&mut self.out.seen),
            err: std::mem::take(&mut self.err.seen),
        }
    }

    /// Reads the log up to a line with this message.
    async fn logged(&mut self, message: &str) -> Value {
        let find = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"].as_str()?.contains(message)).then_some(line)
        };
        self.err.until(find).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a command to its end.
async fn chacha(arguments: &[&str]) -> Ended {
    Process::spawn(Path::new("."), arguments).ended().await
}

/// An issuer, a directory and a configuration in it.
struct Place {
    issuer: Issuer,
    dir: tempfile::TempDir,
}

/// A serving process.
struct Running {
    process: Process,
    address: SocketAddr,
    ops: SocketAddr,
}

impl Place {
    async fn new() -> Self {
        let place = Self {
            issuer: Issuer::start().await,
            dir: tempfile::tempdir().unwrap(),
        };
        place.configure(|text| text);
        place
    }

    /// Writes the configuration, changed.
    fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = format!(
            "listen: 127.0.0.1:0
ops_listen: 127.0.0.1:0
oidc_providers:
  - url: {}
    audiences: ['{AUDIENCE}']
    cache_key_exprs:
      - 'join(\"repo\", claims.repository, claims.ref)'
      - 'join(\"repo\", claims.repository, \"refs/heads/main\")'
disk:
  dir: cache
  limit: 64MiB
",
            self.issuer.url()
        );
        std::fs::write(self.file(), change(text)).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("config.yaml")
    }

    /// Writes a file into the directory; its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Starts a command in the directory.
    fn spawn(&self, arguments: &[&str]) -> Process {
        Process::spawn(self.dir.path(), arguments)
    }

    async fn serve(&self) -> Running {
        self.serve_with(&[]).await
    }

    /// Serves until the value is dropped.
    async fn serve_with(&self, arguments: &[&str]) -> Running {
        let mut all = vec!["run", "-f", "config.yaml", "--log-format", "json"];
        all.extend(arguments);
        Running::new(self.spawn(&all)).await
    }
}

impl Running {
    /// Waits until the process serves.
    async fn new(mut process: Process) -> Self {
        let address = |line: Value| line["address"].as_str().unwrap().parse().unwrap();
        Self {
            address: address(process.logged("listening").await),
            ops: address(process.logged("health, readiness and metrics").await),
            process,
        }
    }

    fn client(&self, token: &str) -> Client {
        Client::new(self.address).with_token(token)
    }

    /// Reloads; the line that says what became of it.
    async fn reload(&mut self) -> Value {
        self.process.signal(Signal::HUP);
        self.process.logged("SIGHUP").await
    }

    async fn terminate(self) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.ended().await
    }
}
