//! Detects changes of the functions' sources.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;

/// The polling interval. Checking a few hundred files takes a millisecond, and polling works on every system and file
/// system.
const PERIOD: Duration = Duration::from_millis(500);
/// The paths that the functions are built from, relative to the workspace.
const SOURCES: [&str; 5] = ["Cargo.lock", "Cargo.toml", "functions", "shared", "signals.toml"];

type Snapshot = BTreeMap<PathBuf, (SystemTime, u64)>;

/// A snapshot of the functions' sources.
#[derive(Debug)]
pub struct Sources {
    paths: Vec<PathBuf>,
    seen: Snapshot,
    period: Duration,
}

impl Sources {
    /// Takes a snapshot of the sources in the workspace at `root` and of the configuration file that the user has
    /// named.
    pub async fn of(root: &Path) -> Self {
        let mut paths: Vec<_> = SOURCES.iter().map(|source| root.join(source)).collect();
        // Functions read this file when they start.
        paths.extend(env::var_os(shared::env::CONFIG).map(PathBuf::from));
        let seen = snapshot(&paths).await;
        Self { paths, seen, period: PERIOD }
    }

    /// Waits until a file has been changed, added or removed and no other file changes for a moment: an editor may
    /// write several files at once.
    pub async fn changed(&mut self) {
        let mut before = self.seen.clone();
        loop {
            tokio::time::sleep(self.period).await;
            let now = snapshot(&self.paths).await;
            if now == before && now != self.seen {
                self.seen = now;
                return;
            }
            before = now;
        }
    }
}

async fn snapshot(paths: &[PathBuf]) -> Snapshot {
    let paths = paths.to_vec();
    let look = move || {
        let mut found = Snapshot::new();
        for path in paths {
            collect(path, &mut found);
        }
        found
    };
    spawn_blocking(look).await.unwrap_or_default()
}

/// Adds the files at `path` to `found`. A file that vanishes during the scan counts as removed.
fn collect(path: PathBuf, found: &mut Snapshot) {
    let Ok(metadata) = path.metadata() else { return };
    if metadata.is_dir() {
        let entries = path.read_dir().into_iter().flatten().flatten();
        entries.for_each(|entry| collect(entry.path(), found));
    } else if let Ok(modified) = metadata.modified() {
        found.insert(path, (modified, metadata.len()));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::{Duration, Sources};

    const PERIOD: Duration = Duration::from_millis(20);
    /// The number of periods in which no change may be noticed.
    const QUIET: u32 = 4;
    /// The maximum number of periods until a change is noticed.
    const PATIENCE: u32 = 500;

    #[tokio::test]
    async fn only_changed_new_and_removed_sources_are_detected() {
        let root = tempfile::TempDir::new().expect("a folder");
        let source = root.path().join("functions/post-log/src/main.rs");
        fs::create_dir_all(source.parent().expect("a folder")).expect("folders");
        fs::write(&source, "fn main() {}").expect("a source");
        let mut sources = Sources { period: PERIOD, ..Sources::of(root.path()).await };

        fs::write(root.path().join("README.md"), "no source").expect("a file");
        assert!(timeout(PERIOD * QUIET, sources.changed()).await.is_err());
        let changes: [&dyn Fn() -> std::io::Result<()>; 3] = [
            &|| fs::write(&source, "fn main() { changed() }"),
            &|| fs::write(root.path().join("signals.toml"), ""),
            &|| fs::remove_file(&source),
        ];
        for change in changes {
            change().expect("a change");
            timeout(PERIOD * PATIENCE, sources.changed()).await.expect("it is noticed");
        }
        assert!(timeout(PERIOD * QUIET, sources.changed()).await.is_err());
    }
}
