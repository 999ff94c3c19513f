//! The data folder of a local stack, and the description of the running stack in it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The number of random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// The folder with all data of a stack.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

/// The information about a running stack that other programs need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The address of the dashboard.
    pub dashboard: String,
    /// The base address of the API's paths.
    pub api: String,
    /// The address for invocations, in front of `cargo lambda watch`.
    pub functions: String,
    /// The functions' environment: names of tables and buckets, addresses of the stores, credentials.
    pub environment: BTreeMap<String, String>,
}

/// Locks a data folder for one stack at a time. The system releases the lock when the process ends, for whatever
/// reason.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataFolder {
    /// Returns the folder at `path`, creating it if it does not exist.
    ///
    /// # Errors
    /// Fails if the folder cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let mut builder = fs::DirBuilder::new();
        // The folder contains users' messages.
        builder.recursive(true).mode(0o700);
        builder.create(path).with_context(|| format!("cannot make the data folder {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Returns the folder at `path`, which need not exist.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Returns the path of DynamoDB's file.
    pub fn dynamodb(&self) -> PathBuf {
        self.0.join("dynamodb.sqlite")
    }

    /// Returns the path of S3's file.
    pub fn s3(&self) -> PathBuf {
        self.0.join("s3.sqlite")
    }

    /// Returns the path of the file with the key that `up` prints.
    pub fn api_key(&self) -> PathBuf {
        self.0.join("api-key")
    }

    /// Returns the path of the file with the secret that signs requests to the stores.
    pub fn store_secret(&self) -> PathBuf {
        self.0.join("store-secret")
    }

    /// Returns the path of the folder with the codes of sign-in links.
    pub fn codes(&self) -> PathBuf {
        self.0.join("codes")
    }

    /// Returns the path of the functions' log.
    pub fn log(&self) -> PathBuf {
        self.0.join("functions.log")
    }

    /// Returns the path of the folder with the progress of interrupted imports.
    pub fn imports(&self) -> PathBuf {
        self.0.join("imports")
    }

    /// Returns the path of the file with the functions' environment, in lines of `NAME=VALUE`.
    pub fn environment(&self) -> PathBuf {
        self.0.join("env")
    }

    /// Returns the path of the file with an event of API Gateway that invokes `post-log`.
    pub fn example_event(&self) -> PathBuf {
        self.0.join("post-log.json")
    }

    fn description(&self) -> PathBuf {
        self.0.join("stack.json")
    }

    /// Locks the folder for one stack.
    ///
    /// # Errors
    /// Fails if another stack uses the folder.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.0.join("lock");
        let file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another stack runs on the data in {}: end it, or name another folder with --data",
                self.0.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Writes the description of the running stack to the folder.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn publish(&self, description: &Description) -> Result<()> {
        let text = serde_json::to_string_pretty(description).context("the stack cannot be described")?;
        write_private(&self.description(), &text)
    }

    /// Removes the files that are useless without the stack.
    pub fn withdraw(&self) {
        for path in [self.description(), self.environment(), self.example_event()] {
            // A leftover file is harmless: the description is ignored without the lock.
            let _absent = fs::remove_file(path);
        }
    }

    /// Returns the description of the stack that runs on the folder.
    ///
    /// # Errors
    /// Fails if no stack runs on the folder.
    pub fn running(&self) -> Result<Description> {
        let nothing = || {
            let folder = self.0.display();
            format!(
                "no stack is running on the data in {folder}: start one with `make run`, or name another folder with --data"
            )
        };
        let lock = self.0.join("lock");
        let held = lock.is_file() && matches!(open_lock(&lock)?.try_lock(), Err(TryLockError::WouldBlock));
        if !held {
            bail!(nothing());
        }
        let text = fs::read_to_string(self.description())
            .with_context(|| format!("the stack on the data in {} is not ready yet", self.0.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", self.description().display()))
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    options.open(path).with_context(|| format!("cannot open {}", path.display()))
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// Fails if the file cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    let write = || options.open(path)?.write_all(text.as_bytes());
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Returns 256 random bits as hexadecimal digits, for a secret in the folder.
///
/// # Errors
/// Fails if the system's random number generator fails.
pub fn random_hex() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).context("cannot generate random bytes")?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn description() -> Description {
        Description {
            dashboard: "http://127.0.0.1:8080".to_owned(),
            api: String::new(),
            functions: String::new(),
            environment: BTreeMap::new(),
        }
    }

    #[test]
    fn what_is_published_is_believed_as_long_as_the_stack_lives() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let data = DataFolder::create(&folder.path().join("deep/data")).expect("a data folder");
        let error = |data: &DataFolder| format!("{:#}", data.running().expect_err("nothing runs"));
        assert!(error(&data).contains("no stack is running"));

        let lock = data.lock().expect("the lock");
        assert!(error(&data).contains("not ready yet"));
        assert!(data.lock().expect_err("it is held").to_string().contains("another stack runs"));
        data.publish(&description()).expect("a description");
        assert_eq!(data.running().expect("it runs").dashboard, description().dashboard);

        drop(lock);
        assert!(error(&data).contains("no stack is running"));
        data.lock().expect("the lock again");
    }

    #[test]
    fn what_a_stack_keeps_is_for_its_owner_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("data");
        let data = DataFolder::create(&path).expect("a data folder");
        write_private(&data.api_key(), "sig_").expect("a file");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&data.api_key())), (0o700, 0o600));
    }
}
