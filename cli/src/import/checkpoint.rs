//! The progress of an import, so that an interrupted import does not send everything again.
//!
//! Repeating requests is harmless but takes time. So the number of windows whose rows all have an outcome is kept in a file
//! until the import is complete.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::tally::Tally;

/// Changes when windows or ids are determined in another way.
const VERSION: u32 = 1;

/// The identity of an import.
#[derive(Debug)]
pub(super) struct Import<'a> {
    /// The address of the stack's API.
    pub api: &'a str,
    /// The hash of the files.
    pub files: [u8; 32],
    /// The options that determine the interactions.
    pub options: String,
}

/// The progress of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The number of windows whose rows all have an outcome.
    pub windows: u64,
    /// The outcomes.
    pub tally: Tally,
}

/// The file with the progress of an import. Without a folder for the file, progress is not kept.
#[derive(Debug)]
pub(super) struct Checkpoint(Option<PathBuf>);

impl Checkpoint {
    /// Returns the checkpoint of `import` in `folder`.
    pub fn of(import: &Import<'_>, folder: Option<&Path>) -> Self {
        let Import { api, files, options } = import;
        let mut hash = Sha256::new();
        for part in [api.as_bytes(), options.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(files);
        hash.update(VERSION.to_be_bytes());
        let name = format!("{}.json", hex::encode(hash.finalize()));
        Self(folder.map(|folder| folder.join(name)))
    }

    /// Returns the progress of an earlier run. A file that cannot be read counts as no progress.
    pub fn load(&self) -> Progress {
        let text = self.0.as_ref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn save(&self, progress: &Progress) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let write = || {
            let folder = path.parent().context("it has no folder")?;
            fs::create_dir_all(folder)?;
            let new = NamedTempFile::new_in(folder)?;
            serde_json::to_writer(&new, progress)?;
            new.persist(path)?;
            anyhow::Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the file.
    pub fn remove(&self) {
        if let Some(path) = &self.0 {
            // There is no file if the import was not interrupted.
            let _absent = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(api: &str) -> Import<'_> {
        Import { api, files: [7; 32], options: "options".to_owned() }
    }

    #[test]
    fn progress_is_kept_by_import_until_removed() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let folder = folder.path().join("deep/imports");
        let checkpoint = Checkpoint::of(&import("http://one"), Some(&folder));
        assert_eq!(checkpoint.load(), Progress::default());
        let progress = Progress { windows: 3, tally: Tally { stored: 5, ..Tally::default() } };
        checkpoint.save(&Progress { windows: 2, ..progress }).expect("saved");
        checkpoint.save(&progress).expect("saved");
        assert_eq!(checkpoint.load(), progress);
        for other in [
            import("http://two"),
            Import { files: [8; 32], ..import("http://one") },
            Import { options: "others".to_owned(), ..import("http://one") },
        ] {
            assert_eq!(Checkpoint::of(&other, Some(&folder)).load(), Progress::default(), "{other:?}");
        }
        assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1);
        checkpoint.remove();
        assert_eq!(checkpoint.load(), Progress::default());
        checkpoint.remove();
    }

    #[test]
    fn damaged_or_absent_file_counts_as_no_progress() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let checkpoint = Checkpoint::of(&import("http://one"), Some(folder.path()));
        checkpoint.save(&Progress { windows: 1, ..Progress::default() }).expect("saved");
        let path = fs::read_dir(folder.path()).expect("the folder").next().expect("a file").expect("a file").path();
        fs::write(path, "{\"windows\":").expect("a file");
        assert_eq!(checkpoint.load(), Progress::default());
        let nowhere = Checkpoint::of(&import("http://one"), None);
        nowhere.save(&Progress { windows: 1, ..Progress::default() }).expect("nothing to do");
        assert_eq!(nowhere.load(), Progress::default());
    }
}
