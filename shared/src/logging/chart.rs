//! A summary as a bar chart in PNG.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::entry::Conversation;
use super::summary::Summary;
use crate::ids::Signal;

/// Width of the image in pixels.
const WIDTH: u32 = 800;
/// Height of the image in pixels.
const HEIGHT: u32 = 480;
/// More signals than this share one bar.
const MAX_BARS: usize = 12;

const FONT: &str = "sans-serif";
const OTHER: &str = "other";
const BACKGROUND: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(31, 41, 55);
const FAINT_INK: RGBColor = RGBColor(91, 103, 122);
const GRID: RGBColor = RGBColor(226, 232, 240);
/// The share of its place that a bar fills, unless that is wider than [`WIDEST_BAR`].
const BAR_SHARE: f64 = 0.64;
/// In pixels.
const WIDEST_BAR: f64 = 140.0;
/// Pixels left and right that text keeps away from the edge.
const TEXT_MARGIN: i32 = 24;
const BYTES_PER_PIXEL: usize = 3;

/// Colours of the standard signals; the dashboard's are the same.
const STANDARD_COLOURS: [(&str, RGBColor); 4] = [
    ("positive", RGBColor(22, 163, 114)),
    ("neutral", RGBColor(100, 116, 139)),
    ("stressed", RGBColor(225, 72, 72)),
    ("uncertain", RGBColor(217, 146, 16)),
];
/// Colours of other signals, in the order in which they are shown.
const OTHER_COLOURS: [RGBColor; 11] = [
    RGBColor(79, 70, 229),
    RGBColor(8, 145, 178),
    RGBColor(192, 38, 211),
    RGBColor(101, 163, 13),
    RGBColor(234, 88, 12),
    RGBColor(13, 148, 136),
    RGBColor(190, 24, 93),
    RGBColor(120, 86, 60),
    RGBColor(30, 64, 175),
    RGBColor(244, 114, 182),
    RGBColor(22, 101, 52),
];

/// The chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the chart could not be drawn: {0}")]
pub struct ChartError(String);

impl ChartError {
    fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Draws `summary` of `conversation`, one bar a signal, as a PNG of 800 by 480 pixels.
///
/// Characters that the font lacks are drawn as boxes, names too long for the image end in an ellipsis.
///
/// # Errors
/// When drawing or encoding fails.
pub fn draw(summary: &Summary, conversation: &Conversation) -> Result<Vec<u8>, ChartError> {
    load_fonts()?;
    let bars = bars(summary);
    let mut pixels = vec![0; WIDTH as usize * HEIGHT as usize * BYTES_PER_PIXEL];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&BACKGROUND).map_err(ChartError::new)?;
        let (heading, plot) = area.split_vertically(84);
        draw_heading(&heading, &bars, conversation)?;
        draw_bars(&plot, &bars)?;
        area.present().map_err(ChartError::new)?;
    }
    encode(&pixels)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

struct Bar {
    label: String,
    count: u64,
    colour: RGBColor,
}

fn bars(summary: &Summary) -> Vec<Bar> {
    let counts = summary.in_order();
    let shown = if counts.len() > MAX_BARS { MAX_BARS - 1 } else { counts.len() };
    let mut others = OTHER_COLOURS.iter().cycle();
    let mut bar = |signal: &Signal, count| {
        let standard = STANDARD_COLOURS.iter().find(|(name, _)| *name == signal.as_str()).map(|(_, colour)| *colour);
        let colour = standard.or_else(|| others.next().copied()).unwrap_or(FAINT_INK);
        Bar { label: signal.as_str().to_owned(), count, colour }
    };
    let mut bars: Vec<Bar> = counts[..shown].iter().map(|(signal, count)| bar(signal, *count)).collect();
    if shown < counts.len() {
        let count = counts[shown..].iter().map(|(_, count)| count).sum();
        bars.push(Bar { label: OTHER.to_owned(), count, colour: FAINT_INK });
    }
    bars
}

fn draw_heading(area: &Area<'_>, bars: &[Bar], conversation: &Conversation) -> Result<(), ChartError> {
    let width = WIDTH - 2 * TEXT_MARGIN.unsigned_abs();
    let total: u64 = bars.iter().map(|bar| bar.count).sum();
    let noun = if total == 1 { "interaction" } else { "interactions" };
    let title = text_style(24, &INK);
    let subtitle = text_style(15, &FAINT_INK);
    let lines = [
        (format!("Signals of {}", conversation.user_id), title, 22),
        (format!("last {total} {noun} with {}", conversation.agent_id), subtitle, 56),
    ];
    for (text, style, y) in lines {
        let text = fit(area, &text, &style, width)?;
        area.draw(&Text::new(text, (TEXT_MARGIN, y), style)).map_err(ChartError::new)?;
    }
    Ok(())
}

