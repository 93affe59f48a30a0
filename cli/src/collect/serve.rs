//! `evenkeel serve`: collects from devices that connect.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_collector::server::{ContactConfig, Server, answer};
use tokio::net::TcpListener;

use super::{CollectError, asked_to_end, open_store, read_keys, tell};
use crate::args::{LinkArgs, ServeArgs};

impl LinkArgs {
    /// How devices are pulled.
    pub(crate) fn contact(&self) -> ContactConfig {
        ContactConfig {
            log: evenkeel_core::LogId(self.log),
            timeout: Duration::from_millis(self.timeout_ms),
            quiet: Duration::from_millis(self.quiet_ms),
            ..ContactConfig::default()
        }
    }
}

/// Serves until it is asked to end. It says on standard output where it listens.
pub(crate) async fn run(args: &ServeArgs) -> Result<(), CollectError> {
    tell(args.verbose);
    let allow_plain = args.allow_plain || (args.keys.is_none() && args.tcp.ip().is_loopback());
    if args.keys.is_none() && !allow_plain {
        return Err(CollectError::Exposed(
            "everybody who reaches this address could store events: give --keys FILE, or --allow-plain if that is wanted",
        ));
    }
    let keys = read_keys(args.keys.as_deref(), allow_plain)?;
    let token = match &args.token {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| CollectError::Read(path.clone(), error))?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    if token.as_deref().map_or(args.http.is_some_and(|http| !http.ip().is_loopback()), str::is_empty) {
        return Err(CollectError::Exposed(
            "everybody who reaches this address could read what is collected: give --token FILE with a token in it",
        ));
    }
    let store = open_store(&args.store, args.group).await?;
    #[cfg(feature = "server")]
    let store = crate::fleet::sabotage::wrap(store, args.sabotage);
    let mut contact = args.link.contact();
    contact.stay = Some(Duration::from_secs(args.stay));
    let server = Server::new(store, contact, keys, args.contacts);

    let tcp = listen(args.tcp).await?;
    let http = match args.http {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let at = |listener: &TcpListener| listener.local_addr().map_err(|error| CollectError::Io("its address", error));
    let mut said = format!("tcp {}\n", at(&tcp)?);
    if let Some(http) = &http {
        said += &format!("http {}\n", at(http)?);
    }
    let mut out = std::io::stdout();
    let _ = out.write_all(said.as_bytes()).and_then(|()| out.flush());

    let listening = tokio::spawn(std::sync::Arc::clone(&server).listen(tcp));
    let answering = http.map(|http| tokio::spawn(answer(std::sync::Arc::clone(&server), http, token)));
    asked_to_end().await;
    tracing::info!("asked to end");
    server.end();
    let _ = listening.await;
    if let Some(answering) = answering {
        let _ = tokio::time::timeout(Duration::from_secs(5), answering).await;
    }
    server.store().close().await?;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, CollectError> {
    TcpListener::bind(address).await.map_err(|error| CollectError::Listen(address, error))
}
