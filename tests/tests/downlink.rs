//! Commands from a server's log: pulled over a link that loses and repeats, by a device whose power fails, each of them
//! has its effect exactly once.

use evenkeel_core::process::{ProcessError, ReactError};
use evenkeel_core::section::Section;
use evenkeel_core::{
    Aggregate, CodecError, Epoch, Follower, Kind, Log, LogId, Position, ProcessManager, RamLog, Reaction, Record,
    RecordManager, Root, Snapshot, StreamId, Tracker,
};
use evenkeel_flash_store::{FlashLog, Region, Retention};
use evenkeel_host_sim::flash::{ChipProfile, Cut, SimFlash, WeakRead};
use evenkeel_host_sim::rng::Rng;
use evenkeel_sync::{Downlink, DownlinkError, Loss, Phase, Piece, Sink, SinkConfig, SinkStore, Source, SourceIdentity};
use evenkeel_tests::oracle::identity;
use evenkeel_tests::report::tell;
use serde::{Deserialize, Serialize};

type Flash = SimFlash<4, 4, 4096>;

const SCRATCH: usize = 1024;
const SERVER: SourceIdentity = SourceIdentity { device: 0xCAFE, log: LogId(3), epoch: Epoch::new(1, 0x0BAD_CAFE) };
const LINEAGE: StreamId = StreamId(0x70);
const LINEAGE_KIND: u8 = 70;

/// What the server has decided for a device: its events are the commands.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Orders;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Command {
    Dose { millilitres: u16 },
    Rename { to: u8 },
}

impl Aggregate for Orders {
    const KIND: Kind = Kind(50);
    type Event = Command;
    fn apply(&mut self, _: &Command) {}
}

impl Snapshot for Orders {
    const SCHEMA: u8 = 1;
}

/// The pump of the device: doubled commands are doubled doses.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pump {
    dosed: u32,
    doses: u32,
}

impl Aggregate for Pump {
    const KIND: Kind = Kind(1);
    type Event = u16;
    fn apply(&mut self, millilitres: &u16) {
        self.dosed += u32::from(*millilitres);
        self.doses += 1;
    }
}

impl Snapshot for Pump {
    const SCHEMA: u8 = 1;
}

const PUMP: StreamId = StreamId(1);

struct Obey;

impl ProcessManager for Obey {
    const TRACKER: Tracker = Tracker(5);
    const FOLLOWS: &'static [Kind] = &[Orders::KIND];
    type Trigger = u16;

    fn trigger(&self, event: &Record<'_>) -> Result<Option<u16>, CodecError> {
        Ok(match event.event::<Orders>().transpose()? {
            Some(Command::Dose { millilitres }) => Some(millilitres),
            _ => None,
        })
    }

    fn react<R: RecordManager>(&self, dose: u16, reaction: &mut Reaction<'_, R>) -> Result<(), ReactError<R::Error>> {
        if dose == TOO_MUCH {
            return Err(ReactError::Failed { code: 7 });
        }
        let _ = reaction.execute::<Pump, _, ()>(PUMP, |_| Ok([dose]))?;
        Ok(())
    }
}

const TOO_MUCH: u16 = 9999;

type Server = Log<'static, RamLog<Vec<u8>>>;

fn server() -> Server {
    Log::mount(RamLog::new(vec![0; 1 << 16]), Box::leak(Box::new([0; SCRATCH]))).unwrap()
}

fn command(server: &mut Server, commands: &[Command]) {
    let mut orders = server.load_or_new::<Orders>(9).unwrap();
    for command in commands {
        server.execute(&mut orders, |_| Ok::<_, ()>([*command])).unwrap();
    }
}

fn records(flash: &Flash) -> FlashLog<Flash, 4, 3> {
    let region = Region::checked::<Flash>(0..4 * 4096).unwrap().word_by_word();
    FlashLog::new(flash.clone(), region, Retention::Refuse)
}

fn blank() -> Flash {
    let flash = Flash::new(&ChipProfile::NRF52840, 4);
    records(&flash).format(identity(), &mut [0; SCRATCH]).unwrap();
    flash
}

type Failed<E> = DownlinkError<E>;

