//! The regression check: figures that do not depend on the load of the machine may not grow unnoticed.
//!
//! The figures are the sizes of a few functions, as binary and as zip, and the instructions of every rule, counted by
//! valgrind. `bench/baseline.json` contains the allowed figures and their toolchain. Durations are not checked.
//!
//! AWS calls per request are checked without tolerance elsewhere: the test `counts` of `local`, a part of `make unit`,
//! compares them with `docs/counts.json`.

pub mod baseline;
pub mod figures;
