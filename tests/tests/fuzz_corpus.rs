//! The fuzz targets without a fuzzer: the committed corpus is replayed, and changed at random for a while.
//!
//! `EVENKEEL_BLESS=1` writes the corpus anew. `EVENKEEL_MUTATIONS` says how many changed inputs are tried,
//! `EVENKEEL_SEED` tries one of them.

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_core::RecordManager;
use evenkeel_core::scratch::Scratch;
use evenkeel_flash_store::sabotage::{self, Break};
use evenkeel_host_sim::flash::{ChipProfile, SimFlash};
use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::fixtures::{SHAPES, SORTS};
use evenkeel_tests::fuzzing::{CONSTANT_BYTES, Cost, mount_image, mutate, operations, sync_frames, sync_stream};
use evenkeel_tests::hostile_frames;
use evenkeel_tests::image::{Geometry, Open};
use evenkeel_tests::oracle::unmounted;
use evenkeel_tests::report::{Findings, Quiet, command, number, tell};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// The inputs of a target, in the order of their names.
fn corpus(target: &str, blessed: impl Fn() -> Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
    let folder = folder(target);
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        fs::create_dir_all(&folder).expect("a folder");
        for (name, bytes) in blessed() {
            fs::write(folder.join(name), bytes).expect("writing an input");
        }
    }
    let mut paths: Vec<_> = fs::read_dir(&folder).expect("the corpus").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there is no corpus in {}", folder.display());
    paths.iter().map(|path| fs::read(path).expect("an input")).collect()
}

/// Tries all inputs, and then so many changed ones.
fn fuzz(target: &str, test: &str, inputs: &[Vec<u8>], mutations: u64, mut run: impl FnMut(&[u8])) -> (u64, Findings) {
    let quiet = Quiet::please();
    let mut findings = Findings::default();
    let only = number("EVENKEEL_SEED");
    for (nth, input) in inputs.iter().enumerate().filter(|_| only.is_none()) {
        findings.case(|| format!("input {nth} of the corpus of {target}"), || run(input));
    }
    let mutations =
        number("EVENKEEL_MUTATIONS").unwrap_or(if cfg!(debug_assertions) { mutations / 20 } else { mutations });
    let seeds = only.map_or(0..mutations, |seed| seed..seed + 1);
    for seed in seeds.clone() {
        let mut rng = Rng::from_seed(seed);
        let (mut input, other) = (rng.pick(inputs).clone(), rng.pick(inputs));
        mutate(&mut input, other, &mut rng);
        findings.case(|| command(&format!("EVENKEEL_SEED={seed}"), "fuzz_corpus", test), || run(&input));
    }
    drop(quiet);
    (seeds.end - seeds.start, findings)
}

#[test]
fn hostile_images_end_in_work_or_in_an_error() {
    let inputs = corpus("mount_image", || {
        let shapes = SHAPES[..4].iter().enumerate();
        let named = shapes.flat_map(|(choice, shape)| {
            SORTS.map(|(sort, name)| {
                let input = [vec![choice as u8], shape.make(sort)].concat();
                (format!("{}-{name}", shape.name), input)
            })
        });
        named.collect()
    });
    let (mut most, mut worst, mut calls, mut mounted) = (Cost::default(), 0, 0, 0);
    let (tried, findings) =
        fuzz("mount_image", "hostile_images_end_in_work_or_in_an_error", &inputs, 60_000, |input| {
            let cost = mount_image(input);
            mounted += u64::from(cost.mounted);
            if cost.mount_bytes * 100 / cost.region > worst {
                (most, worst) = (cost, cost.mount_bytes * 100 / cost.region);
            }
            calls = calls.max(cost.call_bytes * 100 / cost.region);
            let limit = 2 * cost.region + CONSTANT_BYTES;
            let Cost { mount_bytes, mount_reads, .. } = cost;
            assert!(
                mount_bytes <= limit,
                "mounting has read {mount_bytes} B in {mount_reads} reads, more than {limit}"
            );
        });
    tell(&format!(
        "{} hostile images and {tried} changed ones, {mounted} of them mounted: a mount reads {worst} % of the region at \
         most ({} B in {} reads), a call behind it {calls} %, {} findings",
        inputs.len(),
        most.mount_bytes,
        most.mount_reads,
        findings.count
    ));
    findings.assert_none();
}