/// The device pulls until it has all, over a link that loses a third of the frames and repeats some.
fn pull<R: RecordManager>(
    log: &mut Log<'_, R>,
    follower: &mut Follower<Obey>,
    (server, identity): (&mut Server, SourceIdentity),
    rng: &mut Rng,
) -> Result<Phase, Failed<R::Error>> {
    let mut source = Source::new(identity, Tracker(0));
    let mut config = SinkConfig::new(LogId(3));
    (config.nonce, config.credit) = (rng.next_u64() as u32, 3);
    let mut sink = Sink::new(config);
    let mut frame = [0; 96];
    for now in (0_u64..).step_by(100_000) {
        assert!(now < 1 << 40, "it is never done");
        loop {
            let mut store = Downlink::<_, _, LINEAGE_KIND>::new(log, follower, LINEAGE);
            let Some(len) = sink.poll(&mut store, now, &mut frame).unwrap() else { break };
            if rng.chance(0.3) {
                continue;
            }
            let (records, scratch) = server.parts();
            source.handle(records, scratch, &frame[..len]).unwrap();
            let mut answer = [0; 64];
            while let Some(len) = source.poll(records, scratch, &mut answer).unwrap() {
                for _ in 0..[0, 1, 1, 2][rng.below(4) as usize] {
                    let mut store = Downlink::<_, _, LINEAGE_KIND>::new(log, follower, LINEAGE);
                    let mut copy = answer;
                    sink.handle(&mut store, now, &mut copy[..len])?;
                }
            }
        }
        if matches!(sink.phase(), Phase::CaughtUp | Phase::Halted(_)) {
            return Ok(sink.phase());
        }
    }
    unreachable!()
}

fn doses(count: u16) -> Vec<Command> {
    let all = (1..=count).map(|number| match number % 5 {
        0 => Command::Rename { to: number as u8 },
        _ => Command::Dose { millilitres: number },
    });
    all.collect()
}

fn expected(commands: &[Command]) -> Pump {
    let mut pump = Pump::default();
    for command in commands {
        if let Command::Dose { millilitres } = command {
            pump.apply(millilitres);
        }
    }
    pump
}

#[test]
fn commands_of_a_server_have_their_effect_once_whatever_fails() {
    let commands = doses(40);
    let (mut cuts, mut pulls) = (0, 0);
    for seed in 0..40 {
        let mut rng = Rng::from_seed(seed);
        let (flash, mut server) = (blank(), server());
        command(&mut server, &commands);
        for life in 0.. {
            let mut scratch = [0; SCRATCH];
            if life < 8 {
                let mut cut = Cut::random(rng.below(120), 4, &mut rng);
                cut.weak = WeakRead::Off;
                flash.arm(cut);
            } else {
                flash.disarm();
            }
            let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
            let pulled = pull(&mut log, &mut Follower::new(Obey), (&mut server, SERVER), &mut rng);
            pulls += 1;
            match pulled {
                Ok(phase) if flash.is_powered() => {
                    assert_eq!(phase, Phase::CaughtUp);
                    break;
                }
                Err(error) => assert!(!flash.is_powered(), "what no power cut explains: {error}"),
                Ok(_) => {}
            }
            flash.power_on();
            cuts += 1;
        }
        flash.disarm();
        let mut scratch = [0; SCRATCH];
        let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
        assert_eq!(*log.load::<Pump>(PUMP).unwrap(), expected(&commands), "seed {seed}");
        assert_eq!(log.tracked(Obey::TRACKER), Position(40));
        assert_eq!(server.tracked(Tracker(0)), Position(40), "the server knows");
        flash.assert_no_violations();
    }
    tell(&format!(
        "40 commands over a lossy link, 40 times, {pulls} pulls, {cuts} power cuts: each had its effect once"
    ));
    assert!(cuts > 80, "{cuts}");
}

