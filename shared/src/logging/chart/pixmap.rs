//! The pixels of a chart: one byte each, an index into at most 256 colours.

use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_backend::FontTransform;

use super::font::Font;

type Rgb = [u8; 3];

const MAX_COLOURS: usize = 256;
/// Initial colour index of a pixmap.
const BACKGROUND: u8 = 0;
/// Number of blending steps between the ink of a text and its background.
const STEPS: usize = 32;

/// Position and alignment of a text.
pub(super) struct TextPosition {
    /// Coordinates of `anchor`.
    pub at: (i32, i32),
    pub anchor: Pos,
    pub turn: FontTransform,
    /// Height of the text's line, see [`Font::width`].
    pub size: f32,
}

/// An image with a small palette.
pub(super) struct Pixmap {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    colours: Vec<Rgb>,
}

impl Pixmap {
    /// Creates a pixmap filled with the first of `colours`. All of them are kept; the edges of text add more.
    pub fn new((width, height): (u32, u32), colours: impl Iterator<Item = RGBColor>) -> Self {
        let (width, height) = (width as usize, height as usize);
        let colours = colours.map(|RGBColor(red, green, blue)| [red, green, blue]).collect();
        Self { width, height, pixels: vec![BACKGROUND; width * height], colours }
    }

    /// Returns the width and the height.
    pub fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Fills the pixels from `from` up to `to`, excluding `to`.
    pub fn fill(&mut self, from: (i32, i32), to: (i32, i32), colour: Rgb) {
        let within = |position: i32, end: usize| usize::try_from(position).unwrap_or(0).min(end);
        let columns = within(from.0, self.width)..within(to.0, self.width);
        let rows = within(from.1, self.height)..within(to.1, self.height);
        if columns.is_empty() || rows.is_empty() {
            return;
        }
        let colour = self.index_of(colour);
        for row in self.pixels.chunks_exact_mut(self.width).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill(colour);
        }
    }

    /// Writes `text` in the colour `ink`.
    pub fn write(&mut self, text: &str, font: &Font, position: &TextPosition, ink: Rgb) {
        let (width, height) = text_size(font, text, position.size);
        let left = match position.anchor.h_pos {
            HPos::Left => 0,
            HPos::Right => -width,
            HPos::Center => -width / 2,
        };
        let top = match position.anchor.v_pos {
            VPos::Top => 0,
            VPos::Center => -height / 2,
            VPos::Bottom => -height,
        };
        let base_line = top + (position.size / 2.0).round() as i32;
        let mut pen = Pen { ink, on_background: [None; STEPS + 1] };
        font.draw(text, position.size, |x, y, coverage| {
            let (x, y) = position.turn.transform(left + x, base_line + y);
            self.touch((position.at.0 + x, position.at.1 + y), &mut pen, coverage);
        });
    }

    /// Blends the pixel at `x`, `y` with the share `coverage` of a pen's ink.
    fn touch(&mut self, (x, y): (i32, i32), pen: &mut Pen, coverage: f32) {
        let step = (coverage * STEPS as f32).round() as usize;
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if step == 0 || x >= self.width || y >= self.height {
            return;
        }
        let position = y * self.width + x;
        let behind = self.pixels[position];
        let known = if behind == BACKGROUND { pen.on_background[step] } else { None };
        let index = known.unwrap_or_else(|| self.index_of(mix(self.colours[usize::from(behind)], pen.ink, step)));
        if behind == BACKGROUND {
            pen.on_background[step] = Some(index);
        }
        self.pixels[position] = index;
    }

    /// Returns the index of `colour`, or of the nearest colour if the palette is full.
    fn index_of(&mut self, colour: Rgb) -> u8 {
        let index = self.colours.iter().position(|known| *known == colour).unwrap_or_else(|| {
            if self.colours.len() < MAX_COLOURS {
                self.colours.push(colour);
                return self.colours.len() - 1;
            }
            let distances = self.colours.iter().map(|known| distance(*known, colour)).enumerate();
            distances.min_by_key(|(_, distance)| *distance).map_or(0, |(index, _)| index)
        });
        index as u8
    }

    /// Encodes the image as a PNG.
    pub fn into_png(self) -> Result<Vec<u8>, png::EncodingError> {
        let mut image = Vec::new();
        let mut encoder = png::Encoder::new(&mut image, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(self.colours.concat());
        encoder.set_compression(png::Compression::Fastest);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(image)
    }
}

