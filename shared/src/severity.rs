//! Severity of an anomaly.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

/// Severity of an anomaly.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// More events than the threshold.
    Warning,
    /// More than one and a half times the threshold.
    Critical,
}

impl Severity {
    /// Returns the severity of `count` events under `threshold`, or `None` if they do not exceed the threshold.
    pub fn of(count: u32, threshold: u32) -> Option<Self> {
        if count <= threshold {
            None
        } else if 2 * u64::from(count) > 3 * u64::from(threshold) {
            Some(Self::Critical)
        } else {
            Some(Self::Warning)
        }
    }

    /// Returns the name used in storage and responses.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_threshold_is_warning_and_above_one_and_a_half_critical() {
        assert_eq!(
            [10, 11, 15, 16].map(|count| Severity::of(count, 10)),
            [None, Some(Severity::Warning), Some(Severity::Warning), Some(Severity::Critical)]
        );
        assert_eq!(
            [8, 9, 12, 13].map(|count| Severity::of(count, 8).map(Severity::name)),
            [None, Some("warning"), Some("warning"), Some("critical")]
        );
    }
}
