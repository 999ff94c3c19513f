//! Times the rules, to compare a change: `cargo bench -p rules`. This profile builds faster than a release and its code
//! is slightly slower. The published figures come from releases.

use rules::RULES;

fn main() {
    divan::main();
}

#[divan::bench(args = RULES.map(|(name, _)| name))]
fn rule(bencher: divan::Bencher<'_, '_>, name: &str) {
    let run = rules::prepare(name).expect("one of the rules");
    bencher.bench_local(run);
}
