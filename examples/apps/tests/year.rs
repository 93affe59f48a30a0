//! The monitor over both years of weather: what comes out is pinned, and a failure of any append changes nothing.

use evenkeel_apps::cold_chain::input::{Sample, two_years};
use evenkeel_apps::cold_chain::{Config, Monitor, MonitorError, Recorded, TimeOutOfRange, Totals};
use evenkeel_core::batch::{Batch, Headroom};
use evenkeel_core::error::{AppendError, LogError, ReadError};
use evenkeel_core::listing::StreamList;
use evenkeel_core::scratch::Scratch;
use evenkeel_core::{
    Appended, Bounds, Log, Notification, Position, RamLog, Record, RecordManager, StreamHead, StreamId, Tracker,
    Upkeep, Version,
};

const CONFIG: Config = Config {
    probe_serial: 4711,
    probe_offset: -25,
    limits: evenkeel_apps::cold_chain::Limits::REFRIGERATED,
    first_holder: 10,
    shipment_hours: 30 * 24,
    alarm_after_minutes: 180,
    snapshot_every: 128,
};

type Ram = RamLog<Vec<u8>, 40, 4>;

fn ram() -> Ram {
    RamLog::new(vec![0; 1 << 20])
}

/// One hour of the driver's loop: three holders share the way, an alarm is acknowledged when the cargo has been
/// outside for five hours.
fn drive<R: RecordManager>(
    monitor: &mut Monitor<'_, R>,
    config: Config,
    sample: &Sample,
) -> Result<(), MonitorError<R::Error>> {
    let age = sample.hour - monitor.shipment().dispatched().unwrap_or(sample.hour);
    let leg = (age * 3 / config.shipment_hours).min(2);
    let (from, to) = (monitor.shipment().holder(), config.first_holder + leg as u16);
    if age > 0 && from < to {
        monitor.hand_over(from, to)?;
    }
    if monitor.alarm().rings() && monitor.alarm().cause().is_some_and(|cause| sample.hour >= cause.since + 5) {
        monitor.acknowledge_alarm(7)?;
    }
    monitor.record(sample.hour, sample.raw)?;
    Ok(())
}

/// Counts the events of each kind and the bytes of their payloads.
#[derive(Debug, Default, PartialEq)]
struct Census {
    events: [u32; 3],
    bytes: [u32; 3],
    longest: usize,
}

impl evenkeel_core::Projection for Census {
    fn take_in(&mut self, event: &Record<'_>) -> Result<(), evenkeel_core::CodecError> {
        let kind = usize::from(event.kind.0) - 1;
        self.events[kind] += 1;
        self.bytes[kind] += event.payload.len() as u32;
        self.longest = self.longest.max(event.payload.len());
        Ok(())
    }
}

#[test]
fn two_years_come_out_as_pinned_and_the_projection_agrees_with_the_aggregates() {
    let mut scratch = [0; 512];
    let mut monitor = Monitor::start(Log::mount(ram(), &mut scratch).unwrap(), CONFIG).unwrap();
    for sample in two_years() {
        assert!(monitor.next_hour() == sample.hour || monitor.next_hour() + 1 == sample.hour);
        drive(&mut monitor, CONFIG, &sample).unwrap();
    }
    let totals = monitor.totals().unwrap();
    let mut census = Census::default();
    let mut view = TimeOutOfRange::default();
    monitor.log().catch_up(&mut census, Position::START).unwrap();
    monitor.log().catch_up(&mut view, Position::START).unwrap();
    assert_eq!(
        totals,
        Totals {
            shipments: 25,
            delivered: 24,
            readings: 17_479,
            missed: 41,
            excursions: 55,
            minutes_outside: 12_060,
            longest_minutes: 660,
            hand_overs: 48,
            alarms: 21,
            acknowledged: 18,
            faults: 12,
        }
    );
    // 90,005 bytes of payload in 17,813 events: 5.05 bytes an event. The longest is a dispatch with its limits.
    assert_eq!(census, Census { events: [17_727, 26, 60], bytes: [89_697, 89, 219], longest: 9 });
    assert_eq!(
        (view.minutes(), view.excursions(), view.longest_minutes()),
        (totals.minutes_outside, totals.excursions, totals.longest_minutes)
    );
    assert_eq!(view.by_holder().map(|(_, minutes)| minutes).sum::<u32>(), view.minutes());
    assert_eq!(view.by_holder().collect::<Vec<_>>(), [(10, 2_820), (11, 4_380), (12, 4_860)]);
}

