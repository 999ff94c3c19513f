//! What becomes of events when stores fail and functions are killed: the real functions over the embedded stores, with a
//! proxy between them that does to each call what a test asks for.

// It kills the functions, which it finds in /proc.
#![cfg(target_os = "linux")]

mod alerts;
mod faulty;
mod hanging;
mod killed;
mod logs;
mod proxy;
mod soak;
mod stores;
mod traffic;
