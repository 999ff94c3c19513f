//! `GET /visualize/{agent_id}/{user_id}`: the summary as a bar chart.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde_json::json;

use crate::answer::Answer;
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
            stack.post_log(&interaction).await.ok();
        }
        decode(&stack.get_visualize(&agent, &user).await);
    }
}

async fn log_signals(stack: &Stack, user: &str, signals: &[&str]) {
    for signal in signals {
        let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "", "detected_signal": signal});
        stack.post_log(&interaction).await.ok();
    }
}

/// The pixels of a chart, as red, green and blue.
#[track_caller]
fn decode(answer: &Answer) -> Vec<[u8; 3]> {
    let mut decoder = png::Decoder::new(Cursor::new(answer.bytes("image/png")));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let frame = reader.next_frame(&mut pixels).expect("a whole PNG");
    answer.check((frame.width, frame.height) == (800, 480), "800 by 480 pixels");
    pixels.chunks_exact(frame.color_type.samples()).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// How many colourful colours fill at least 2,000 pixels each: the bars.
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