#[test]
fn a_snapshot_and_a_full_replay_of_every_shipment_agree() {
    let mut scratch = [0; 512];
    let mut monitor = Monitor::start(Log::mount(ram(), &mut scratch).unwrap(), CONFIG).unwrap();
    for sample in two_years().take(3_000) {
        drive(&mut monitor, CONFIG, &sample).unwrap();
    }
    for number in 0..=monitor.shipment_number() {
        let loaded = monitor.past_shipment(number).unwrap();
        let replayed = monitor.log().replay(loaded.id()).unwrap();
        assert_eq!(loaded, replayed);
    }
}

#[test]
fn a_lent_buffer_of_256_bytes_is_enough_for_every_batch() {
    let mut scratch = [0; 256];
    let mut monitor = Monitor::start(Log::mount(ram(), &mut scratch).unwrap(), CONFIG).unwrap();
    for sample in two_years() {
        drive(&mut monitor, CONFIG, &sample).unwrap();
    }
}

#[test]
fn an_hour_is_recorded_once() {
    let mut scratch = [0; 512];
    let mut monitor = Monitor::start(Log::mount(ram(), &mut scratch).unwrap(), CONFIG).unwrap();
    assert_eq!(monitor.record(0, 525), Ok(Recorded::Within(500)));
    let end = monitor.log().bounds();
    assert_eq!(monitor.record(0, 999), Ok(Recorded::Already));
    assert_eq!(monitor.log().bounds(), end);
    assert_eq!(monitor.next_hour(), 1);
}

/// A log whose appends fail at one place: before or after the batch is stored, as power may go at either.
struct Failing {
    inner: Ram,
    left: u32,
    stores: bool,
}

#[derive(Debug, PartialEq)]
struct PowerCut;

fn not_the_test<E: std::fmt::Debug, T>(error: E) -> T {
    panic!("the log in memory failed by itself: {error:?}")
}

impl RecordManager for Failing {
    type Error = PowerCut;
    type MountError = std::convert::Infallible;
    const HEADROOM: Headroom = <Ram as RecordManager>::HEADROOM;

    fn mount(&mut self, scratch: &mut Scratch<'_>) -> Result<(), Self::MountError> {
        self.inner.mount(scratch)
    }

    fn append(&mut self, batch: &mut Batch<'_>) -> Result<Appended, AppendError<PowerCut>> {
        self.left = self.left.wrapping_sub(1);
        if self.left == 0 && !self.stores {
            return Err(AppendError::Storage(PowerCut));
        }
        let appended = self.inner.append(batch).unwrap_or_else(not_the_test);
        if self.left == 0 { Err(AppendError::Storage(PowerCut)) } else { Ok(appended) }
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn tracked(&self, tracker: Tracker) -> Position {
        self.inner.tracked(tracker)
    }

    fn head(&mut self, id: StreamId, scratch: &mut Scratch<'_>) -> Result<Option<StreamHead>, ReadError<PowerCut>> {
        Ok(self.inner.head(id, scratch).unwrap_or_else(not_the_test))
    }

    fn next_event<'s>(
        &mut self,
        stream: StreamId,
        after: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<PowerCut>> {
        Ok(self.inner.next_event(stream, after, scratch).unwrap_or_else(not_the_test))
    }

    fn latest_snapshot<'s>(
        &mut self,
        stream: StreamId,
        at_most: Version,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Record<'s>>, ReadError<PowerCut>> {
        Ok(self.inner.latest_snapshot(stream, at_most, scratch).unwrap_or_else(not_the_test))
    }