/// The most bytes that one walk through a sector checks in looking for frames behind damage, as the format says.
const SEARCHED_BYTES: u64 = 64 * 1024;

/// The bytes that a mount reads of an image whose newest sector looks like the start of a frame at every word, with a
/// buffer that holds a fraction of such a frame; and what it may read.
fn mount_of_claims() -> (u64, u64) {
    const SECTOR: usize = 16 * 1024;
    let geometry = Geometry { word: 4, page: 4, sector: SECTOR, sectors: 4, version: 1, log: 7, epoch: 0x1_0000_0002 };
    let mut image = geometry.blank();
    geometry.prepare(&mut image, 4, 1);
    let at = geometry.open(&mut image, 4, &Open { base: 1, oldest: 4, moment: (0, 0) });
    // Read as a length, a word says 4,000 bytes, and then an ordinal of 0.
    for word in image[at..SECTOR].chunks_exact_mut(4) {
        word.copy_from_slice(&[0x80 | (4_000 & 0x7F) as u8, (4_000 >> 7) as u8, 0, 0]);
    }
    let flash = SimFlash::<4, 4, SECTOR>::from_image(&ChipProfile::generic(4, 4, SECTOR), image);
    unmounted(&flash).mount(&mut Scratch::new(&mut [0; 256])).expect("a log with a damaged end");
    (flash.counters().read_bytes, 2 * (4 * SECTOR) as u64 + SEARCHED_BYTES + 2 * CONSTANT_BYTES)
}

/// The check of G4 can fail: without a bound on the search for frames, an image can be made that takes for ever.
#[test]
fn a_search_without_a_bound_is_caught() {
    let (read, limit) = mount_of_claims();
    assert!(read <= limit, "a mount reads {read} B, more than {limit}");
    sabotage::set(Some(Break::Budget));
    let (unbound, _) = mount_of_claims();
    sabotage::set(None);
    assert!(unbound > 4 * limit, "the break goes unnoticed: {read} B with a bound, {unbound} B without");
}

#[test]
fn any_operations_keep_what_was_acknowledged() {
    let inputs = corpus("operations", || {
        let input = |seed: u64| {
            let mut bytes = vec![0; 120];
            Rng::from_seed(seed).fill(&mut bytes);
            bytes[0] = seed as u8;
            (format!("seed-{seed:02}"), bytes)
        };
        (0..16).map(input).collect()
    });
    let (tried, findings) =
        fuzz("operations", "any_operations_keep_what_was_acknowledged", &inputs, 20_000, operations);
    tell(&format!("{} lists of operations and {tried} changed ones: {} findings", inputs.len(), findings.count));
    findings.assert_none();
}

#[test]
fn hostile_frames_change_nothing_but_by_events_in_order() {
    let inputs = corpus("sync_frames", hostile_frames::seeds);
    let mut believed = 0;
    let (tried, findings) =
        fuzz("sync_frames", "hostile_frames_change_nothing_but_by_events_in_order", &inputs, 200_000, |input| {
            believed += u64::from(sync_frames(input));
        });
    tell(&format!(
        "{} pulls and {tried} changed ones, {believed} frames believed: {} findings",
        inputs.len(),
        findings.count
    ));
    findings.assert_none();
    // What is behind the checks was reached.
    assert!(believed > tried, "{believed}");
}

#[test]
fn hostile_streams_end_in_frames_or_in_nothing() {
    let inputs = corpus("sync_stream", hostile_frames::streams);
    let mut frames = 0;
    let (tried, findings) =
        fuzz("sync_stream", "hostile_streams_end_in_frames_or_in_nothing", &inputs, 200_000, |input| {
            frames += u64::from(sync_stream(input));
        });
    tell(&format!("{} streams and {tried} changed ones, {frames} frames: {} findings", inputs.len(), findings.count));
    findings.assert_none();
    assert!(frames > tried, "{frames}");
}
