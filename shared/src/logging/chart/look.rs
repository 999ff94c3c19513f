//! What of a chart its reader chooses.

use std::ops::RangeInclusive;

use super::palette::{DARK, LIGHT, Palette};
use crate::validation::Problem;

/// Widths that a chart may have, in pixels.
pub const WIDTHS: RangeInclusive<usize> = 320..=1_600;
/// Heights that a chart may have, in pixels.
pub const HEIGHTS: RangeInclusive<usize> = 200..=1_000;
/// Whether a chart is for a light or a dark page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark text on white.
    #[default]
    Light,
    /// Light text on a dark ground.
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

impl TryFrom<String> for Theme {
    type Error = Problem;

    fn try_from(name: String) -> Result<Self, Problem> {
        match name.as_str() {
            "light" => Ok(Self::Light),
            "dark" => Ok(Self::Dark),
            _ => Err(Problem::new("literal_error", "Input should be 'light' or 'dark'")),
        }
    }
}

/// How large a chart is, and in what colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// In pixels, within [`WIDTHS`].
    pub width: u32,
    /// In pixels, within [`HEIGHTS`].
    pub height: u32,
    /// Its colours.
    pub theme: Theme,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 800, height: 480, theme: Theme::default() }
    }
}
