//! What helm keeps of a revision of a release: JSON, compressed and twice encoded, in a Secret or
//! ConfigMap (helm.sh/helm, pkg/storage/driver `decodeRelease`).
//!
//! Helm joins the members of a compressed stream, takes what is not compressed as it is, and matches keys
//! whatever their case. Here there is one member with nothing around it, and keys as they are.

use base64::{Engine, prelude::BASE64_STANDARD};
use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
    },
};
use serde_json::Value;

use crate::{error::PayloadError, strict};

/// A header without a name, comment or anything else that is optional (RFC 1952, section 2.3).
const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 0];
const HEADER_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;
/// Releases that inflate to more are not read.
const INFLATED_BYTES_MAX: usize = 8 << 20;
/// Nor are those with more values: as a tree, each takes some 150 bytes.
const VALUES_MAX: usize = 300_000;

/// Reads the text that helm keeps under `release`; of a Secret, the text that its value encodes.
///
/// # Errors
/// [`PayloadError`] for what helm would not write, or might read in another way.
pub fn release(text: &[u8]) -> Result<Value, PayloadError> {
    let compressed = BASE64_STANDARD.decode(text).map_err(|_| malformed("it is not base64"))?;
    let json = inflated(&compressed)?;
    // A little too many, as texts have some of these, too.
    let values = json.iter().filter(|it| matches!(it, b',' | b'[' | b'{')).count();
    match values > VALUES_MAX {
        true => Err(malformed("it has too many values")),
        false => strict::json(&json),
    }
}

fn inflated(compressed: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let behind = compressed.strip_prefix(&MAGIC);
    let body = behind.and_then(|it| it.get(HEADER_BYTES.saturating_sub(MAGIC.len())..));
    let split = body.and_then(|it| it.split_last_chunk::<TRAILER_BYTES>());
    let (deflated, trailer) = split.ok_or_else(|| malformed("it is not compressed as by helm"))?;
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *trailer;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if length > INFLATED_BYTES_MAX {
        return Err(malformed("it is too large"));
    }
    let mut json = vec![0; length];
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, read, written) =
        decompress(&mut DecompressorOxide::new(), deflated, &mut json, 0, flags);
    let is_whole = status == TINFLStatus::Done && read == deflated.len() && written == length;
    match is_whole && checksum(&json) == u32::from_le_bytes([c0, c1, c2, c3]) {
        true => Ok(json),
        false => Err(malformed("what is compressed is more, or less, than it says")),
    }
}

/// CRC-32 (RFC 1952, section 8).
fn checksum(bytes: &[u8]) -> u32 {
    let next = |sum: u32| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| next(sum)))
}

fn malformed(why: &'static str) -> PayloadError {
    PayloadError::Malformed { format: "a release of helm", why, at: None }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;
    use serde_json::json;

    use super::*;

    fn member(json: &[u8], length: usize) -> Vec<u8> {
        let length = u32::try_from(length).expect("a length").to_le_bytes();
        let header = [MAGIC.as_slice(), &[0; 6]].concat();
        let parts = [header, compress_to_vec(json, 9), checksum(json).to_le_bytes().to_vec()];
        [parts.concat(), length.to_vec()].concat()
    }

    fn read(compressed: &[u8]) -> Option<Value> {
        release(BASE64_STANDARD.encode(compressed).as_bytes()).ok()
    }

    #[test]
    fn checksums_as_gzip_does() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn reads_what_helm_writes_and_nothing_that_can_be_read_in_two_ways() {
        let json = br#"{"name":"web"}"#.as_slice();
        let whole = member(json, json.len());
        assert_eq!(read(&whole), Some(json!({"name": "web"})));
        let bomb = vec![b' '; INFLATED_BYTES_MAX + 1];
        let twice = br#"{"name":"web","name":"x"}"#.as_slice();
        let many = [b"[".as_slice(), &b"1,".repeat(VALUES_MAX + 1), b"1]"].concat();
        let table = [
            ("two members", [whole.clone(), whole.clone()].concat()),
            ("bytes behind it", [whole.as_slice(), b"x"].concat()),
            ("less than it says", member(json, json.len() + 1)),
            ("more than it says", member(json, json.len() - 1)),
            ("too large", member(&bomb, bomb.len())),
            ("too large for what it says", member(&bomb, 10)),
            ("a key twice", member(twice, twice.len())),
            ("too many values", member(&many, many.len())),
            ("not compressed", json.to_vec()),
            ("a name in the header", {
                let mut named = whole.clone();
                named[3] = 8;
                named
            }),
            ("another checksum", {
                let mut other = whole.clone();
                let at = other.len() - TRAILER_BYTES;
                other[at] ^= 1;
                other
            }),
            ("cut", whole[..whole.len() - 1].to_vec()),
            ("nothing", Vec::new()),
        ];
        for (what, compressed) in table {
            assert_eq!(read(&compressed), None, "{what}");
        }
        assert!(release(b"SDRz\nSQ==").is_err(), "a line break in base64");
    }
}
