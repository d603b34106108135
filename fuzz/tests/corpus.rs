//! Each target over its corpus and many mutations of it, the same on every run: what CI can afford.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use twill_fuzz::{Mutator, TARGETS};

/// Mutations of each target.
const MUTATIONS: usize = 50_000;
const SEED: u64 = 20_260_101;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files =
        fs::read_dir(&directory).unwrap_or_else(|why| panic!("{}: {why}", directory.display()));
    let mut paths: Vec<_> = files
        .map(|file| file.expect("a readable directory").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a readable file"))
        .collect()
}

#[test]
fn nothing_in_the_corpora_or_near_it_makes_a_reader_panic() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "corpus/{name} is empty");
        let mut mutator = Mutator::new(SEED);
        let mutations = (0..MUTATIONS).map(|_| mutator.next(&corpus));
        for input in corpus.clone().into_iter().chain(mutations) {
            if catch_unwind(|| target(&input)).is_err() {
                panic!(
                    "{name} panics on {:?} ({input:?})",
                    String::from_utf8_lossy(&input)
                );
            }
        }
    }
}

#[test]
fn every_target_has_a_program_for_the_fuzzer() {
    for (name, _) in TARGETS {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz_targets/{name}.rs"));
        let text = fs::read_to_string(&program).unwrap_or_default();
        assert!(
            text.contains(&format!("twill_fuzz::{name}(data)")),
            "{}",
            program.display()
        );
    }
}
