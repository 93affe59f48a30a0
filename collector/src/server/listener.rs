//! Devices that come over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{ContactConfig, ContactError, KeyRing, Metrics, Pulled, SectionStore, pull};

/// A collector for many devices.
pub struct Server {
    store: Arc<dyn SectionStore>,
    contact: ContactConfig,
    keys: KeyRing,
    metrics: Metrics,
    contacts_at_most: usize,
    ending: watch::Sender<bool>,
}

/// How long contacts have to come to an end once the server ends.
const ENDING: Duration = Duration::from_secs(10);

impl Server {
    /// A server in front of this store, for so many contacts at once: who comes beyond that is turned away and comes again.
    #[must_use]
    pub fn new(
        store: Arc<dyn SectionStore>,
        contact: ContactConfig,
        keys: KeyRing,
        contacts_at_most: usize,
    ) -> Arc<Self> {
        let (ending, _) = watch::channel(false);
        Arc::new(Self { store, contact, keys, metrics: Metrics::default(), contacts_at_most, ending })
    }

    /// What it has seen.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn SectionStore> {
        &self.store
    }

    /// Lets it end: no contact is begun, and those under way end with what is durable.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Told when it is to end.
    #[must_use]
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// Pulls from every device that connects, until [`end`](Self::end) is called and all contacts are over.
    pub async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut ending = self.ending();
        let places = Arc::new(Semaphore::new(self.contacts_at_most));
        let mut contacts = JoinSet::new();
        while !*ending.borrow() {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = contacts.join_next() => continue,
                _ = ending.changed() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely there are too many open files: contacts that end make room.
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                Metrics::add(&self.metrics.contacts_turned_away, 1);
                continue;
            };
            let server = Arc::clone(&self);
            contacts.spawn(async move {
                server.contact(stream, peer).await;
                drop(place);
            });
        }
        drop(listener);
        let _ = tokio::time::timeout(ENDING, async { while contacts.join_next().await.is_some() {} }).await;
    }

    async fn contact(&self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        Metrics::add(&self.metrics.contacts, 1);
        Metrics::add(&self.metrics.contacts_open, 1);
        let mut seen: Option<Pulled> = None;
        let mut watcher = |pulled: &Pulled| {
            self.note(seen.as_ref(), pulled);
            seen = Some(*pulled);
        };
        let store = Arc::clone(&self.store);
        let result = pull(stream, store, &self.contact, &self.keys, self.ending(), &mut watcher).await;
        self.metrics.contacts_open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        match result {
            Ok(pulled) => {
                self.note(seen.as_ref(), &pulled);
                Metrics::add(&self.metrics.contacts_complete, u64::from(pulled.complete));
                tracing::info!(%peer, identity = %pulled.identity, cursor = %pulled.cursor,
                    events = pulled.counters.events, "all there is");
            }
            Err(error) => self.ended_early(peer, &error),
        }
    }

    fn ended_early(&self, peer: SocketAddr, error: &ContactError) {
        Metrics::add(&self.metrics.contacts_failed, 1);
        match error {
            ContactError::Refused { .. } => Metrics::add(&self.metrics.refused, 1),
            ContactError::Quarantined { .. } => Metrics::add(&self.metrics.quarantined, 1),
            ContactError::Store(_) => Metrics::add(&self.metrics.store_failures, 1),
            _ => {}
        }
        match error {
            ContactError::Closed | ContactError::Io(_) | ContactError::Silent | ContactError::Ending => {
                tracing::debug!(%peer, %error, "a contact ended early");
            }
            _ => tracing::warn!(%peer, %error, "a contact ended early"),
        }
    }

    /// Adds what is new since the contact was heard of last.
    fn note(&self, before: Option<&Pulled>, now: &Pulled) {
        let metrics = &self.metrics;
        let before = before.map(|pulled| pulled.counters);
        let since =
            |now: u64, of: fn(&evenkeel_sync::SinkCounters) -> u64| now.saturating_sub(before.as_ref().map_or(0, of));
        let counters = &now.counters;
        Metrics::add(&metrics.events, since(counters.events, |counters| counters.events));
        Metrics::add(&metrics.payload_bytes, since(counters.payload_bytes, |counters| counters.payload_bytes));
        Metrics::add(&metrics.positions_lost, since(counters.lost, |counters| counters.lost));
        Metrics::add(&metrics.duplicates, since(counters.duplicates, |counters| counters.duplicates));
        Metrics::add(&metrics.parked, since(counters.parked, |counters| counters.parked));
        Metrics::add(&metrics.frames_dropped, since(counters.dropped, |counters| counters.dropped));
        Metrics::add(&metrics.timeouts, since(counters.timeouts, |counters| counters.timeouts));
    }
}
