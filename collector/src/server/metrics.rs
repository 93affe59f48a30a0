//! What a collector has seen, for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start. They name no device.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) contacts: AtomicU64,
    pub(crate) contacts_open: AtomicU64,
    pub(crate) contacts_turned_away: AtomicU64,
    pub(crate) contacts_complete: AtomicU64,
    pub(crate) contacts_failed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) store_failures: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) payload_bytes: AtomicU64,
    pub(crate) positions_lost: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) parked: AtomicU64,
    pub(crate) frames_dropped: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) http_requests: AtomicU64,
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// All of them in the text format of Prometheus, with the load of the store from 0 to 1.
    #[must_use]
    pub fn text(&self, load: f64) -> String {
        let all = [
            ("contacts_total", "counter", "Contacts with devices that were begun.", &self.contacts),
            ("contacts_open", "gauge", "Contacts with devices right now.", &self.contacts_open),
            ("contacts_turned_away_total", "counter", "Connections beyond the limit.", &self.contacts_turned_away),
            (
                "contacts_complete_total",
                "counter",
                "Contacts after which everything was stored.",
                &self.contacts_complete,
            ),
            ("contacts_failed_total", "counter", "Contacts that ended early.", &self.contacts_failed),
            ("devices_refused_total", "counter", "Contacts without the key that was agreed on.", &self.refused),
            ("logs_quarantined_total", "counter", "Contacts that met a quarantine.", &self.quarantined),
            ("store_failures_total", "counter", "Contacts that ended as the store failed.", &self.store_failures),
            ("events_total", "counter", "Events stored.", &self.events),
            ("payload_bytes_total", "counter", "Bytes of the payloads of events stored.", &self.payload_bytes),
            ("positions_lost_total", "counter", "Positions declared lost by devices.", &self.positions_lost),
            ("duplicates_total", "counter", "Sections and gaps that were there already.", &self.duplicates),
            ("parked_total", "counter", "Sections and gaps that came before their turn.", &self.parked),
            ("frames_dropped_total", "counter", "Frames damaged or meant for somebody else.", &self.frames_dropped),
            ("timeouts_total", "counter", "Requests repeated because time ran out.", &self.timeouts),
            ("http_requests_total", "counter", "Requests over HTTP.", &self.http_requests),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in all {
            let value = value.load(Ordering::Relaxed);
            let _ =
                write!(text, "# HELP evenkeel_{name} {help}\n# TYPE evenkeel_{name} {kind}\nevenkeel_{name} {value}\n");
        }
        let _ = write!(
            text,
            "# HELP evenkeel_store_load How busy the store is, from 0 to 1.\n# TYPE evenkeel_store_load gauge\n\
             evenkeel_store_load {load}\n"
        );
        text
    }
}
