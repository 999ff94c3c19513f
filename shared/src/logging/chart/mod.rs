//! Draws a summary as a bar chart, in PNG or SVG.

mod canvas;
mod font;
mod options;
mod palette;
mod pixmap;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use self::canvas::{Canvas, Surface};
use self::font::Font;
pub use self::options::{ChartOptions, HEIGHTS, Theme, WIDTHS};
use self::palette::Palette;
use self::pixmap::{Pixmap, text_size};
use super::entry::Conversation;
use super::span::Span;
use super::summary::Summary;
use crate::ids::{AgentId, Signal, UserId};
use crate::time::Timestamp;

/// Maximum number of bars. Further signals share one bar.
const MAX_BARS: usize = 12;

const FONT: &str = "sans-serif";
const OTHER: &str = "other";
/// Share of its slot that a bar fills, up to [`WIDEST_BAR`].
const BAR_SHARE: f64 = 0.64;
/// Maximum width of a bar in pixels.
const WIDEST_BAR: f64 = 140.0;
/// Minimum distance in pixels between text and the left and right edge.
const TEXT_MARGIN: i32 = 24;
/// Height in pixels below which a chart has smaller margins around its bars.
const LOW: u32 = 360;

/// Data of a chart.
#[derive(Clone, Copy, Debug)]
pub struct ChartData<'a> {
    /// Agent that the interactions belong to.
    pub agent_id: &'a AgentId,
    /// User that the interactions belong to, or `None` for all users.
    pub user_id: Option<&'a UserId>,
    /// Number of interactions by signal.
    pub summary: &'a Summary,
    /// Time range of the interactions. All of time if the chart shows the latest interactions.
    pub span: Span,
    /// Set if `summary` contains all interactions of `span`.
    pub is_complete: bool,
}

impl<'a> ChartData<'a> {
    /// Creates the data of a chart of all interactions of `conversation` in `span`.
    pub fn of(conversation: &'a Conversation, summary: &'a Summary, span: Span) -> Self {
        let Conversation { agent_id, user_id } = conversation;
        Self { agent_id, user_id: Some(user_id), summary, span, is_complete: true }
    }
}

/// The chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw chart: {0}")]
pub struct ChartError(String);

