//! What hostile HTTP/2 costs, as seen from outside: the memory of a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::client::Client;
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, INITIAL_WINDOW_SIZE, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE,
};

/// A server of its own, killed when it is dropped.
struct Process {
    child: Child,
    dir: tempfile::TempDir,
    address: SocketAddr,
}

impl Process {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_chacha"))
            .args(["dev", "--listen", "127.0.0.1:0", "--log-level", "error", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            line.unwrap()
                .strip_prefix("chacha dev serves http://")?
                .parse()
                .ok()
        });
        let address = address.expect("it says where it is");
        // It may go on to write.
        std::thread::spawn(move || lines.count());
        Self { child, dir, address }
    }

    fn token(&self) -> String {
        let token = std::fs::read_to_string(self.dir.path().join("acme.jwt")).unwrap();
        token.trim().to_owned()
    }

    fn client(&self) -> Client {
        Client::new(self.address).with_token(&self.token())
    }

    /// Megabytes of memory that are no files.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes: u64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// 100 streams of a large entry on each of 20 connections, for which the client has no room, or a byte each. With pieces
/// of 32 KiB it was 6.5 MB for each connection.
#[tokio::test]
async fn streams_whose_windows_stay_tiny_cost_a_few_kilobytes() {
    const CONNECTIONS: u64 = 20;
    let server = Process::start();
    server.client().put("/large", vec![7; 4 << 20]).await;
    let (before, token) = (server.memory(), server.token());
    for window in [0, 1] {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut http2 = Http2::connect(server.address, &[(INITIAL_WINDOW_SIZE, window)]).await;
            for stream in 0..100 {
                http2.get(2 * stream + 1, "/large", &token).await;
            }
            held.push(http2);
        }
        for http2 in &mut held {
            let mut answers = 0;
            while answers < 100 {
                answers += usize::from(http2.next().await.unwrap().kind == HEADERS);
            }
        }
        let grown = server.memory().saturating_sub(before);
        assert!(grown < 2 * CONNECTIONS, "{grown} MB with a window of {window}");
        assert_eq!(server.client().head("/large").await.status, 200);
    }
}

/// Sends frames on some connections at once, as many as these take. Afterwards others are served, and no memory is gone.
async fn check(name: &str, server: &Process, settings: &[(u16, u32)], frames: &[(u8, u8, u32, Vec<u8>)]) {
    let before = server.memory();
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut http2 = Http2::connect(server.address, settings).await;
        for (kind, flags, stream, payload) in frames {
            if !http2.try_write(*kind, *flags, *stream, payload).await {
                break;
            }
        }
        held.push(http2);
    }
    assert_eq!(server.client().get("/k").await.text(), "kept", "{name}");
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 20, "{name}: {grown} MB");
}

#[tokio::test]
async fn what_http2_lets_a_stranger_send_without_an_end_costs_little() {
    let server = Process::start();
    server.client().put("/k", "kept").await;
    let head = Http2::head("/k", "nobody");
    let get = |stream: u32| (HEADERS, END_STREAM | END_HEADERS, stream, head.clone());
    let streams = |count: u32| (0..count).map(|nth| 2 * nth + 1);
    // Table of heads, concurrent streams, window, frame and list of heads, each as odd as it may be.
    let odd = [
        (1, u32::MAX),
        (3, 0),
        (4, i32::MAX as u32),
        (5, 0xff_ffff),
        (6, 0),
    ];
    let requests: Vec<_> = streams(100).map(get).collect();
    check("settings", &server, &odd, &requests).await;
    let resets: Vec<_> = streams(2000)
        .flat_map(|stream| [get(stream), (RST_STREAM, 0, stream, vec![0, 0, 0, 8])])
        .collect();
    check("resets", &server, &[], &resets).await;
    let mut empty = vec![(HEADERS, END_HEADERS, 1, head.clone())];
    empty.extend((0..20_000).map(|_| (DATA, 0, 1, Vec::new())));
    check("empty data", &server, &[], &empty).await;
    let mut endless = vec![(HEADERS, 0, 1, head.clone())];
    endless.extend((0..20_000).map(|_| (CONTINUATION, 0, 1, Vec::new())));
    check("empty continuations", &server, &[], &endless).await;
    let mut long = vec![(HEADERS, 0, 1, head.clone())];
    // A name and the beginning of a value of 16 KiB, again and again.
    let field = [&[0x00, 0x02, b'a', b'b', 0x7f, 0x81, 0x7f][..], &[b'x'; 16_256]].concat();
    long.extend((0..200).map(|_| (CONTINUATION, 0, 1, field.clone())));
    check("long heads", &server, &[], &long).await;
    let pings: Vec<_> = (0..20_000).map(|_| (PING, 0, 0, vec![0; 8])).collect();
    check("pings", &server, &[], &pings).await;
    let settings: Vec<_> = (0..20_000).map(|_| (SETTINGS, 0, 0, Vec::new())).collect();
    check("many settings", &server, &[], &settings).await;
    let mut windows = vec![get(1)];
    windows.extend((0..20_000).map(|_| (WINDOW_UPDATE, 0, 0, vec![0, 0, 0, 1])));
    check("windows", &server, &[(INITIAL_WINDOW_SIZE, 0)], &windows).await;
}
