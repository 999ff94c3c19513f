//! The gate: what the load of the machine cannot change may not grow unless somebody says so.
//!
//! These are the bytes of a few functions, as binary and as zip, and the instructions of every rule as valgrind counts
//! them. `bench/baseline.json` has the figures that are allowed, and the toolchain that they are of. How long something
//! takes gates nothing.
//!
//! AWS calls per request are gated without any tolerance, but elsewhere: the test `counts` of `local`, a part of
//! `make unit`, measures them anew and wants them to be exactly those of `docs/counts.json`.

pub mod baseline;
pub mod figures;
