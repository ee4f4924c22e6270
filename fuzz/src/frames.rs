//! Laws of reading along with a port-forward.

use std::collections::BTreeSet;

use ::frames::{PortGuard, Wire};

/// More than is ever held back, and than headers may inflate to.
const HELD_BYTES_MAX: usize = 256 << 10;

/// One byte that says which wire and how large the pieces are, then what an agent sends: what passes is
/// a beginning of it, the same in whatever pieces it comes, and no port is opened but those that were
/// approved.
pub fn frames(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let wire = match first % 3 {
        0 => Wire::Spdy,
        1 => Wire::SpdyInWebSocket,
        _ => Wire::Channels,
    };
    let approved: BTreeSet<u16> = [80, 443].into();
    let run = |piece: usize| {
        let mut guard = PortGuard::new(wire, Some(approved.clone()));
        let (mut passed, mut came) = (Vec::new(), 0);
        let mut ended = None;
        for piece in bytes.chunks(piece) {
            came += piece.len();
            if let Err(error) = guard.pass(piece, &mut passed) {
                ended = Some(error);
                break;
            }
            assert!(
                came - passed.len() <= HELD_BYTES_MAX,
                "{} bytes are held",
                came - passed.len()
            );
        }
        assert!(guard.opened().is_subset(&approved), "{:?} were opened", guard.opened());
        assert!(bytes.starts_with(&passed), "other bytes passed than came");
        (passed, ended, guard.opened().clone())
    };
    let (whole, pieces) = (run(bytes.len().max(1)), run(usize::from(first / 3) + 1));
    assert_eq!((whole.1, &whole.2), (pieces.1, &pieces.2), "it depends on the pieces");
    if whole.1.is_none() {
        assert_eq!(whole.0, pieces.0, "what passes depends on the pieces");
    }
}