impl ChartError {
    fn new(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Draws `data`, one bar per signal, as a PNG.
///
/// Characters missing from the font are drawn as boxes. Names too long for the image end in an ellipsis.
pub fn png(data: &ChartData<'_>, options: ChartOptions) -> Result<Vec<u8>, ChartError> {
    let mut pixmap = Pixmap::new((options.width, options.height), options.theme.palette().colours());
    draw(Surface::Pixels(&mut pixmap), data, options)?;
    pixmap.into_png().map_err(ChartError::new)
}

/// Draws `data`, one bar per signal, as an SVG with text elements.
pub fn svg(data: &ChartData<'_>, options: ChartOptions) -> Result<String, ChartError> {
    let mut image = String::new();
    draw(Surface::Vector(SVGBackend::with_string(&mut image, (options.width, options.height))), data, options)?;
    // Characters allowed in names but not in XML: <https://www.w3.org/TR/xml/#charsets>.
    Ok(image.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}"))
}

fn draw(surface: Surface<'_>, data: &ChartData<'_>, options: ChartOptions) -> Result<(), ChartError> {
    let font = Font::get().ok_or_else(|| ChartError::new("cannot read the font"))?;
    let palette = options.theme.palette();
    let layout = Layout::of(options);
    let bars = bars(data.summary, palette);
    let area = Canvas { font, surface }.into_drawing_area();
    area.fill(&palette.background).map_err(ChartError::new)?;
    let (heading, plot) = area.split_vertically(layout.heading);
    draw_heading(&heading, font, data, palette, &layout)?;
    draw_bars(&plot, font, &bars, palette, &layout)?;
    area.present().map_err(ChartError::new)
}

type Area<'a> = DrawingArea<Canvas<'a>, Shift>;

/// Sizes in pixels that depend on the available space.
struct Layout {
    heading: i32,
    /// Size and top edge of the title.
    title: (i32, i32),
    subtitle: (i32, i32),
    label: i32,
    names_area: i32,
    counts_area: i32,
    /// Approximate number of counts along the axis.
    counts: usize,
}

impl Layout {
    fn of(options: ChartOptions) -> Self {
        let counts_area = if options.width < 480 { 58 } else { 72 };
        if options.height < LOW {
            let (title, subtitle) = ((18, 12), (13, 38));
            Self { heading: 58, title, subtitle, label: 13, names_area: 46, counts_area, counts: 4 }
        } else {
            let (title, subtitle) = ((24, 22), (15, 56));
            Self { heading: 84, title, subtitle, label: 15, names_area: 62, counts_area, counts: 6 }
        }
    }
}

struct Bar {
    label: String,
    count: u64,
    colour: RGBColor,
}

fn bars(summary: &Summary, palette: &'static Palette) -> Vec<Bar> {
    let counts = summary.in_order();
    let shown = if counts.len() > MAX_BARS { MAX_BARS - 1 } else { counts.len() };
    let mut extra = palette.extra.iter();
    let mut bar = |signal: &Signal, count| {
        let standard = Signal::STANDARD.iter().zip(palette.standard).find(|(name, _)| **name == signal.as_str());
        let standard = standard.map(|(_, colour)| colour);
        let colour = standard.or_else(|| extra.next().copied()).unwrap_or(palette.muted_text);
        Bar { label: signal.as_str().to_owned(), count, colour }
    };
    let mut bars: Vec<Bar> = counts[..shown].iter().map(|(signal, count)| bar(signal, *count)).collect();
    if shown < counts.len() {
        let count = counts[shown..].iter().map(|(_, count)| count).sum();
        bars.push(Bar { label: OTHER.to_owned(), count, colour: palette.muted_text });
    }
    bars
}

fn draw_heading(
    area: &Area<'_>,
    font: &Font,
    data: &ChartData<'_>,
    palette: &'static Palette,
    layout: &Layout,
) -> Result<(), ChartError> {
    let width = area.dim_in_pixel().0 - 2 * TEXT_MARGIN.unsigned_abs();
    let title = data.user_id.map_or_else(|| "Signals of all users".to_owned(), |user| format!("Signals of {user}"));
    let lines = [(title, layout.title, &palette.text), (subtitle(data), layout.subtitle, &palette.muted_text)];
    for (text, (size, y), colour) in lines {
        let style = text_style(size, colour);
        let text = fit(font, &text, size, width);
        area.draw(&Text::new(text, (TEXT_MARGIN, y), style)).map_err(ChartError::new)?;
    }
    Ok(())
}

fn subtitle(data: &ChartData<'_>) -> String {
    let total: u64 = data.summary.in_order().iter().map(|(_, count)| count).sum();
    let noun = if total == 1 { "interaction" } else { "interactions" };
    let total = if data.is_complete { total.to_string() } else { format!("{total}+") };
    let agent = data.agent_id;
    let minute = |time: Timestamp| time.to_rfc3339_millis()[..16].replace('T', " ");
    match (data.span.since().map(minute), data.span.until().map(minute)) {
        (None, None) => format!("last {total} {noun} with {agent}"),
        (Some(since), None) => format!("{total} {noun} since {since} UTC with {agent}"),
        (None, Some(until)) => format!("{total} {noun} until {until} UTC with {agent}"),
        (Some(since), Some(until)) => format!("{total} {noun} from {since} to {until} UTC with {agent}"),
    }
}

fn draw_bars(
    area: &Area<'_>,
    font: &Font,
    bars: &[Bar],
    palette: &'static Palette,
    layout: &Layout,
) -> Result<(), ChartError> {
    let places = bars.len() as f64;
    let highest = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let top = highest + highest.div_ceil(8).max(1);
    let mut chart = ChartBuilder::on(area)
        .margin_right(TEXT_MARGIN)
        .margin_left(8)
        .margin_bottom(6)
        .y_label_area_size(layout.counts_area)
        .x_label_area_size(layout.names_area)
        .build_cartesian_2d(0.0..places, 0..top)
        .map_err(ChartError::new)?;
    chart
        .configure_mesh()
        .x_labels(0)
        .y_labels(layout.counts)
        .y_label_style(text_style(layout.label - 1, &palette.muted_text))
        .y_desc("Interactions")
        .x_desc("Signal")
        .axis_desc_style(text_style(layout.label, &palette.muted_text))
        .axis_style(palette.grid)
        .bold_line_style(palette.grid)
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
        let count = bar.count.to_string();
        // If the label does not fit, the axis suffices.
        if text_size(font, &count, (layout.label + 1) as f32).0.unsigned_abs() < place_width {
            let style = text_style(layout.label + 1, &palette.text).pos(Pos::new(HPos::Center, VPos::Bottom));
            let at = (x - left_edge, y - top_edge - 4);
            area.draw(&Text::new(count, at, style)).map_err(ChartError::new)?;
        }
        let label = text_style(layout.label, &palette.text).pos(Pos::new(HPos::Center, VPos::Top));
        let name = fit(font, &bar.label, layout.label, place_width.saturating_sub(6));
        area.draw(&Text::new(name, (x - left_edge, floor - top_edge + 9), label)).map_err(ChartError::new)?;
    }
    Ok(())
}

fn text_style(size: i32, colour: &'static RGBColor) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(colour)
}

/// Returns `text`, truncated to `width` pixels.
fn fit(font: &Font, text: &str, size: i32, width: u32) -> String {
    let is_wide = |text: &str| text_size(font, text, size as f32).0.unsigned_abs() > width;
    if !is_wide(text) {
        return text.to_owned();
    }
    let cut = |end: usize| text[..end].trim_end().to_owned() + "…";
    let ends: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    let narrow = ends.partition_point(|end| !is_wide(&cut(*end)));
    cut(ends[narrow.saturating_sub(1)])
}

#[cfg(test)]
mod tests {
    use super::palette::LIGHT;
    use super::*;
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

