//! `evenkeel pull`: collects from one device, over TCP or a serial line, or out of a file.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_collector::server::{ContactConfig, ContactError, KeyRing, Pulled, SectionStore, pull, pull_file};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::tty::{self, Tty};
use super::{CollectError, asked_to_end, open_store, read_keys, tell};
use crate::args::{PullArgs, PullFrom};

/// How long to wait before trying again.
const AGAIN: Duration = Duration::from_millis(500);

/// What came of it.
pub(crate) struct PullOutcome {
    /// What is to be said.
    pub(crate) text: String,
    /// Everything that the device had is stored.
    pub(crate) complete: bool,
}

/// Pulls until everything is stored, the device contradicts what is stored, or too many attempts have failed.
pub(crate) async fn run(args: &PullArgs) -> Result<PullOutcome, CollectError> {
    tell(args.verbose);
    let keys = read_keys(args.keys.as_deref(), args.keys.is_none() || args.allow_plain)?;
    let store = open_store(&args.store, 1).await?;
    let (end, ending) = watch::channel(false);
    tokio::spawn(async move {
        asked_to_end().await;
        end.send_replace(true);
    });
    let config = ContactConfig { silent_after: Duration::from_secs(args.patience), ..args.link.contact() };
    let result = attempts(args, &store, &config, &keys, &ending).await;
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr());
    }
    store.close().await?;
    Ok(match result? {
        Ok(pulled) => PullOutcome { text: told(&pulled), complete: pulled.complete },
        Err(error) => PullOutcome { text: format!("incomplete: {error}\n"), complete: false },
    })
}

async fn attempts(
    args: &PullArgs,
    store: &Arc<dyn SectionStore>,
    config: &ContactConfig,
    keys: &KeyRing,
    ending: &watch::Receiver<bool>,
) -> Result<Result<Pulled, ContactError>, CollectError> {
    let terminal = io::stderr().is_terminal();
    let mut attempt = 1;
    loop {
        let mut show = |pulled: &Pulled| {
            if terminal {
                let last = pulled.next.previous();
                let _ = write!(io::stderr(), "\r{}: {} of {last}   ", pulled.identity, pulled.cursor);
            }
        };
        let store = Arc::clone(store);
        let result = match &args.from {
            PullFrom::File(path) => {
                let bytes = std::fs::read(path).map_err(|error| CollectError::Read(path.clone(), error))?;
                return Ok(pull_file(&bytes, store, config, keys).await);
            }
            PullFrom::Tcp(address) => match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    pull(stream, store, config, keys, ending.clone(), &mut show).await
                }
                Err(error) if attempt >= args.attempts => {
                    return Err(CollectError::Connect(format!("tcp://{address}"), error));
                }
                Err(error) => Err(error.into()),
            },
            PullFrom::Serial(path) => {
                let failed = |error| CollectError::Connect(format!("serial:{}", path.display()), error);
                let tty = Tty::new(tty::open(path, args.baud).map_err(failed)?).map_err(failed)?;
                pull(tty, store, config, keys, ending.clone(), &mut show).await
            }
        };
        match result {
            Err(ContactError::Io(_) | ContactError::Closed | ContactError::Silent | ContactError::Store(_))
                if attempt < args.attempts =>
            {
                attempt += 1;
                tokio::time::sleep(AGAIN).await;
            }
            result => return Ok(result),
        }
    }
}

fn told(pulled: &Pulled) -> String {
    let Pulled { identity, cursor, counters, complete, .. } = pulled;
    let state = if *complete { "complete" } else { "incomplete" };
    format!(
        "{identity}\n{state}: stored up to position {cursor}; events={} lost={} duplicates={}\n",
        counters.events, counters.lost, counters.duplicates
    )
}
