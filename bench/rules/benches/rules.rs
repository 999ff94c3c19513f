//! How long the rules take: `cargo bench -p rules`.

use rules::RULES;

fn main() {
    divan::main();
}

#[divan::bench(args = RULES.map(|(name, _)| name))]
fn rule(bencher: divan::Bencher<'_, '_>, name: &str) {
    let run = rules::prepare(name).expect("one of the rules");
    bencher.bench_local(run);
}
