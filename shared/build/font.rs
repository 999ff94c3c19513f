//! Makes the font of the charts: the part of DejaVu Sans that names may well need, without what no chart uses.

use std::error::Error;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use skera::{Plan, SubsetFlags, subset_font};
use write_fonts::read::FontRef;
use write_fonts::read::collections::IntSet;
use write_fonts::types::{NameId, Tag};

/// Characters that the font keeps, by Unicode's blocks. Others are drawn as boxes.
const CHARACTERS: [RangeInclusive<u32>; 12] = [
    // Latin, with all its extensions up to B.
    0x20..=0x7e,
    0xa0..=0x24f,
    // Spacing modifiers and combining marks.
    0x2b0..=0x36f,
    // Greek and Cyrillic.
    0x370..=0x3ff,
    0x400..=0x4ff,
    // Latin with the marks of Vietnamese and others.
    0x1e00..=0x1eff,
    // Punctuation, signs of currency, letterlike symbols.
    0x2000..=0x206f,
    0x20a0..=0x20bf,
    0x2100..=0x214f,
    // Arrows and mathematics.
    0x2190..=0x21ff,
    0x2200..=0x22ff,
    // Variation selectors, which are not seen.
    0xfe00..=0xfe0f,
];

/// Tables that are for hinting, shaping and typesetting programs.
const DROPPED: [&[u8; 4]; 11] =
    [b"FFTM", b"GDEF", b"GPOS", b"GSUB", b"MATH", b"OS/2", b"cvt ", b"fpgm", b"gasp", b"post", b"prep"];

/// Copyright and licence, which copies must keep.
const NAMES: [u16; 2] = [0, 13];
/// English of the United States, as the font's `name` table counts languages.
const LANGUAGE: u16 = 0x409;

/// Writes `font.ttf` into the folder `to`.
pub fn write(to: &Path) -> Result<(), Box<dyn Error>> {
    let font = FontRef::new(dejavu::sans::regular())?;
    // The table `kern` knows glyphs by their ids, and the subsetter does not know that table.
    let flags = SubsetFlags::SUBSET_FLAGS_RETAIN_GIDS
        | SubsetFlags::SUBSET_FLAGS_PASSTHROUGH_UNRECOGNIZED
        | SubsetFlags::SUBSET_FLAGS_NOTDEF_OUTLINE
        | SubsetFlags::SUBSET_FLAGS_NO_HINTING;
    let plan = Plan::new(
        &IntSet::empty(),
        &CHARACTERS.into_iter().flatten().collect(),
        &font,
        flags,
        &DROPPED.into_iter().map(Tag::new).collect(),
        &IntSet::empty(),
        &IntSet::empty(),
        &NAMES.into_iter().map(NameId::new).collect(),
        &[LANGUAGE].into_iter().collect(),
    );
    fs::write(to.join("font.ttf"), subset_font(&font, &plan)?)?;
    Ok(())
}
