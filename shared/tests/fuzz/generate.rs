//! Generates hostile inputs: JSON that nests in many spellings, and mutations of known inputs.

use arbitrary::Unstructured;

/// Choices determined by random bytes. Without any bytes left, each choice is the first.
pub struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    /// Creates choices determined by `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.int_in_range(0..=end.saturating_sub(1)).unwrap_or(0)
    }

    /// Returns a number of at most `bits` bits. Each number of bits is equally likely.
    pub fn number(&mut self, bits: u32) -> u64 {
        let size = self.below(bits as usize + 1) as u32;
        self.0.int_in_range(0..=1_u64.checked_shl(size).map_or(u64::MAX, |end| end - 1)).unwrap_or(0)
    }

    /// Returns true with a probability of one in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) + 1 == times
    }

    /// Returns one of `options`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }
}

/// Maximum size of an input in bytes: the default limit of a body.
const MAX_BYTES: usize = 65_536;

/// Object keys: some are private to serde_json, some are spelled with escapes.
const KEYS: [&str; 10] = [
    "a",
    "",
    "\\u0061",
    "payload",
    "agent_id",
    "user_id",
    "$serde_json::private::RawValue",
    "\\u0024serde_json::private::RawValue",
    "$serde_json::private::Number",
    "é\\ud83d\\ude00",
];
const SCALARS: [&str; 18] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1.10",
    "1e400",
    "-1e-400",
    "123456789012345678901234567890",
    "\"\"",
    "\"a\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"2026-01-01T00:00:00Z\"",
    "\"[1]\"",
    "\"{\\\"a\\\":1}\"",
    "nul",
    "\"\u{301}ʼ ʼ［\"",
];
const SPACES: [&str; 4] = ["", "", " ", "\t\r\n"];
/// Tokens of the formats under test.
const TOKENS: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    ":",
    "\\u005c",
    "\\\"",
    "\u{feff}",
    "\0",
    "%",
    "#",
    "~",
    "*",
    "=",
    ".",
    "-",
    "9999999999999",
    "18446744073709551615",
    "1e999",
    "\n",
    "$serde_json::private::RawValue",
];
const LEVELS: [usize; 8] = [1, 2, 60, 126, 127, 128, 1_000, 12_000];

/// Returns a JSON value, mostly valid.
pub fn json(choices: &mut Choices<'_>, depth: usize) -> String {
    match choices.below(if depth == 0 { 6 } else { 10 }) {
        0..=4 => choices.pick(&SCALARS).to_owned(),
        5 => nested(choices),
        6..=7 => list(choices, depth, '[', ']', json),
        _ => list(choices, depth, '{', '}', |choices, depth| {
            format!("\"{}\"{}:{}", choices.pick(&KEYS), choices.pick(&SPACES), json(choices, depth))
        }),
    }
}

fn list(
    choices: &mut Choices<'_>,
    depth: usize,
    open: char,
    close: char,
    item: impl Fn(&mut Choices<'_>, usize) -> String,
) -> String {
    let items: Vec<_> = (0..choices.below(4)).map(|_| item(choices, depth - 1)).collect();
    format!("{open}{}{}{close}", items.join(&format!("{},", choices.pick(&SPACES))), choices.pick(&SPACES))
}

/// Returns a value that nests: in arrays, in objects, or in strings that a parser may take for JSON.
pub fn nested(choices: &mut Choices<'_>) -> String {
    let key = choices.pick(&KEYS);
    match choices.below(4) {
        0 => wrap("[", "]", choices.pick(&LEVELS), "1"),
        1 => wrap(&format!("{{\"{key}\":"), "}", choices.pick(&LEVELS), "null"),
        2 => wrap(&format!(" [{{\"{key}\" :\n"), "} ]", choices.pick(&LEVELS), "{}"),
        _ => in_strings(choices, key),
    }
}

/// Returns arrays around an object whose only field is a string that holds another such value, and so on.
fn in_strings(choices: &mut Choices<'_>, key: &str) -> String {
    let around = choices.pick(&[0, 1, 125, 126]);
    let mut text = "1".to_owned();
    for _ in 0..choices.below(50) {
        let escaped = text.replace('\\', "\\u005c").replace('"', "\\u0022");
        let next = wrap("[", "]", around, &format!("{{\"{key}\":\"{escaped}\"}}"));
        if next.len() > MAX_BYTES {
            break;
        }
        text = next;
    }
    text
}

fn wrap(open: &str, close: &str, levels: usize, inside: &str) -> String {
    let levels = levels.min(MAX_BYTES / (open.len() + close.len()));
    format!("{}{inside}{}", open.repeat(levels), close.repeat(levels))
}

/// Returns an object with some of `fields`. Each field has its usual value or an arbitrary one.
pub fn object(choices: &mut Choices<'_>, fields: &[(&str, &str)]) -> String {
    let mut members = Vec::new();
    for (name, value) in fields {
        match choices.below(12) {
            0 => {}
            1 => members.push(format!("\"{name}\":{}", json(choices, 3))),
            2 => members.push(format!("\"{}\":{}", choices.pick(&KEYS), json(choices, 3))),
            _ => members.push(format!("\"{name}\"{}:{value}", choices.pick(&SPACES))),
        }
    }
    format!("{{{}}}", members.join(","))
}

/// Changes, removes and repeats some bytes of `input`, and inserts tokens.
pub fn mutate(choices: &mut Choices<'_>, mut input: Vec<u8>) -> Vec<u8> {
    for _ in 0..=choices.below(4) {
        let at = choices.below(input.len() + 1);
        let end = (at + choices.below(16)).min(input.len());
        match choices.below(5) {
            0 if at < input.len() => input[at] ^= 1 << choices.below(8),
            1 => drop(input.drain(at..end)),
            2 => {
                let part = input[at..end].repeat(1 + choices.below(20));
                input.splice(at..at, part);
            }
            3 => drop(input.splice(at..at, json(choices, 2).into_bytes())),
            _ => drop(input.splice(at..at, choices.pick(&TOKENS).bytes())),
        }
    }
    input.truncate(MAX_BYTES);
    input
}
