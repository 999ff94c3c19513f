//! Noticing that the functions' sources have changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;

/// How often to look. Looking at some hundred files takes a millisecond, and works on every system and file system.
const PERIOD: Duration = Duration::from_millis(500);
/// What the functions are built from, below the workspace's folder.
const SOURCES: [&str; 5] = ["Cargo.lock", "Cargo.toml", "functions", "shared", "signals.toml"];

type Snapshot = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The functions' sources as they were when they were last looked at.
#[derive(Debug)]
pub struct Sources {
    paths: Vec<PathBuf>,
    seen: Snapshot,
}

impl Sources {
    /// The sources in the workspace at `root`, as they are now.
    pub async fn of(root: &Path) -> Self {
        let paths: Vec<_> = SOURCES.iter().map(|source| root.join(source)).collect();
        let seen = snapshot(&paths).await;
        Self { paths, seen }
    }

    /// Waits until a file has changed, come or gone, and no other has for a moment: an editor writes several at once.
    pub async fn changed(&mut self) {
        let mut before = self.seen.clone();
        loop {
            tokio::time::sleep(PERIOD).await;
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

/// A file that vanishes meanwhile is one that has gone.
fn collect(path: PathBuf, found: &mut Snapshot) {
    let Ok(metadata) = path.metadata() else { return };
    if metadata.is_dir() {
        let entries = path.read_dir().into_iter().flatten().flatten();
        entries.for_each(|entry| collect(entry.path(), found));
    } else if let Ok(modified) = metadata.modified() {
        found.insert(path, (modified, metadata.len()));
    }
}
