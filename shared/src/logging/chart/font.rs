//! The compiled-in font: a Lambda sandbox has no fonts of its own.

use std::sync::OnceLock;

use ab_glyph::{Font as _, FontRef, Glyph, PxScaleFont, ScaleFont, point};

/// DejaVu Sans with the characters that the build script chooses.
static DATA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/font.ttf"));

/// A font that was found readable. What it lacks is shown by its first glyph, a box.
pub(super) struct Font(FontRef<'static>);

impl Font {
    /// The font; `None` where it is not readable.
    pub fn get() -> Option<&'static Self> {
        static FONT: OnceLock<Option<Font>> = OnceLock::new();
        FONT.get_or_init(|| FontRef::try_from_slice(DATA).ok().map(Self)).as_ref()
    }

    /// How wide `text` is when `size` pixels lie between the font's lowest descender and its highest ascender.
    pub fn width(&self, text: &str, size: f32) -> f32 {
        let font = self.0.as_scaled(size);
        let last = glyphs(font, text).last();
        last.map_or(0.0, |glyph| glyph.position.x + font.h_advance(glyph.id))
    }

    /// Calls `put` with column, row and coverage, from 0 to 1, of each pixel of `text`, whose base line begins at 0, 0.
    pub fn draw(&self, text: &str, size: f32, mut put: impl FnMut(i32, i32, f32)) {
        for glyph in glyphs(self.0.as_scaled(size), text) {
            // A space has none.
            let Some(outline) = self.0.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let (left, top) = (corner.x as i32, corner.y as i32);
            outline.draw(|x, y, coverage| put(left + x.cast_signed(), top + y.cast_signed(), coverage.min(1.0)));
        }
    }
}

/// The glyphs of `text`, one beside the other.
fn glyphs<'a>(font: PxScaleFont<&'a FontRef<'static>>, text: &'a str) -> impl Iterator<Item = Glyph> + 'a {
    let mut end = 0.0;
    let mut previous = None;
    text.chars().map(move |character| {
        let id = font.glyph_id(character);
        let start = end + previous.map_or(0.0, |previous| font.kern(previous, id));
        end = start + font.h_advance(id);
        previous = Some(id);
        id.with_scale_and_position(font.scale, point(start, 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn font() -> &'static Font {
        Font::get().expect("a font")
    }

    #[test]
    fn names_of_many_languages_have_glyphs() {
        let names = "Signals of Ünïcødé Žluťoučký Łódź Nguyễn Ștefan Ωμέγα Радость ґ Қазақ Հայերեն ქართული";
        let text = format!("{names} “x” – … € ₽ № → ≤ ≠ ✓ \u{200d} \u{fe0f}");
        let lacking: String = text.chars().filter(|c| font().0.glyph_id(*c).0 == 0).collect();
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
