//! How long the rules take, to compare a change with: `cargo bench -p rules`. It builds faster than a release, and what it
//! builds is a little slower; the published figures are of releases.

use rules::RULES;

fn main() {
    divan::main();
}

#[divan::bench(args = RULES.map(|(name, _)| name))]
fn rule(bencher: divan::Bencher<'_, '_>, name: &str) {
    let run = rules::prepare(name).expect("one of the rules");
    bencher.bench_local(run);
}