    fn next_notification<'s>(
        &mut self,
        after: Position,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Option<Notification<'s>>, ReadError<PowerCut>> {
        Ok(self.inner.next_notification(after, scratch).unwrap_or_else(not_the_test))
    }

    fn list_streams(
        &mut self,
        list: &mut StreamList<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), ReadError<PowerCut>> {
        self.inner.list_streams(list, scratch).unwrap_or_else(not_the_test);
        Ok(())
    }

    fn upkeep(&mut self, scratch: &mut Scratch<'_>) -> Result<Upkeep, AppendError<PowerCut>> {
        Ok(self.inner.upkeep(scratch).unwrap_or_else(not_the_test))
    }
}

/// Every event of a log, as stored.
fn all_events<R: RecordManager>(log: &mut Log<'_, R>) -> Vec<(StreamId, Version, Vec<u8>)> {
    let (mut all, mut seen) = (Vec::new(), Position::START);
    while let Some(notification) = log.next_notification(seen).unwrap() {
        seen = notification.last();
        let record = notification.record().unwrap();
        all.push((record.stream, record.version, record.payload.to_vec()));
    }
    all
}

/// Short shipments with much happening: three days each, snapshots often.
const BUSY: Config = Config { shipment_hours: 72, snapshot_every: 4, alarm_after_minutes: 120, ..CONFIG };

fn busy_hours() -> Vec<Sample> {
    let due = |hour| (12_600..13_060).contains(&hour) && !(12_700..12_703).contains(&hour);
    two_years().filter(|sample| due(sample.hour)).collect()
}

/// Drives until the end or the first failure.
fn run<R: RecordManager>(monitor: &mut Monitor<'_, R>, hours: &[Sample]) -> Result<(), MonitorError<R::Error>> {
    for sample in hours {
        if sample.hour >= monitor.next_hour() || monitor.shipment().dispatched().is_none() {
            drive(monitor, BUSY, sample)?;
        }
    }
    Ok(())
}

#[test]
fn after_a_power_cut_at_any_append_the_log_ends_up_the_same() {
    let hours = busy_hours();
    let mut scratch = [0; 512];
    let uncut = Failing { inner: ram(), left: 0, stores: true };
    let mut monitor = Monitor::start(Log::mount(uncut, &mut scratch).unwrap(), BUSY).unwrap();
    run(&mut monitor, &hours).unwrap();
    let totals = monitor.totals().unwrap();
    let (shipment, alarm, sensor) = (**monitor.shipment(), **monitor.alarm(), **monitor.sensor());
    assert!(totals.alarms >= 2 && totals.faults >= 2 && totals.hand_overs >= 8, "{totals:?}");
    let mut log = monitor.release();
    let appends = u32::MAX - log.records().left + 1;
    let events = all_events(&mut log);
    assert_eq!((appends, events.len()), (614, 507));

    for (n, stores) in (1..=appends).flat_map(|n| [(n, false), (n, true)]) {
        let mut cut_scratch = [0; 512];
        let failing = Failing { inner: ram(), left: n, stores };
        let mut monitor = Monitor::new(Log::mount(failing, &mut cut_scratch).unwrap(), BUSY);
        let failed = monitor.resume().and_then(|()| run(&mut monitor, &hours));
        let cut = |failed| matches!(failed, Err(MonitorError::Log(LogError::Append(AppendError::Storage(PowerCut)))));
        assert!(cut(failed), "append {n}");
        // Half of the devices reboot, the others go on with the monitor that they have.
        let mut scratch = [0; 512];
        let mut monitor = if n % 2 == 0 {
            let inner = monitor.release().release().inner;
            let failing = Failing { inner, left: 0, stores };
            Monitor::start(Log::mount(failing, &mut scratch).unwrap(), BUSY).unwrap()
        } else {
            monitor.resume().unwrap();
            monitor
        };
        run(&mut monitor, &hours).unwrap();
        assert_eq!(monitor.totals().unwrap(), totals, "append {n}");
        assert_eq!((**monitor.shipment(), **monitor.alarm(), **monitor.sensor()), (shipment, alarm, sensor));
        assert!(all_events(monitor.log()) == events, "append {n}, stored: {stores}");
    }
}
