//! Every fuzz target with its corpus and with changed copies of it, on any toolchain. `TRIALS=n` tries n changes of each.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::{Duration, Instant};

use trials::hex;
use trials::mutation::{Source, mutated};
use trials::targets::{TARGETS, Target};

const CHANGES: usize = 100_000;
/// An input of a few hundred octets takes microseconds; a busy machine may stop us meanwhile.
const BOUND: Duration = Duration::from_secs(1);

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target.name);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect()
}

fn attempt(target: &Target, input: &[u8]) {
    let started = Instant::now();
    let done = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    assert!(
        done.is_ok(),
        "{} panics at {}",
        target.name,
        hex::encode(input)
    );
    assert!(
        started.elapsed() < BOUND,
        "{} takes too long for {}",
        target.name,
        hex::encode(input)
    );
}

#[test]
fn the_corpus_and_what_is_like_it() {
    let changes = std::env::var("TRIALS").map_or(CHANGES, |number| number.parse().unwrap());
    for target in TARGETS {
        let mut inputs = (target.seeds)();
        assert!(!inputs.is_empty(), "{} has no seed", target.name);
        inputs.extend(corpus(target));
        inputs.iter().for_each(|input| attempt(target, input));
        let mut source = Source::new(3);
        for _ in 0..changes {
            attempt(target, &mutated(&mut source, &inputs));
        }
    }
}

#[test]
fn changes_are_the_same_for_the_same_seed() {
    let inputs = vec![vec![1, 2, 3, 4], vec![5; 40]];
    let walk = |seed| {
        let mut source = Source::new(seed);
        (0..100)
            .map(|_| mutated(&mut source, &inputs))
            .collect::<Vec<_>>()
    };
    assert_eq!(walk(7), walk(7));
    assert_ne!(walk(7), walk(8));
}
