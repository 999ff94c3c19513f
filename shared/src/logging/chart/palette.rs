//! Colours of a chart for a light and a dark page.

use plotters::style::RGBColor;

use crate::ids::Signal;

/// Colours of a chart.
pub(super) struct Palette {
    pub background: RGBColor,
    pub text: RGBColor,
    pub muted_text: RGBColor,
    pub grid: RGBColor,
    /// Colours of the standard signals, in order. The dashboard uses the same colours.
    pub standard: [RGBColor; Signal::STANDARD.len()],
    /// Colours of other signals, in display order.
    pub extra: [RGBColor; super::MAX_BARS],
}

impl Palette {
    /// Returns all colours, the background first.
    pub fn colours(&self) -> impl Iterator<Item = RGBColor> {
        let few = [self.background, self.text, self.muted_text, self.grid];
        few.into_iter().chain(self.standard).chain(self.extra)
    }
}

/// Colours for a light page.
pub(super) const LIGHT: Palette = Palette {
    background: RGBColor(255, 255, 255),
    text: RGBColor(31, 41, 55),
    muted_text: RGBColor(91, 103, 122),
    grid: RGBColor(226, 232, 240),
    standard: [RGBColor(22, 163, 114), RGBColor(100, 116, 139), RGBColor(225, 72, 72), RGBColor(217, 146, 16)],
    extra: [
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
        RGBColor(161, 98, 7),
    ],
};

/// Colours for a dark page.
pub(super) const DARK: Palette = Palette {
    background: RGBColor(17, 20, 36),
    text: RGBColor(236, 238, 251),
    muted_text: RGBColor(170, 178, 205),
    grid: RGBColor(48, 54, 80),
    standard: [RGBColor(52, 211, 162), RGBColor(159, 178, 207), RGBColor(255, 123, 123), RGBColor(247, 184, 68)],
    extra: [
        RGBColor(141, 135, 255),
        RGBColor(76, 195, 230),
        RGBColor(232, 121, 249),
        RGBColor(165, 207, 87),
        RGBColor(251, 146, 60),
        RGBColor(45, 212, 191),
        RGBColor(244, 114, 182),
        RGBColor(200, 160, 130),
        RGBColor(96, 165, 250),
        RGBColor(251, 182, 206),
        RGBColor(134, 200, 150),
        RGBColor(222, 201, 120),
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_colours_are_the_same() {
        for palette in [LIGHT, DARK] {
            let colours: Vec<_> = palette.colours().map(|RGBColor(red, green, blue)| (red, green, blue)).collect();
            assert_eq!(colours.iter().collect::<BTreeSet<_>>().len(), colours.len());
        }
    }
}
