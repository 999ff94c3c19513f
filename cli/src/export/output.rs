//! The file or pipe that receives an export.

use std::fs::File;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::{Builder, NamedTempFile};

/// The name of standard output as a file.
pub(super) const STDOUT: &str = "-";
const BUFFER_BYTES: usize = 256 * 1024;

/// A failure to write the output, as opposed to a failure to read from the stack.
#[derive(Debug)]
pub(super) struct WriteError(pub io::Error);

impl std::fmt::Display for WriteError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "cannot write the output: {}", self.0)
    }
}

impl std::error::Error for WriteError {}

/// The destination of an export.
#[derive(Debug)]
pub(super) enum Output {
    Stdout(BufWriter<Stdout>),
    /// A file that is written under another name, and renamed when it is complete.
    File {
        new: BufWriter<NamedTempFile>,
        path: PathBuf,
    },
    /// A pipe or a device, which must not be replaced by a file.
    Special(BufWriter<File>),
}

impl Output {
    /// Opens the file at `path`, or standard output.
    ///
    /// # Errors
    /// Fails if the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        if path.as_os_str() == STDOUT {
            return Ok(Self::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout())));
        }
        let cannot = || format!("cannot create {}", path.display());
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).with_context(cannot)?;
            return Ok(Self::Special(BufWriter::with_capacity(BUFFER_BYTES, file)));
        }
        let name = path.file_name().with_context(cannot)?.to_string_lossy().into_owned();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let new =
            Builder::new().prefix(&format!(".{name}.")).suffix(".part").tempfile_in(folder).with_context(cannot)?;
        Ok(Self::File { new: BufWriter::with_capacity(BUFFER_BYTES, new), path: path.to_owned() })
    }

    /// Writes the rest and, for a file, gives the file its name.
    ///
    /// # Errors
    /// Fails if the file cannot be written. The file then does not have its name.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush().map_err(WriteError)?,
            Self::Special(mut out) => out.flush().map_err(WriteError)?,
            Self::File { new, path } => {
                let new = new.into_inner().map_err(|error| WriteError(error.into_error()))?;
                new.as_file().sync_all().map_err(WriteError)?;
                new.persist(&path).with_context(|| format!("cannot create {}", path.display()))?;
            }
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File { new, .. } => new.write(bytes),
            Self::Special(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { new, .. } => new.flush(),
            Self::Special(out) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder");
        entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn file_has_its_name_when_it_is_complete() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("all.jsonl");
        fs::write(&path, "old").expect("a file");
        let mut output = Output::create(&path).expect("an output");
        output.write_all(b"new").expect("written");
        output.flush().expect("written");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "old");
        output.finish().expect("complete");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "new");
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["all.jsonl"]);
    }

    #[test]
    fn incomplete_file_leaves_nothing_behind() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut output = Output::create(&folder.path().join("all.csv")).expect("an output");
        output.write_all(b"new").expect("written");
        output.flush().expect("written");
        let [name] = &names(folder.path())[..] else { panic!("one file") };
        assert!(name.starts_with(".all.csv.") && name.ends_with(".part"), "{name}");
        drop(output);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn device_is_written_and_not_replaced() {
        let path = Path::new("/dev/null");
        let mut output = Output::create(path).expect("an output");
        assert!(matches!(output, Output::Special(_)));
        output.write_all(b"new").expect("written");
        output.finish().expect("complete");
        assert!(!path.metadata().expect("a device").is_file());
    }

    #[test]
    fn file_in_a_missing_folder_is_refused() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let error = Output::create(&folder.path().join("none/all.csv")).expect_err("no folder");
        assert!(format!("{error:#}").contains("none/all.csv"), "{error:#}");
    }
}
