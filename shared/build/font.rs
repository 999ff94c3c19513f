//! Builds the font of the charts: the part of DejaVu Sans that names are likely to need, without tables that charts do
//! not use.

use std::error::Error;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use skera::{Plan, SubsetFlags, subset_font};
use write_fonts::read::FontRef;
use write_fonts::read::collections::IntSet;
use write_fonts::types::{NameId, Tag};

/// Characters kept in the font; others are drawn as boxes. Each letter takes about 25 bytes of the program's zip.
const CHARACTERS: [&[RangeInclusive<char>]; 8] = [
    // Latin of Europe and Turkey, and the additional letters of Azerbaijani, Romanian, Vietnamese and Pinyin.
    &['\u{20}'..='~', '\u{a0}'..='ſ', 'Ə'..='Ə', 'ə'..='ə', 'Ơ'..='ơ', 'Ư'..='ư', 'Ǎ'..='ǜ', 'Ș'..='ț', 'Ḁ'..='ỹ'],
    // Combining marks and their standalone forms.
    &['\u{300}'..='\u{30c}', '\u{31b}'..='\u{31b}', '\u{323}'..='\u{331}', 'ˆ'..='˝'],
    // Greek.
    &['΄'..='ώ'],
    // Cyrillic, without historical letters.
    &['Ѐ'..='џ', 'Ґ'..='ӹ'],
    // Armenian and Georgian.
    &['Ա'..='֏', 'Ⴀ'..='ჼ'],
    // Punctuation.
    &['\u{2000}'..='\u{200a}', '‐'..='…', '\u{202f}'..='\u{202f}', '‰'..='›'],
    // Symbols: currencies, number and trade mark signs, arrows, mathematics, shapes.
    &['ƒ'..='ƒ', '₩'..='€', '₴'..='₴', '₹'..='₹', '₽'..='₽', '№'..='№', '™'..='™', '←'..='↕'],
    &['∂'..='−', '√'..='√', '∞'..='∞', '≈'..='≈', '≠'..='≥', '■'..='■', '●'..='●', '★'..='★', '♥'..='♥', '✓'..='✓'],
];

/// Tables used only by hinting, shaping and typesetting programs.
const DROPPED: [&[u8; 4]; 11] =
    [b"FFTM", b"GDEF", b"GPOS", b"GSUB", b"MATH", b"OS/2", b"cvt ", b"fpgm", b"gasp", b"post", b"prep"];

/// Copyright and licence, which copies must keep.
const NAMES: [u16; 2] = [0, 13];
/// US English in the language numbering of the font's `name` table.
const LANGUAGE: u16 = 0x409;

/// Writes `font.ttf` into the folder `to`.
pub fn write(to: &Path) -> Result<(), Box<dyn Error>> {
    let font = FontRef::new(dejavu::sans::regular())?;
    // The table `kern` refers to glyph ids, and the subsetter does not support that table.
    let flags = SubsetFlags::SUBSET_FLAGS_RETAIN_GIDS
        | SubsetFlags::SUBSET_FLAGS_PASSTHROUGH_UNRECOGNIZED
        | SubsetFlags::SUBSET_FLAGS_NOTDEF_OUTLINE
        | SubsetFlags::SUBSET_FLAGS_NO_HINTING;
    let plan = Plan::new(
        &IntSet::empty(),
        &CHARACTERS.into_iter().flatten().cloned().flatten().map(u32::from).collect(),
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
