//! Whatever once broke a property (`corpus/regressions/<target>/`) holds it now, and so does every input that a fuzzer begins with.
use properties::{TARGETS, seeds};
use std::panic::catch_unwind;

fn play(target: &str, run: fn(&[u8]), name: &str, input: &[u8]) {
    let outcome = catch_unwind(|| run(input));
    assert!(
        outcome.is_ok(),
        "{target}: {name} breaks a property: {}",
        input.escape_ascii()
    );
}

#[test]
fn everything_that_once_went_wrong_holds() {
    for (target, run) in TARGETS {
        let folder = seeds::corpus().join("regressions").join(target);
        if folder.is_dir() {
            for (path, input) in seeds::files(&folder, "") {
                play(target, *run, &path.display().to_string(), &input);
            }
        }
    }
}

#[test]
fn every_seed_holds() {
    for (target, run) in TARGETS {
        let all = seeds::of(target);
        assert!(all.len() > 20, "{target} has {} seeds", all.len());
        for (index, input) in all.iter().enumerate() {
            play(target, *run, &format!("seed {index}"), input);
        }
    }
}

#[test]
fn every_target_has_its_fuzzer() {
    let folder = seeds::corpus().join("../fuzz/fuzz_targets");
    let mut found: Vec<String> = seeds::files(&folder, ".rs")
        .iter()
        .map(|(path, text)| {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = String::from_utf8_lossy(text);
            assert!(
                text.contains(&format!("properties::{name}::run(data)")),
                "{name}: {text}"
            );
            name
        })
        .collect();
    let mut wanted: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}