/// An ink and the colours that it has produced on the background.
struct Pen {
    ink: Rgb,
    on_background: [Option<u8>; STEPS + 1],
}

/// Returns the width and height of the box used to place `text`.
pub(super) fn text_size(font: &Font, text: &str, size: f32) -> (i32, i32) {
    /// Line height used by plotters for every font.
    const LINE_PER_EM: f32 = 1.24;
    (font.width(text, size) as i32, (size / LINE_PER_EM) as i32)
}

/// Returns the colour at `step` of [`STEPS`] from `behind` to `ink`.
fn mix(behind: Rgb, ink: Rgb, step: usize) -> Rgb {
    let part = |index: usize| {
        let (behind, ink) = (usize::from(behind[index]), usize::from(ink[index]));
        ((behind * (STEPS - step) + ink * step + STEPS / 2) / STEPS) as u8
    };
    [part(0), part(1), part(2)]
}

fn distance(one: Rgb, other: Rgb) -> u32 {
    one.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Rgb = [0, 0, 0];

    fn pixmap() -> Pixmap {
        Pixmap::new((40, 20), [RGBColor(255, 255, 255), RGBColor(200, 0, 0)].into_iter())
    }

    fn position(at: (i32, i32), turn: FontTransform) -> TextPosition {
        TextPosition { at, anchor: Pos::new(HPos::Left, VPos::Top), turn, size: 15.0 }
    }

    #[test]
    fn drawing_is_clipped_to_the_pixmap() {
        let mut pixmap = pixmap();
        let font = Font::get().expect("a font");
        pixmap.fill((-5, 18), (3, 90), [200, 0, 0]);
        pixmap.fill((60, 0), (90, 20), INK);
        pixmap.fill((7, 7), (7, 9), INK);
        assert_eq!(pixmap.pixels.iter().filter(|pixel| **pixel == 1).count(), 6);
        assert_eq!(pixmap.colours.len(), 2);
        for at in [(-400, 0), (0, -400), (400, 0), (0, 400)] {
            pixmap.write("text", font, &position(at, FontTransform::None), INK);
        }
        assert_eq!(pixmap.pixels.iter().filter(|pixel| **pixel != BACKGROUND).count(), 6);
    }

    /// Writes `text` into the middle of a pixmap. Returns the number of inked pixels and the width and height of their
    /// box.
    fn written(text: &str, turn: FontTransform) -> (Pixmap, usize, (usize, usize)) {
        let mut pixmap = Pixmap::new((200, 200), [RGBColor(255, 255, 255)].into_iter());
        pixmap.write(
            text,
            Font::get().expect("a font"),
            &TextPosition { size: 30.0, ..position((100, 100), turn) },
            INK,
        );
        let inked: Vec<_> = (0..200 * 200).filter(|at| pixmap.pixels[*at] != BACKGROUND).collect();
        let span = |along: fn(usize) -> usize| {
            let places = || inked.iter().map(|at| along(*at));
            places().max().expect("ink") - places().min().expect("ink") + 1
        };
        let size = (span(|at| at % 200), span(|at| at / 200));
        (pixmap, inked.len(), size)
    }

    #[test]
    fn text_is_ink_with_soft_edges() {
        let (pixmap, inked, (width, height)) = written("Signal", FontTransform::None);
        let ink = pixmap.colours.iter().position(|colour| *colour == INK).expect("ink");
        let full = pixmap.pixels.iter().filter(|pixel| usize::from(**pixel) == ink).count();
        assert!(full > 100 && inked > full + 50, "{full} of {inked}");
        assert!(width > 2 * height, "{width} {height}");
    }

    #[test]
    fn rotated_text_has_the_same_pixels() {
        let (_, inked, (width, height)) = written("Signal", FontTransform::None);
        for turn in [FontTransform::Rotate90, FontTransform::Rotate270] {
            let (_, turned, size) = written("Signal", turn);
            assert_eq!((turned, size), (inked, (height, width)));
        }
    }

    #[test]
    fn nearest_colour_is_used_when_the_palette_is_full() {
        let mut pixmap = pixmap();
        for shade in 0..=255 {
            pixmap.fill((0, 0), (1, 1), [0, shade, 0]);
        }
        assert_eq!(pixmap.colours.len(), MAX_COLOURS);
        pixmap.fill((0, 0), (1, 1), [199, 1, 0]);
        assert_eq!(pixmap.pixels[0], 1);
    }
}
