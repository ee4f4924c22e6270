//! The compressed headers of SPDY/3: one zlib stream for all frames of one direction, which begins with
//! a dictionary that both sides know (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1).

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_HAS_MORE_INPUT},
};

use crate::error::FrameError;

const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");
/// CMF, FLG and DICTID of a stream with that dictionary.
const HEADER_BYTES: usize = 6;
const DICTIONARY_ADLER: [u8; 4] = [0xe3, 0xc6, 0xa7, 0xc2];
/// The largest that deflate can look back.
const WINDOW_BYTES: usize = 32 << 10;
/// Headers of one frame may take so much once they are inflated.
const INFLATED_BYTES_MAX: usize = 64 << 10;

pub(crate) struct Inflate {
    state: Box<DecompressorOxide>,
    /// What was inflated last: it is written round and round.
    window: Vec<u8>,
    at: usize,
    header: Vec<u8>,
}

impl Inflate {
    pub(crate) fn new() -> Self {
        let mut window = DICTIONARY.to_vec();
        window.resize(WINDOW_BYTES, 0);
        Self { state: Box::default(), window, at: DICTIONARY.len(), header: Vec::new() }
    }

    /// What the block of one frame inflates to.
    pub(crate) fn block(&mut self, block: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut input = self.behind_header(block)?;
        let mut inflated = Vec::new();
        loop {
            let flags = TINFL_FLAG_HAS_MORE_INPUT;
            let (status, read, written) =
                decompress(&mut self.state, input, &mut self.window, self.at, flags);
            let end = self.at.saturating_add(written);
            inflated.extend_from_slice(self.window.get(self.at..end).unwrap_or_default());
            self.at = if end >= WINDOW_BYTES { 0 } else { end };
            input = input.get(read..).unwrap_or_default();
            if inflated.len() > INFLATED_BYTES_MAX {
                return Err(FrameError::TooLarge);
            }
            match status {
                TINFLStatus::NeedsMoreInput => return Ok(inflated),
                TINFLStatus::HasMoreOutput => {}
                _ => return Err(FrameError::Malformed("headers that do not inflate")),
            }
        }
    }

    /// The first bytes of all say which dictionary it is.
    fn behind_header<'b>(&mut self, block: &'b [u8]) -> Result<&'b [u8], FrameError> {
        let missing = HEADER_BYTES.saturating_sub(self.header.len()).min(block.len());
        let (header, rest) = block.split_at_checked(missing).unwrap_or_default();
        self.header.extend_from_slice(header);
        if let [cmf, flg, adler @ ..] = self.header.as_slice()
            && adler.len() == DICTIONARY_ADLER.len()
        {
            let is_checked = u16::from_be_bytes([*cmf, *flg]).is_multiple_of(31);
            if cmf & 0x0f != 8 || flg & 0x20 == 0 || !is_checked || adler != DICTIONARY_ADLER {
                return Err(FrameError::Malformed("headers of another dictionary"));
            }
        }
        Ok(rest)
    }
}
