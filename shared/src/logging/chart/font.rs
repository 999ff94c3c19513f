//! The compiled-in font: a Lambda sandbox has no fonts of its own.

use std::sync::OnceLock;

use ab_glyph::{Font as _, FontRef, Glyph, PxScaleFont, ScaleFont, point};

/// DejaVu Sans with the characters that the build script chooses.
static DATA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/font.ttf"));

/// A font that parsed successfully. Missing characters are shown as its first glyph, a box.
pub(super) struct Font(FontRef<'static>);

impl Font {
    /// Returns the font, or `None` if the font data is invalid.
    pub fn get() -> Option<&'static Self> {
        static FONT: OnceLock<Option<Font>> = OnceLock::new();
        FONT.get_or_init(|| FontRef::try_from_slice(DATA).ok().map(Self)).as_ref()
    }

    /// Returns the width of `text` if `size` pixels lie between the font's lowest descender and its highest ascender.
    pub fn width(&self, text: &str, size: f32) -> f32 {
        let font = self.0.as_scaled(size);
        let last = glyphs(font, text).last();
        last.map_or(0.0, |glyph| glyph.position.x + font.h_advance(glyph.id))
    }

    /// Calls `put` with column, row and coverage, from 0 to 1, of each pixel of `text`, with the base line starting at
    /// 0, 0.
    pub fn draw(&self, text: &str, size: f32, mut put: impl FnMut(i32, i32, f32)) {
        for glyph in glyphs(self.0.as_scaled(size), text) {
            // A space has no outline.
            let Some(outline) = self.0.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            let (left, top) = (corner.x as i32, corner.y as i32);
            outline.draw(|x, y, coverage| put(left + x.cast_signed(), top + y.cast_signed(), coverage.min(1.0)));
        }
    }
}

/// Returns whether `character` is invisible: a joiner, a directional mark or a variation selector. A font without these
/// characters would show boxes. They are the default ignorable characters of
/// <https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point> that names may contain.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// Returns the positioned glyphs of `text` on one line.
fn glyphs<'a>(font: PxScaleFont<&'a FontRef<'static>>, text: &'a str) -> impl Iterator<Item = Glyph> + 'a {
    let mut end = 0.0;
    let mut previous = None;
    text.chars().filter(|character| !is_invisible(*character)).map(move |character| {
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
        let text = format!("{names} “x” – … € ₽ № → ≤ ≠ ✓ c\u{327} a\u{328} s\u{326} o\u{31b} \u{202f}");
        let lacking: String = text.chars().filter(|c| font().0.glyph_id(*c).0 == 0).collect();
        assert_eq!(lacking, "");
    }

    #[test]
    fn character_without_a_glyph_is_a_box() {
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
    fn invisible_characters_have_no_width() {
        let text = "a\u{200d}b\u{2066}c\u{fe0f}\u{feff}\u{ad}";
        assert_eq!(font().width(text, 20.0), font().width("abc", 20.0));
    }

    #[test]
    fn letters_are_kerned_and_larger_ones_wider() {
        let width = |text| font().width(text, 20.0);
        assert!(width("AV") < width("A") + width("V"));
        assert_eq!(width(""), 0.0);
        assert!((font().width("AV", 40.0) - 2.0 * width("AV")).abs() < 0.01);
    }

    #[test]
    fn pixels_stay_within_the_text_box() {
        let text = "Åg|jÇ";
        let width = font().width(text, 24.0).ceil() as i32;
        font().draw(text, 24.0, |x, y, coverage| {
            assert!((-1..=width).contains(&x) && (-24..=8).contains(&y) && (0.0..=1.0).contains(&coverage), "{x} {y}");
        });
    }
}
