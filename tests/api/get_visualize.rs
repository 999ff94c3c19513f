//! `GET /visualize/{agent_id}/{user_id}`: the summary as a bar chart.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde_json::json;

use crate::answer::Answer;
use crate::segments::put_singles;
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn the_chart_is_a_png_of_800_by_480() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    log_signals(&stack, &user, &["positive", "neutral"]).await;
    let answer = stack.get_visualize("agent", &user).await;
    answer.check(answer.bytes("image/png").starts_with(b"\x89PNG\r\n\x1a\n"), "the signature of a PNG");
    decode(&answer);
}

#[tokio::test]
async fn every_signal_has_a_colour_of_its_own() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let signals = ["positive", "neutral", "stressed", "uncertain", "delighted", "bored"];
    for count in 1..=signals.len() {
        let user = format!("{user}-{count}");
        log_signals(&stack, &user, &signals[..count]).await;
        let answer = stack.get_visualize("agent", &user).await;
        let bars = saturated_areas(&answer);
        answer.check(bars >= count - 1, &format!("{count} bars, of which all but neutral are colourful, found {bars}"));
    }
}

#[tokio::test]
async fn no_data_is_nothing_to_visualize() {
    let answer = Stack::connect().get_visualize("agent", &fresh("user")).await;
    answer.expect(404, &json!({"error": "No data to visualize"}));
}

#[tokio::test]
async fn any_script_and_more_signals_than_bars_are_drawn() {
    let stack = Stack::connect();
    let signals: Vec<_> = (0..20).map(|index| format!("signal {index}")).collect();
    let many: Vec<_> = signals.iter().map(String::as_str).collect();
    let odd = ["日本 语", "🙂🙃", "مرحبا", "e\u{301}\u{200d}", "Ünïcødé", "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"];
    for (agent, user, signals) in [
        ("agent".to_owned(), fresh("user"), many.as_slice()),
        (fresh("日本 语 🙂"), fresh("مرحبا"), odd.as_slice()),
        ("w".repeat(128), format!("{:w<128}", fresh("user")), &["positive"]),
    ] {
        for signal in signals {
            let interaction = json!({"agent_id": agent, "user_id": user, "user_input": "", "detected_signal": signal});
            stack.log(&interaction).await;
        }
        decode(&stack.get_visualize(&agent, &user).await);
    }
}

#[tokio::test]
async fn a_chart_has_the_size_and_the_colours_that_are_asked_for() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    log_signals(&stack, &user, &["positive", "stressed"]).await;
    for (width, height) in [(320, 200), (1_600, 1_000), (333, 777)] {
        let mut grounds = Vec::new();
        for theme in ["light", "dark"] {
            let query = format!("theme={theme}&width={width}&height={height}");
            let answer = stack.get_visualize_as("image/*", "agent", &user, &query).await;
            let pixels = decode_sized(&answer, (width, height));
            // A corner pixel has the background colour.
            grounds.push(pixels[0].iter().map(|part| u32::from(*part)).sum::<u32>());
        }
        assert!(grounds[0] > 700 && grounds[1] < 200, "{grounds:?}");
    }
}

#[tokio::test]
async fn svg_is_returned_when_preferred_and_shows_names_unchanged() {
    let (stack, user) = (Stack::connect(), fresh("<b>日本&"));
    log_signals(&stack, &user, &["positive", "<i>"]).await;
    let query = "theme=dark&width=1600&height=500";
    let svg = stack.get_visualize_as("image/svg+xml, image/png;q=0.5", "agent", &user, query).await;
    let text = String::from_utf8_lossy(svg.bytes("image/svg+xml")).into_owned();
    svg.check(text.starts_with("<svg width=\"1600\" height=\"500\""), "an SVG of 1600 by 500");
    let names = text.contains("&lt;i&gt;") && text.contains("&lt;b&gt;日本&amp;") && !text.contains("<i>");
    svg.check(names, "names as text");
    svg.check(svg.header("vary") == "accept", "that the answer varies with Accept");
    for media in ["*/*", "image/*", "image/png, image/svg+xml;q=0.9", "image/svg+xml,image/png", "application/json"] {
        decode(&stack.get_visualize_as(media, "agent", &user, "").await);
    }
}

#[tokio::test]
async fn a_chart_of_a_part_of_time_has_the_signals_of_that_time() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    put_singles(&user, &[("2026-01-01T00:00:00Z", "stressed"), ("2026-01-02T00:00:00Z", "positive")]).await;
    let text = async |query: &str| {
        let answer = stack.get_visualize_as("image/svg+xml", "agent", &user, query).await;
        String::from_utf8_lossy(answer.bytes("image/svg+xml")).into_owned()
    };
    let all = text("").await;
    assert!(all.contains("stressed") && all.contains("positive") && all.contains("last 2 interactions"), "{all}");
    let first = text("since=2026-01-01&until=2026-01-01T12:00:00Z").await;
    assert!(first.contains("stressed") && !first.contains("positive"), "{first}");
    assert!(first.contains("1 interaction from 2026-01-01 00:00 to 2026-01-01 12:00 UTC"), "{first}");
    let second = text("since=2026-01-01T00:00:00.001Z").await;
    assert!(!second.contains("stressed") && second.contains("positive"), "{second}");
    let none = stack.get_visualize_as("image/svg+xml", "agent", &user, "since=2026-01-03").await;
    none.expect(404, &json!({"error": "No data to visualize"}));
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let query = "theme=blue&width=319&height=1001&since=x&until=x";
    let answer = Stack::connect().get_visualize_as("image/png", "agent", &fresh("user"), query).await;
    answer.expect_faults(&[
        ("query.theme", "literal_error"),
        ("query.width", "greater_than_equal"),
        ("query.height", "less_than_equal"),
        ("query.since", "datetime_from_date_parsing"),
        ("query.until", "datetime_from_date_parsing"),
    ]);
}

async fn log_signals(stack: &Stack, user: &str, signals: &[&str]) {
    for signal in signals {
        let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "", "detected_signal": signal});
        stack.log(&interaction).await;
    }
}

/// Decodes a chart of the default size to red, green and blue pixels.
#[track_caller]
fn decode(answer: &Answer) -> Vec<[u8; 3]> {
    decode_sized(answer, (800, 480))
}

/// Decodes a chart of `size`.
#[track_caller]
fn decode_sized(answer: &Answer, size: (u32, u32)) -> Vec<[u8; 3]> {
    let mut decoder = png::Decoder::new(Cursor::new(answer.bytes("image/png")));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    answer.check((frame.width, frame.height) == size, &format!("{size:?} pixels"));
    pixels.chunks_exact(frame.color_type.samples()).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// Returns the number of saturated colours that fill at least 2,000 pixels each: the bars.
#[track_caller]
fn saturated_areas(answer: &Answer) -> usize {
    let mut areas = BTreeMap::new();
    for pixel in decode(answer) {
        *areas.entry(pixel).or_insert(0) += 1;
    }
    let colourful =
        |colour: &[u8; 3]| colour.iter().max().zip(colour.iter().min()).is_some_and(|(max, min)| max - min > 40);
    areas.iter().filter(|(colour, pixels)| colourful(colour) && **pixels >= 2_000).count()
}
