//! The fuzz targets without a fuzzer: the committed corpus is replayed, and changed at random for a while.
//!
//! `EVENKEEL_BLESS=1` writes the corpus anew. `EVENKEEL_MUTATIONS` says how many changed inputs are tried,
//! `EVENKEEL_SEED` tries one of them.

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_host_sim::rng::Rng;
use evenkeel_tests::fixtures::{SHAPES, SORTS};
use evenkeel_tests::fuzzing::{CONSTANT_BYTES, Cost, mount_image, mutate, operations};
use evenkeel_tests::report::{Findings, Quiet, command, hunting, number, tell};

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

#[test]
fn any_operations_keep_what_was_acknowledged() {
    if !hunting("any list of operations and cuts keeps what was acknowledged") {
        return;
    }
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