/// A server that was set up anew begins a new epoch: its positions begin anew, and the device follows. What comes from
/// another server, or from an old copy of this one, is refused.
#[test]
fn a_new_life_of_the_server_is_followed_and_nobody_else() {
    let mut rng = Rng::from_seed(1);
    let (flash, mut first) = (blank(), server());
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    let mut follower = Follower::new(Obey);
    let commands = doses(7);
    command(&mut first, &commands);
    assert_eq!(pull(&mut log, &mut follower, (&mut first, SERVER), &mut rng), Ok(Phase::CaughtUp));

    let second_life = SourceIdentity { epoch: Epoch::new(2, 77), ..SERVER };
    let mut second = server();
    command(&mut second, &doses(3));
    assert_eq!(pull(&mut log, &mut follower, (&mut second, second_life), &mut rng), Ok(Phase::CaughtUp));
    let all: Vec<_> = commands.iter().chain(&doses(3)).copied().collect();
    assert_eq!(*log.load::<Pump>(PUMP).unwrap(), expected(&all));
    assert_eq!(log.tracked(Obey::TRACKER), Position(10), "trackers go forward");

    let followed = second_life;
    for (identity, refused) in [
        (SERVER, DownlinkError::OlderLife { followed: followed.epoch }),
        (SourceIdentity { epoch: Epoch::new(2, 78), ..SERVER }, DownlinkError::OlderLife { followed: followed.epoch }),
        (SourceIdentity { device: 1, ..second_life }, DownlinkError::OtherLog { followed }),
    ] {
        assert_eq!(pull(&mut log, &mut follower, (&mut first, identity), &mut rng), Err(refused));
    }
    assert_eq!(*log.load::<Pump>(PUMP).unwrap(), expected(&all));
    // After a reboot too, and the lineage is all that says so.
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    let mut follower = Follower::new(Obey);
    assert!(pull(&mut log, &mut follower, (&mut first, SERVER), &mut rng).is_err());
    command(&mut second, &doses(1));
    assert_eq!(pull(&mut log, &mut follower, (&mut second, second_life), &mut rng), Ok(Phase::CaughtUp));
    assert_eq!(log.load::<Pump>(PUMP).unwrap().doses, expected(&all).doses + 1);
}

/// A command that the device cannot carry out is told, keeps those after it waiting, and is passed over on purpose.
#[test]
fn a_command_that_fails_is_told_and_what_came_before_it_stays() {
    let mut rng = Rng::from_seed(2);
    let (flash, mut server) = (blank(), server());
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    let mut follower = Follower::new(Obey);
    let dose = |millilitres| Command::Dose { millilitres };
    command(&mut server, &[dose(1), dose(2), dose(TOO_MUCH), dose(4)]);
    for _ in 0..2 {
        let failed = pull(&mut log, &mut follower, (&mut server, SERVER), &mut rng);
        let error = ReactError::Failed { code: 7 };
        assert_eq!(failed, Err(DownlinkError::Process(ProcessError::React { at: Position(3), error })));
        assert_eq!(*log.load::<Pump>(PUMP).unwrap(), Pump { dosed: 3, doses: 2 });
    }
    log.skip(Obey::TRACKER, Position(3)).unwrap();
    assert_eq!(pull(&mut log, &mut follower, (&mut server, SERVER), &mut rng), Ok(Phase::CaughtUp));
    assert_eq!(*log.load::<Pump>(PUMP).unwrap(), Pump { dosed: 7, doses: 3 });
    let mut pump = Root::<Pump>::new(2);
    assert!(log.execute(&mut pump, |_| Ok::<_, ()>([1])).is_ok(), "the log goes on");
}

/// Commands that the server no longer has are passed over, and the cursor says so; those after them have their effect.
#[test]
fn commands_that_are_gone_are_passed_over_once() {
    let (flash, mut server) = (blank(), server());
    let mut scratch = [0; SCRATCH];
    let mut log = Log::mount(records(&flash), &mut scratch).unwrap();
    let mut follower = Follower::new(Obey);
    command(&mut server, &doses(7));
    let mut room = [0; 256];
    let Ok(Section::Events { first, count, bytes }) = server.section(Position(4), &mut room) else { panic!() };
    let gap = Piece::Gap { first: Position(1), last: Position(4), reason: Loss::Overwritten };
    let events = Piece::Events { first, count, bytes };
    let mut store = Downlink::<_, _, LINEAGE_KIND>::new(&mut log, &mut follower, LINEAGE);
    assert_eq!(store.cursor(&SERVER), Ok(Position(0)));
    for piece in [&gap, &gap, &events, &events] {
        let after = store.cursor(&SERVER).unwrap();
        let cursor = store.apply(&SERVER, after, piece).unwrap();
        assert_eq!(cursor, after.max(piece.last()));
        // Another sink that has got less far is told where this one is.
        assert_eq!(store.apply(&SERVER, Position(0), &gap), Ok(cursor));
    }
    assert_eq!(log.tracked(Obey::TRACKER), Position(7));
    assert_eq!(*log.load::<Pump>(PUMP).unwrap(), expected(&doses(7)[4..]));
}
