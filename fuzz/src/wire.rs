//! The wire format of protobuf, read and written independently of the code under test.

/// The fields of a message one by one, each with its key; `None` where it is no message.
pub(crate) fn fields(message: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut found, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        let before = rest;
        field_of(&mut rest)?;
        found.push(before.get(..before.len() - rest.len())?);
    }
    Some(found)
}

/// The next field of a message: its number, and its bytes where it has a length.
pub(crate) fn field_of(rest: &mut &[u8]) -> Option<(u64, Vec<u8>)> {
    let key = varint(rest)?;
    let length = match key & 7 {
        0 => return varint(rest).map(|_| (key >> 3, Vec::new())),
        1 => 8,
        2 => usize::try_from(varint(rest)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let value = rest.get(..length)?.to_vec();
    *rest = rest.get(length..)?;
    Some((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, more) = rest.split_first()?;
        *rest = more;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A field that has a length.
pub(crate) fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    for mut value in [number << 3 | 2, bytes.len()] {
        while value > 0x7f {
            field.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        field.push(u8::try_from(value).unwrap_or_default());
    }
    field.extend_from_slice(bytes);
    field
}