fn draw_bars(area: &Area<'_>, bars: &[Bar]) -> Result<(), ChartError> {
    let places = bars.len() as f64;
    let highest = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let top = highest + highest.div_ceil(8).max(1);
    let mut chart = ChartBuilder::on(area)
        .margin_right(TEXT_MARGIN)
        .margin_left(8)
        .margin_bottom(6)
        .y_label_area_size(72)
        .x_label_area_size(62)
        .build_cartesian_2d(0.0..places, 0..top)
        .map_err(ChartError::new)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .x_label_formatter(&|_| String::new())
        .y_labels(6)
        .y_label_style(text_style(14, &FAINT_INK))
        .y_desc("Interactions")
        .x_desc("Signal")
        .axis_desc_style(text_style(15, &FAINT_INK))
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(ChartError::new)?;

    let place_width = chart.plotting_area().dim_in_pixel().0 / u32::try_from(bars.len().max(1)).unwrap_or(1);
    let half_bar = f64::min(BAR_SHARE, WIDEST_BAR / f64::from(place_width.max(1))) / 2.0;
    for (index, bar) in bars.iter().enumerate() {
        let middle = index as f64 + 0.5;
        let corners = [(middle - half_bar, 0), (middle + half_bar, bar.count)];
        let rectangle = Rectangle::new(corners, bar.colour.filled());
        chart.plotting_area().draw(&rectangle).map_err(ChartError::new)?;

        let (x, y) = chart.backend_coord(&(middle, bar.count));
        let (_, floor) = chart.backend_coord(&(middle, 0));
        let (left_edge, top_edge) = area.get_base_pixel();
        let count = text_style(16, &INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        let at = (x - left_edge, y - top_edge - 4);
        area.draw(&Text::new(bar.count.to_string(), at, count)).map_err(ChartError::new)?;
        let label = text_style(15, &INK).pos(Pos::new(HPos::Center, VPos::Top));
        let name = fit(area, &bar.label, &label, place_width.saturating_sub(6))?;
        area.draw(&Text::new(name, (x - left_edge, floor - top_edge + 9), label)).map_err(ChartError::new)?;
    }
    Ok(())
}

fn text_style(size: i32, colour: &'static RGBColor) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(colour)
}

/// `text`, cut where it would be wider than `width` pixels.
fn fit(area: &Area<'_>, text: &str, style: &TextStyle<'_>, width: u32) -> Result<String, ChartError> {
    let is_wide =
        |text: &str| area.estimate_text_size(text, style).map(|(used, _)| used > width).map_err(ChartError::new);
    if !is_wide(text)? {
        return Ok(text.to_owned());
    }
    let mut kept: Vec<char> = text.chars().collect();
    loop {
        kept.pop();
        let cut: String = kept.iter().collect::<String>().trim_end().to_owned() + "…";
        if kept.is_empty() || !is_wide(&cut)? {
            return Ok(cut);
        }
    }
}

/// Makes the compiled-in font known to plotters, once: a Lambda sandbox has no fonts of its own.
fn load_fonts() -> Result<(), ChartError> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let loaded = *LOADED.get_or_init(|| register_font(FONT, FontStyle::Normal, dejavu::sans::regular()).is_ok());
    if loaded { Ok(()) } else { Err(ChartError::new("the font is not readable")) }
}

fn encode(pixels: &[u8]) -> Result<Vec<u8>, ChartError> {
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(ChartError::new)?;
    writer.write_image_data(pixels).map_err(ChartError::new)?;
    writer.finish().map_err(ChartError::new)?;
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AgentId, UserId};
    use proptest::prelude::*;

    fn conversation(user: &str) -> Conversation {
        Conversation {
            agent_id: AgentId::try_from("agent1").expect("an agent"),
            user_id: UserId::try_from(user).expect("a user"),
        }
    }

    fn summary(counts: &[(&str, u64)]) -> Summary {
        counts.iter().map(|(name, count)| (Signal::try_from(*name).expect("a signal"), *count)).collect()
    }

    fn pixels_of(image: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(image)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("fits")];
        let info = reader.next_frame(&mut pixels).expect("an image");
        (info.width, info.height, pixels)
    }

    fn count_of(pixels: &[u8], colour: RGBColor) -> usize {
        pixels.chunks(BYTES_PER_PIXEL).filter(|pixel| **pixel == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn bars_have_their_signals_colour_and_grow_with_the_count() {
        let image = draw(&summary(&[("positive", 30), ("stressed", 10)]), &conversation("u")).expect("drawn");
        let (width, height, pixels) = pixels_of(&image);
        assert_eq!((width, height), (800, 480));
        let (positive, stressed) = (count_of(&pixels, STANDARD_COLOURS[0].1), count_of(&pixels, STANDARD_COLOURS[2].1));
        assert!(stressed > 1_000 && positive.abs_diff(3 * stressed) < positive / 10, "{positive} {stressed}");
        assert_eq!(count_of(&pixels, STANDARD_COLOURS[1].1), 0);
    }

    #[test]
    fn more_signals_than_bars_share_the_last_one() {
        let names: Vec<String> = (0..20).map(|n| format!("signal {n:02}")).collect();
        let counts: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
        let bars = bars(&summary(&counts));
        assert_eq!(bars.len(), MAX_BARS);
        let last = bars.last().expect("a bar");
        assert_eq!((last.label.as_str(), last.count), (OTHER, 18));
    }

    #[test]
    fn a_glyph_that_the_font_lacks_leaves_a_mark() {
        let image = |user: &str| pixels_of(&draw(&summary(&[("positive", 1)]), &conversation(user)).expect("drawn")).2;
        assert_ne!(image("日本 语"), image(" "));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_name_and_any_count_is_drawn(user in "\\PC{1,30}", signal in "\\PC{1,8}", count in 1..=u64::MAX / 4) {
            let (Ok(user_id), Ok(signal)) = (UserId::try_from(user.as_str()), Signal::try_from(signal.as_str())) else {
                return Ok(());
            };
            let conversation = Conversation { user_id, ..conversation("u") };
            draw(&[(signal, count), (Signal::neutral(), 1)].into_iter().collect(), &conversation).expect("drawn");
        }
    }
}
