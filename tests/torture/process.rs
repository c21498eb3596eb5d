//! One server: the real binary as a child, which is started and ended in every way.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use rustix::process::{Pid, Signal, kill_process};

use crate::http::{Asking, Outcome};

/// A start with an index to read and a bucket that does not answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// `limits.drain_timeout` of the configuration is 5 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(45);
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A server that may be running.
pub(crate) struct Server {
    pub(crate) index: usize,
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
    /// What holds its configuration, its log and its `cache`.
    pub(crate) home: PathBuf,
    pub(crate) binary: PathBuf,
    child: Mutex<Option<Child>>,
    is_stepped: AtomicBool,
}

/// How a start ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    Ready,
    /// The stepper killed it before it was ready.
    Killed,
    Failed(String),
}

impl Server {
    pub(crate) fn new(
        index: usize,
        address: SocketAddr,
        ops: SocketAddr,
        home: PathBuf,
        binary: PathBuf,
    ) -> Self {
        Self {
            index,
            address,
            ops,
            home,
            binary,
            child: Mutex::default(),
            is_stepped: AtomicBool::new(false),
        }
    }

    /// The directory whose bytes are bounded.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.join("cache")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.child.lock().unwrap().as_ref()?.id())
    }

    /// Starts it, under the stepper if that is given with a number of calls, and waits until it takes connections.
    pub(crate) async fn start(&self, stepper: Option<(&PathBuf, u64)>) -> Started {
        self.is_stepped.store(stepper.is_some(), Ordering::Relaxed);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let mut command = match stepper {
            None => Command::new(&self.binary),
            Some((program, calls)) => {
                let mut command = Command::new(program);
                command
                    .arg(calls.to_string())
                    .arg(self.dir())
                    .arg(self.home.join("stepper"));
                command.arg(&self.binary);
                command
            }
        };
        command
            .args(["run", "-f", "config.yaml", "--log-format", "json"])
            .current_dir(&self.home);
        command
            // Back traces take so long that the line of the request is not written any more.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        *self.child.lock().unwrap() = Some(command.spawn().expect("the binary can be run"));
        self.ready().await
    }

    async fn ready(&self) -> Started {
        let begin = Instant::now();
        while begin.elapsed() < START_TIMEOUT {
            if let Some(status) = self.try_wait() {
                self.child.lock().unwrap().take();
                return match std::os::unix::process::ExitStatusExt::signal(&status) {
                    Some(9) => Started::Killed,
                    _ => Started::Failed(format!("the start ended with {status}: {}", self.last_words())),
                };
            }
            if tokio::net::TcpStream::connect(self.address).await.is_ok()
                && self.page("/healthz").await.is_some()
            {
                return Started::Ready;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
        Started::Failed(format!("not ready in {START_TIMEOUT:?}: {}", self.last_words()))
    }

    fn try_wait(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().as_mut()?.try_wait().ok().flatten()
    }

    /// Whether the stepper may end it at any time.
    pub(crate) fn is_stepped(&self) -> bool {
        self.is_stepped.load(Ordering::Relaxed)
    }

    /// Whether it has ended by itself, or by the stepper.
    pub(crate) fn has_ended(&self) -> Option<ExitStatus> {
        let status = self.try_wait()?;
        self.child.lock().unwrap().take();
        Some(status)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            // It may have ended by the stepper just now.
            kill_process(pid, signal).ok();
        }
    }

    /// kill -9, and waits for the end.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// SIGTERM, and waits for the end; what was wrong with it.
    pub(crate) async fn terminate(&self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < STOP_TIMEOUT {
            match self.has_ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) => {
                    return Ok(());
                }
                Some(status) => return Err(format!("SIGTERM: {status}: {}", self.last_words())),
                None if self.pid().is_none() => return Ok(()),
                None => tokio::time::sleep(LOOK_PAUSE).await,
            }
        }
        self.kill();
        Err(format!(
            "SIGTERM: still there after {STOP_TIMEOUT:?}: {}",
            self.last_words()
        ))
    }

    /// The text of a page for operators.
    pub(crate) async fn page(&self, path: &str) -> Option<String> {
        match Asking::new(Method::GET, path).send(self.ops).await {
            Outcome::Answer(answer) => String::from_utf8(answer.body).ok(),
            _ => None,
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.contains("chacha::access"))
            .collect();
        lines[lines.len().saturating_sub(4)..].join(" | ")
    }

    /// Lines of its log that tell of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .filter(|line| line.contains("panicked"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
