//! `chacha health`: for container health checks, where there is no curl.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::ListenAddr;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The configuration, to find `ops_listen` in
    #[arg(short, long, value_name = "FILE", conflicts_with = "ops")]
    file: Option<PathBuf>,
    /// Ask here instead of where the configuration says
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9080")]
    ops: SocketAddr,
}

/// Longest wait for the connection and for each part of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn execute(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let address = match &args.file {
        None => args.ops,
        Some(file) => match super::load(file)?.config.ops_listen {
            Some(ListenAddr::Tcp(address)) => address,
            _ => anyhow::bail!("ops_listen: is off or a socket file; there is nothing to ask over TCP"),
        },
    };
    let answer =
        ask(reachable(address)).map_err(|error| anyhow::anyhow!("{address} does not answer: {error}"))?;
    super::say(answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim_end());
    Ok(if answer.starts_with("HTTP/1.1 200 ") {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A server that listens on all addresses is reached on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => [127, 0, 0, 1].into(),
            SocketAddr::V6(_) => [0, 0, 0, 0, 0, 0, 0, 1_u16].into(),
        });
    }
    address
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}
