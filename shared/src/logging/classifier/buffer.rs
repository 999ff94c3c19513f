//! Fixed-capacity text on the stack, so that tokens need no allocation.

/// UTF-8 text of at most `N` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Buffer<N> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Returns the text so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the length in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `c`. Returns false and appends nothing if `c` does not fit.
    pub(super) fn push(&mut self, c: char) -> bool {
        self.extend(c.encode_utf8(&mut [0; 4]).as_bytes())
    }

    /// Appends `more`. Returns false and appends nothing if `more` does not fit.
    pub(super) fn extend(&mut self, more: &[u8]) -> bool {
        let end = self.len + more.len();
        match self.bytes.get_mut(self.len..end) {
            Some(free) => {
                free.copy_from_slice(more);
                self.len = end;
                true
            }
            None => false,
        }
    }

    /// Replaces ASCII capitals by lower-case letters.
    pub(super) fn make_ascii_lowercase(&mut self) {
        if let Some(text) = self.bytes.get_mut(..self.len) {
            text.make_ascii_lowercase();
        }
    }

    /// Removes the last byte, which must be ASCII.
    pub(super) fn pop_ascii(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// Removes the first `bytes` bytes.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        let bytes = bytes.min(self.len);
        self.bytes.copy_within(bytes..self.len, 0);
        self.len -= bytes;
    }
}
