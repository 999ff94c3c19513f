//! Chart options chosen by the reader.

use std::ops::RangeInclusive;

use super::palette::{DARK, LIGHT, Palette};

/// Allowed chart widths in pixels.
pub const WIDTHS: RangeInclusive<usize> = 320..=1_600;
/// Allowed chart heights in pixels.
pub const HEIGHTS: RangeInclusive<usize> = 200..=1_000;
/// Colour theme of the page that shows a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Theme {
    /// Dark text on white.
    #[default]
    Light,
    /// Light text on a dark background.
    Dark,
}

impl Theme {
    pub(super) fn palette(self) -> &'static Palette {
        match self {
            Self::Light => &LIGHT,
            Self::Dark => &DARK,
        }
    }
}

/// Size and colours of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChartOptions {
    /// Width in pixels, within [`WIDTHS`].
    pub width: u32,
    /// Height in pixels, within [`HEIGHTS`].
    pub height: u32,
    /// Colour theme.
    pub theme: Theme,
}

impl Default for ChartOptions {
    fn default() -> Self {
        Self { width: 800, height: 480, theme: Theme::default() }
    }
}
