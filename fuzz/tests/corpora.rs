//! Whatever the fuzzer has found worth keeping, without a fuzzer.

use std::{fs, path::Path, time::Instant};

#[test]
fn every_input_of_the_corpora_keeps_the_laws() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in fuzz::TARGETS {
        let files = fs::read_dir(corpora.join(name)).expect("a corpus");
        let (mut inputs, started) = (0, Instant::now());
        for file in files {
            let file = file.expect("a file").path();
            println!("{}", file.display()); // The last one printed is the one that panics.
            target(&fs::read(&file).expect("an input"));
            inputs += 1;
        }
        assert!(inputs > 20, "{name}: only {inputs} inputs");
        println!("{name}: {inputs} inputs in {:?}", started.elapsed());
    }
}
