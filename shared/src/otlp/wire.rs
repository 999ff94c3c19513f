//! The wire format of protobuf, as far as messages need to be found without decoding them.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use super::decode::DecodeError;

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Number of the field.
    pub number: u64,
    /// Content, if the field has a length: a message, a text, bytes.
    pub bytes: Option<&'a [u8]>,
}

/// Returns the fields of the message `bytes`. After an error there are no more.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, DecodeError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = take_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or_else(|| DecodeError::protobuf("a field is incomplete or has an unknown type")))
    })
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = take_varint(rest)?;
    let bytes = match key & 7 {
        0 => {
            take_varint(rest)?;
            None
        }
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let len = usize::try_from(take_varint(rest)?).ok()?;
            Some(take(rest, len)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        // Groups, which version 3 of protobuf does not have.
        _ => return None,
    };
    Some(Field { number: key >> 3, bytes })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<Field<'_>, ()>> {
        fields(bytes).map(|field| field.map_err(|_| ())).collect()
    }

    #[test]
    fn fields_of_every_type_are_found() {
        let bytes =
            [&[0x08, 0x96, 0x01][..], &[0x11; 9], &[0x1a, 2, b'h', b'i'], &[0x25; 5], &[0xa2, 0x06, 0]].concat();
        let field = |number, bytes| Ok(Field { number, bytes });
        let expected =
            [field(1, None), field(2, None), field(3, Some(&b"hi"[..])), field(4, None), field(100, Some(&b""[..]))];
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn incomplete_fields_end_the_message() {
        for bytes in [&[0x08][..], &[0x08, 0xff], &[0x11, 1], &[0x1a, 2, b'h'], &[0x0b], &[0xff; 11]] {
            assert_eq!(read(bytes), [Err(())], "{bytes:?}");
        }
        let huge = [&[0x1a][..], &[0xff; 9], &[0x01]].concat();
        assert_eq!(read(&huge), [Err(())]);
        assert_eq!(read(&[]), []);
    }
}