    fn draw(summary: &Summary, user: &str, options: ChartOptions) -> Vec<u8> {
        let conversation = conversation(user);
        png(&ChartData::of(&conversation, summary, Span::default()), options).expect("drawn")
    }

    fn pixels_of(image: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(image));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("fits")];
        let info = reader.next_frame(&mut pixels).expect("an image");
        (info.width, info.height, pixels)
    }

    /// Counts the pixels, each red, green and blue, that have `colour`.
    fn count_of(pixels: &[u8], colour: RGBColor) -> usize {
        pixels.chunks(3).filter(|pixel| **pixel == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn bars_have_the_colour_of_their_signal_and_grow_with_it() {
        for options in [
            ChartOptions::default(),
            ChartOptions { theme: Theme::Dark, ..ChartOptions::default() },
            ChartOptions { width: 320, height: 200, theme: Theme::Light },
            ChartOptions { width: 1_600, height: 1_000, theme: Theme::Dark },
        ] {
            let image = draw(&summary(&[("positive", 30), ("stressed", 10)]), "u", options);
            let (width, height, pixels) = pixels_of(&image);
            assert_eq!((width, height), (options.width, options.height));
            let [positive, neutral, stressed, _] = options.theme.palette().standard;
            let (positive, stressed) = (count_of(&pixels, positive), count_of(&pixels, stressed));
            assert!(
                stressed > 500 && positive.abs_diff(3 * stressed) < positive / 10,
                "{options:?} {positive} {stressed}"
            );
            assert_eq!(count_of(&pixels, neutral), 0);
            let ground = count_of(&pixels, options.theme.palette().background);
            assert!(ground > width as usize * height as usize / 3, "{options:?} {ground}");
        }
    }

    #[test]
    fn more_signals_than_bars_share_the_last_one() {
        let names: Vec<String> = (0..20).map(|n| format!("signal {n:02}")).collect();
        let counts: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
        let bars = bars(&summary(&counts), &LIGHT);
        assert_eq!(bars.len(), MAX_BARS);
        let last = bars.last().expect("a bar");
        assert_eq!((last.label.as_str(), last.count), (OTHER, 18));
    }

    #[test]
    fn long_name_is_truncated_to_the_width() {
        let font = Font::get().expect("a font");
        let width = |text: &str| text_size(font, text, 15.0).0.unsigned_abs();
        let name = "a name of äöü and Ж";
        assert_eq!(fit(font, name, 15, width(name)), name);
        assert_eq!(fit(font, name, 15, width(name) - 1), "a name of äöü and…");
        assert_eq!(fit(font, name, 15, width("a name…")), "a name…");
        assert_eq!(fit(font, name, 15, 0), "…");
    }

    #[test]
    fn chart_without_a_user_is_of_all_users() {
        let (conversation, summary) = (conversation("maria"), summary(&[("positive", 1)]));
        let data = ChartData { user_id: None, ..ChartData::of(&conversation, &summary, Span::default()) };
        let image = svg(&data, ChartOptions::default()).expect("drawn");
        assert!(image.contains("\nSignals of all users\n") && !image.contains("maria"), "{image}");
    }

    #[test]
    fn missing_glyph_is_drawn_as_a_box() {
        let image = |user: &str| pixels_of(&draw(&summary(&[("positive", 1)]), user, ChartOptions::default())).2;
        assert_ne!(image("日本 语"), image(" "));
    }

    #[test]
    fn svg_escapes_any_text() {
        let summary = summary(&[("<script>alert(1)", 2), ("positive", 12_345)]);
        let conversation = conversation("<i>&\"'\u{ffff}日");
        let data = ChartData::of(&conversation, &summary, Span::default());
        let image = svg(&data, ChartOptions { width: 1_600, ..ChartOptions::default() }).expect("drawn");
        assert!(image.starts_with("<svg width=\"1600\" height=\"480\""), "{image}");
        assert!(
            image.trim_end().ends_with("</svg>") && !image.contains("<i>") && !image.contains("<script>"),
            "{image}"
        );
        for text in ["Signals of &lt;i&gt;&amp;&quot;&apos;\u{fffd}日", "&lt;script&gt;alert(1)", "12345"] {
            assert!(image.contains(&format!("\n{text}\n</text>")), "{text} in {image}");
        }
    }

    #[test]
    fn count_is_omitted_when_it_does_not_fit() {
        let names: Vec<String> = (0..12).map(|n| format!("signal {n:02}")).collect();
        let counts: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 777)).collect();
        let (conversation, summary) = (conversation("u"), summary(&counts));
        let data = ChartData::of(&conversation, &summary, Span::default());
        let written = |width| {
            let image = svg(&data, ChartOptions { width, ..ChartOptions::default() }).expect("drawn");
            image.matches("\n777\n").count()
        };
        assert_eq!((written(320), written(800)), (0, 12));
    }

    #[test]
    fn subtitle_describes_the_counted_range() {
        let time = |text: &str| Timestamp::parse_rfc3339(text);
        let (since, until) = (time("2026-01-01T08:00:00Z"), time("2026-01-02T09:30:59Z"));
        for (span, expected) in [
            (Span::default(), "last 1 interaction with agent1"),
            (Span::new(since, None), "1 interaction since 2026-01-01 08:00 UTC with agent1"),
            (Span::new(None, until), "1 interaction until 2026-01-02 09:30 UTC with agent1"),
            (Span::new(since, until), "1 interaction from 2026-01-01 08:00 to 2026-01-02 09:30 UTC with agent1"),
        ] {
            let (conversation, summary) = (conversation("u"), summary(&[("positive", 1)]));
            assert_eq!(subtitle(&ChartData::of(&conversation, &summary, span)), expected);
        }
    }

    #[test]
    fn subtitle_marks_a_partial_count() {
        let since = Timestamp::parse_rfc3339("2026-01-01T08:00:00Z");
        let (conversation, summary) = (conversation("u"), summary(&[("positive", 20_000)]));
        let data = ChartData { is_complete: false, ..ChartData::of(&conversation, &summary, Span::new(since, None)) };
        assert_eq!(subtitle(&data), "20000+ interactions since 2026-01-01 08:00 UTC with agent1");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_name_and_count_is_drawn_at_any_size(
            user in "\\PC{1,30}",
            signals in prop::collection::btree_map("\\PC{1,8}", 1..=u64::MAX / 32, 1..=16),
            (width, height) in (320..=1_600_u32, 200..=1_000_u32),
        ) {
            let Ok(user_id) = UserId::try_from(user.as_str()) else { return Ok(()) };
            let conversation = Conversation { user_id, ..conversation("u") };
            let signals = signals.into_iter().filter_map(|(name, count)| Some((Signal::try_from(name).ok()?, count)));
            let summary = signals.chain([(Signal::neutral(), 1)]).collect();
            let data = ChartData::of(&conversation, &summary, Span::default());
            let options = ChartOptions { width, height, theme: Theme::Light };
            png(&data, options).expect("drawn");
            svg(&data, options).expect("drawn");
        }
    }
}
