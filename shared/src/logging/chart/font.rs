//! The compiled-in font, as far as a chart needs one: a Lambda sandbox has no fonts of its own.

use std::sync::OnceLock;

use ab_glyph_rasterizer::{Point, Rasterizer, point};
use ttf_parser::{GlyphId, OutlineBuilder, RawFace, Tag, cmap, glyf, head, hhea, hmtx, kern, loca, maxp};

/// DejaVu Sans with the characters that the build script chooses.
static DATA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/font.ttf"));

/// A font whose tables were found. What it lacks is shown by its first glyph, a box.
pub(super) struct Font {
    characters: cmap::Subtable<'static>,
    advances: hmtx::Table<'static>,
    kerning: Option<kern::Subtable<'static>>,
    outlines: glyf::Table<'static>,
    /// From the lowest descender to the highest ascender, in units of the font.
    height: f32,
}

impl Font {
    /// The font; `None` where it is not readable.
    pub fn get() -> Option<&'static Self> {
        static FONT: OnceLock<Option<Font>> = OnceLock::new();
        FONT.get_or_init(|| Self::parse(DATA)).as_ref()
    }

    /// Reads the few tables of `data` that are needed: all of them would be twice the code.
    fn parse(data: &'static [u8]) -> Option<Self> {
        let face = RawFace::parse(data, 0).ok()?;
        let table = |tag| face.table(Tag::from_bytes(tag));
        let head = head::Table::parse(table(b"head")?)?;
        let hhea = hhea::Table::parse(table(b"hhea")?)?;
        let glyphs = maxp::Table::parse(table(b"maxp")?)?.number_of_glyphs;
        let loca = loca::Table::parse(glyphs, head.index_to_location_format, table(b"loca")?)?;
        let kerning = table(b"kern").and_then(kern::Table::parse);
        Some(Self {
            characters: cmap::Table::parse(table(b"cmap")?)?.subtables.into_iter().find(cmap::Subtable::is_unicode)?,
            advances: hmtx::Table::parse(hhea.number_of_metrics, glyphs, table(b"hmtx")?)?,
            kerning: kerning.and_then(|kern| kern.subtables.into_iter().find(|pairs| pairs.horizontal)),
            outlines: glyf::Table::parse(loca, table(b"glyf")?)?,
            height: f32::from(hhea.ascender) - f32::from(hhea.descender),
        })
    }

    /// How wide `text` is when `size` pixels lie between its lowest descender and its highest ascender.
    pub fn width(&self, text: &str, size: f32) -> f32 {
        let last = self.glyphs(text).last();
        last.map_or(0.0, |(glyph, start)| (start + self.advance(glyph)) as f32 * size / self.height)
    }

    /// Calls `put` with column, row and coverage, from 0 to 1, of each pixel of `text`, whose base line begins at 0, 0.
    pub fn draw(&self, text: &str, size: f32, mut put: impl FnMut(i32, i32, f32)) {
        let scale = size / self.height;
        let mut rasterizer = Rasterizer::new(0, 0);
        for (glyph, start) in self.glyphs(text) {
            // A space has none.
            let Some(bounds) = self.outlines.bbox(glyph) else { continue };
            let start = start as f32 * scale;
            let left = (start + f32::from(bounds.x_min) * scale).floor();
            let right = (start + f32::from(bounds.x_max) * scale).ceil();
            let (top, bottom) = ((f32::from(bounds.y_max) * scale).ceil(), (f32::from(bounds.y_min) * scale).floor());
            rasterizer.reset((right - left) as usize, (top - bottom) as usize);
            let origin = point(start - left, top);
            let mut outline =
                Outline { rasterizer: &mut rasterizer, origin, scale, first: Point::default(), last: Point::default() };
            self.outlines.outline(glyph, &mut outline);
            rasterizer.for_each_pixel_2d(|x, y, coverage| {
                put(left as i32 + x.cast_signed(), y.cast_signed() - top as i32, coverage.min(1.0));
            });
        }
    }

    /// The glyphs of `text`, each with the place where it starts, in units of the font.
    fn glyphs(&self, text: &str) -> impl Iterator<Item = (GlyphId, i32)> {
        let mut end = 0;
        let mut previous = None;
        text.chars().map(move |character| {
            let glyph = self.characters.glyph_index(character.into()).unwrap_or_default();
            let kerning = previous.and_then(|previous| self.kerning.as_ref()?.glyphs_kerning(previous, glyph));
            let start = end + i32::from(kerning.unwrap_or_default());
            end = start + self.advance(glyph);
            previous = Some(glyph);
            (glyph, start)
        })
    }

    fn advance(&self, glyph: GlyphId) -> i32 {
        self.advances.advance(glyph).unwrap_or_default().into()
    }
}

/// Draws a glyph's outline into pixels.
struct Outline<'a> {
    rasterizer: &'a mut Rasterizer,
    /// Where the glyph starts on its base line.
    origin: Point,
    scale: f32,
    first: Point,
    last: Point,
}

impl Outline<'_> {
    fn place(&self, x: f32, y: f32) -> Point {
        point(self.origin.x + x * self.scale, self.origin.y - y * self.scale)
    }
}

impl OutlineBuilder for Outline<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.first = self.place(x, y);
        self.last = self.first;
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let to = self.place(x, y);
        self.rasterizer.draw_line(self.last, to);
        self.last = to;
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let to = self.place(x, y);
        self.rasterizer.draw_quad(self.last, self.place(x1, y1), to);
        self.last = to;
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let to = self.place(x, y);
        self.rasterizer.draw_cubic(self.last, self.place(x1, y1), self.place(x2, y2), to);
        self.last = to;
    }

    fn close(&mut self) {
        self.rasterizer.draw_line(self.last, self.first);
        self.last = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn font() -> &'static Font {
        Font::get().expect("a font")
    }

    #[test]
    fn names_of_many_languages_have_glyphs() {
        let text = "Signals of Ünïcødé Žluťoučký Łódź Nguyễn Ștefan Ωμέγα Радость ґ Қазақ “x” – … € № → ≤ ≠";
        let lacking: String = text.chars().filter(|c| font().glyphs(&c.to_string()).all(|(id, _)| id.0 == 0)).collect();
        assert_eq!(lacking, "");
    }

    #[test]
    fn a_character_without_a_glyph_is_a_box() {
        let pixels = |text: &str| {
            let mut pixels = Vec::new();
            font().draw(text, 20.0, |x, y, coverage| pixels.push((x, y, coverage)));
            pixels
        };
        assert_eq!(pixels("日"), pixels("🙂"));
        assert!(pixels("日").iter().any(|(_, _, coverage)| *coverage > 0.5));
        assert_eq!(pixels(" "), []);
    }

    #[test]
    fn letters_are_kerned_and_larger_ones_wider() {
        let width = |text| font().width(text, 20.0);
        assert!(width("AV") < width("A") + width("V"));
        assert_eq!(width(""), 0.0);
        assert!((font().width("AV", 40.0) - 2.0 * width("AV")).abs() < 0.01);
    }

    #[test]
    fn no_pixel_of_a_text_is_outside_of_it() {
        let text = "Åg|jÇ";
        let width = font().width(text, 24.0).ceil() as i32;
        font().draw(text, 24.0, |x, y, coverage| {
            assert!((-1..=width).contains(&x) && (-24..=8).contains(&y) && (0.0..=1.0).contains(&coverage), "{x} {y}");
        });
    }
}
