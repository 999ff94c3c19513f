//! Sign-in links to the dashboard, each with a single-use code that is valid for one minute.
//!
//! A browser stores visited URLs in its history. So a link contains a code instead of the API key, and the dashboard
//! exchanges the code for the key. Each code is a file in the data folder, which only its owner can write; redeeming a code
//! removes the file.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::data_folder::{DataFolder, random_hex, write_private};

/// The lifetime of a code.
const LIFETIME: Duration = Duration::from_secs(60);

/// Creates a sign-in link to the view `parameters` of `dashboard`, whose stack runs on `data`.
///
/// # Errors
/// Fails if the code cannot be stored.
pub fn create(data: &DataFolder, dashboard: &str, parameters: &[(&str, &str)]) -> Result<String> {
    let code = issue(data, SystemTime::now())?;
    let parameters: Vec<_> = [("code", code.as_str())].into_iter().chain(parameters.iter().copied()).collect();
    Ok(to_view(dashboard, &parameters))
}

/// Returns a link to the view `parameters` of `dashboard` without a code.
pub fn to_view(dashboard: &str, parameters: &[(&str, &str)]) -> String {
    let fragment = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{dashboard}/#{fragment}")
}

/// Exchanges `code` for the API key of the stack on `data`. Returns `None` if the code is unknown, used or expired.
pub fn exchange(data: &DataFolder, code: &str) -> Option<String> {
    redeem(data, code, SystemTime::now())
        .then(|| fs::read_to_string(data.api_key()).ok())?
        .map(|key| key.trim().to_owned())
}

fn issue(data: &DataFolder, now: SystemTime) -> Result<String> {
    let folder = data.codes();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    remove_expired(&folder, now);
    let code = random_hex()?;
    write_private(&folder.join(&code), &seconds(now + LIFETIME).to_string())?;
    Ok(code)
}

fn redeem(data: &DataFolder, code: &str, now: SystemTime) -> bool {
    // Any other code could be a path to another file.
    if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let path = data.codes().join(code);
    let is_fresh = is_fresh(&path, now);
    // Of concurrent requests with the same code, only one removes the file.
    fs::remove_file(&path).is_ok() && is_fresh
}

fn remove_expired(folder: &PathBuf, now: SystemTime) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| !is_fresh(path, now)) {
        // A file that cannot be removed is expired anyway.
        let _ignored = fs::remove_file(path);
    }
}

fn is_fresh(path: &PathBuf, now: SystemTime) -> bool {
    let expires_at = fs::read_to_string(path).ok().and_then(|text| text.parse::<u64>().ok());
    expires_at.is_some_and(|expires_at| seconds(now) < expires_at)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, DataFolder) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let data = DataFolder::create(&folder.path().join("data")).expect("a data folder");
        write_private(&data.api_key(), "sig_x\n").expect("a key");
        (folder, data)
    }

    #[test]
    fn code_is_exchanged_once() {
        let (_folder, data) = data();
        let link = create(&data, "http://127.0.0.1:8080", &[("agent", "a b"), ("user", "日")]).expect("a link");
        assert!(!link.contains("sig_x"), "{link}");
        let (_, code) = link.split_once("/#code=").expect("a code");
        let (code, view) = code.split_once('&').expect("a view");
        assert_eq!(view, "agent=a+b&user=%E6%97%A5");
        assert_eq!(exchange(&data, code).as_deref(), Some("sig_x"));
        assert_eq!(exchange(&data, code), None);
    }

    #[test]
    fn code_expires_after_one_minute() {
        let (_folder, data) = data();
        let now = SystemTime::now();
        let codes = [issue(&data, now).expect("a code"), issue(&data, now).expect("a code")];
        assert!(redeem(&data, &codes[0], now + LIFETIME - Duration::from_secs(1)));
        assert!(!redeem(&data, &codes[1], now + LIFETIME));
    }

    #[test]
    fn exchange_rejects_anything_but_a_known_code() {
        let (_folder, data) = data();
        fs::write(data.api_key().with_file_name("abc"), u64::MAX.to_string()).expect("a file");
        for code in ["", ".", "../abc", "../api-key", "abc", "0123"] {
            assert_eq!(exchange(&data, code), None, "{code}");
        }
        assert!(data.api_key().with_file_name("abc").exists());
    }
}
