//! `evenkeel relay`: passes frames on between devices and a collector, as they are.

use std::io::Write;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{CollectError, asked_to_end, tell};
use crate::args::RelayArgs;

/// How often the collector is tried before a device is sent away.
const ATTEMPTS: u32 = 20;

/// Relays until it is asked to end. It says on standard output where it listens.
pub(crate) async fn run(args: &RelayArgs) -> Result<(), CollectError> {
    tell(args.verbose);
    let failed = |error| CollectError::Listen(args.listen, error);
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "tcp {}", listener.local_addr().map_err(failed)?).and_then(|()| out.flush());
    let upstream = args.upstream;
    let mut contacts = JoinSet::new();
    let ended = asked_to_end();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((device, peer)) => {
                    contacts.spawn(async move {
                        if let Err(error) = pass_on(device, upstream).await {
                            tracing::debug!(%peer, %error, "a contact ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = contacts.join_next() => {}
            () = &mut ended => return Ok(()),
        }
    }
}

async fn pass_on(mut device: TcpStream, upstream: std::net::SocketAddr) -> std::io::Result<()> {
    let mut attempt = 1;
    let mut collector = loop {
        match TcpStream::connect(upstream).await {
            Ok(collector) => break collector,
            Err(error) if attempt >= ATTEMPTS => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        attempt += 1;
    };
    let _ = (device.set_nodelay(true), collector.set_nodelay(true));
    tokio::io::copy_bidirectional(&mut device, &mut collector).await.map(drop)
}
