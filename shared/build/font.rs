//! Makes the font of the charts: the part of DejaVu Sans that names may well need, without what no chart uses.

use std::error::Error;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use skera::{Plan, SubsetFlags, subset_font};
use write_fonts::read::FontRef;
use write_fonts::read::collections::IntSet;
use write_fonts::types::{NameId, Tag};

/// Characters that the font keeps; others are drawn as boxes. Each letter is about 25 bytes of the program's zip.
const CHARACTERS: [&[RangeInclusive<char>]; 8] = [
    // Latin of Europe and Turkey, and what Azerbaijani, Romanian, Vietnamese and Pinyin have beside it.
    &['\u{20}'..='~', '\u{a0}'..='ſ', 'Ə'..='Ə', 'ə'..='ə', 'Ơ'..='ơ', 'Ư'..='ư', 'Ǎ'..='ǜ', 'Ș'..='ț', 'Ḁ'..='ỹ'],
    // Marks that combine with the letter before them, and those that stand alone.
    &['\u{300}'..='\u{30c}', '\u{31b}'..='\u{31b}', '\u{323}'..='\u{331}', 'ˆ'..='˝'],
    // Greek.
    &['΄'..='ώ'],
    // Cyrillic, less what is historical.
    &['Ѐ'..='џ', 'Ґ'..='ӹ'],
    // Armenian and Georgian.
    &['Ա'..='֏', 'Ⴀ'..='ჼ'],
    // Punctuation.
    &['\u{2000}'..='\u{200a}', '‐'..='…', '\u{202f}'..='\u{202f}', '‰'..='›'],
    // Signs: of currencies, number and trade mark, arrows, mathematics, shapes.
    &['ƒ'..='ƒ', '₩'..='€', '₴'..='₴', '₹'..='₹', '₽'..='₽', '№'..='№', '™'..='™', '←'..='↕'],
    &['∂'..='−', '√'..='√', '∞'..='∞', '≈'..='≈', '≠'..='≥', '■'..='■', '●'..='●', '★'..='★', '♥'..='♥', '✓'..='✓'],
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
