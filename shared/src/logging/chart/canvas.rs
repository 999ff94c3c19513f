//! Plotters backend that draws on pixels or an SVG.

use std::io::{Error, ErrorKind};

use plotters::prelude::{DrawingBackend, SVGBackend};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

use super::font::Font;
use super::pixmap::{Pixmap, TextPosition};

type Drawn = Result<(), DrawingErrorKind<Error>>;

/// Both surfaces in one type, so that plotters' code, which is generic over its backend, is compiled once.
pub(super) struct Canvas<'a> {
    pub font: &'static Font,
    pub surface: Surface<'a>,
}

/// Target of the drawing.
pub(super) enum Surface<'a> {
    Pixels(&'a mut Pixmap),
    Vector(SVGBackend<'a>),
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Error;

    fn get_size(&self) -> (u32, u32) {
        match &self.surface {
            Surface::Pixels(pixmap) => pixmap.size(),
            Surface::Vector(svg) => svg.get_size(),
        }
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        match &mut self.surface {
            Surface::Pixels(_) => Ok(()),
            Surface::Vector(svg) => svg.present(),
        }
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        match &mut self.surface {
            Surface::Pixels(pixmap) => fill(pixmap, (x, y), (x + 1, y + 1), colour),
            Surface::Vector(svg) => svg.draw_pixel((x, y), colour),
        }
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        match &mut self.surface {
            Surface::Pixels(pixmap) if from.0 == to.0 || from.1 == to.1 => {
                let (left, right) = (from.0.min(to.0), from.0.max(to.0));
                let (top, bottom) = (from.1.min(to.1), from.1.max(to.1));
                fill(pixmap, (left, top), (right + 1, bottom + 1), style.color())
            }
            Surface::Pixels(_) => unsupported(),
            Surface::Vector(svg) => svg.draw_line(from, to, style),
        }
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, filled: bool) -> Drawn {
        match &mut self.surface {
            Surface::Pixels(pixmap) if filled => fill(pixmap, from, to, style.color()),
            Surface::Pixels(_) => unsupported(),
            Surface::Vector(svg) => svg.draw_rect(from, to, style, filled),
        }
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        if let Surface::Vector(svg) = &mut self.surface {
            return svg.draw_path(path, style);
        }
        let points: Vec<_> = path.into_iter().collect();
        points.windows(2).try_for_each(|ends| self.draw_line(ends[0], ends[1], style))
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        match &mut self.surface {
            Surface::Pixels(pixmap) => {
                let (red, green, blue) = style.color().rgb;
                let position =
                    TextPosition { at, anchor: style.anchor(), turn: style.transform(), size: style.size() as f32 };
                pixmap.write(text, self.font, &position, [red, green, blue]);
                Ok(())
            }
            Surface::Vector(svg) => svg.draw_text(text, style, at),
        }
    }
}

/// Fills a part of `pixmap`, unless the colour is fully transparent.
fn fill(pixmap: &mut Pixmap, from: BackendCoord, to: BackendCoord, colour: BackendColor) -> Drawn {
    let (red, green, blue) = colour.rgb;
    if colour.alpha > 0.0 {
        pixmap.fill(from, to, [red, green, blue]);
    }
    Ok(())
}

/// Rejects elements that no chart contains: slanted lines and unfilled rectangles. This backend also omits circles,
/// polygons, images, strokes of several pixels and translucent colours, which no chart contains either.
fn unsupported() -> Drawn {
    Err(DrawingErrorKind::DrawingError(ErrorKind::Unsupported.into()))
}
