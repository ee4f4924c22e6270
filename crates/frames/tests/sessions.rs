//! What client-go's own SPDY library sends, in `tests/sessions`, is read as it was meant.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeSet, fs, path::Path};

use frames::{FrameError, PortGuard, SilenceGuard, Wire};

fn session(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions").join(name);
    fs::read(path).expect("a session")
}

/// What passes of it, in pieces of this size, and which ports it opened.
fn passes(
    wire: Wire,
    approved: &[u16],
    bytes: &[u8],
    piece: usize,
) -> (Vec<u8>, Result<Vec<u16>, FrameError>) {
    let approved =
        (!approved.is_empty()).then(|| approved.iter().copied().collect::<BTreeSet<_>>());
    let mut guard = PortGuard::new(wire, approved);
    let mut passed = Vec::new();
    for piece in bytes.chunks(piece) {
        if let Err(error) = guard.pass(piece, &mut passed) {
            return (passed, Err(error));
        }
    }
    (passed, Ok(guard.opened().iter().copied().collect()))
}

/// As a WebSocket client sends it: masked, in messages of this size, with a ping between them.
fn in_messages(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    for (n, message) in bytes.chunks(size).enumerate() {
        let byte = |it: usize| u8::try_from(it % 256).expect("a byte");
        let mask = [byte(n), 7, 130, 255];
        sent.extend([0x89, 0x80 | 2, 1, 2, 3, 4, 9, 9]);
        let len = message.len();
        match len {
            0..=125 => sent.extend([0x82, 0x80 | byte(len)]),
            _ => sent.extend([0x82, 0x80 | 126, byte(len >> 8), byte(len)]),
        }
        sent.extend(mask);
        sent.extend(message.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    sent
}

#[test]
fn ports_are_read_and_enforced_in_whatever_pieces_they_come() {
    type Want = Result<Vec<u16>, FrameError>;
    let table: [(&str, &[u16], Want); 14] = [
        ("one", &[], Ok(vec![80])),
        ("one", &[80], Ok(vec![80])),
        ("one", &[80, 443], Ok(vec![80])),
        ("one", &[443], Err(FrameError::Port(80))),
        ("two", &[], Ok(vec![80, 5432])),
        ("two", &[80], Err(FrameError::Port(5432))),
        ("many", &[80], Ok(vec![80])),
        ("none", &[], Err(FrameError::NoPort)),
        ("zero", &[80], Ok(vec![80])),
        ("signed", &[80], Err(FrameError::NoPort)),
        ("large", &[80], Err(FrameError::NoPort)),
        // Headers that come later rename no stream.
        ("others", &[80], Ok(vec![80])),
        ("long", &[80], Err(FrameError::Port(81))),
        ("long", &[80, 81], Ok(vec![80, 81])),
    ];
    for (name, approved, want) in table {
        let bytes = session(name);
        for piece in [1, 2, 7, 8, 9, 100, bytes.len()] {
            let (passed, ports) = passes(Wire::Spdy, approved, &bytes, piece);
            assert_eq!(ports, want, "{name} {approved:?} in pieces of {piece}");
            assert!(bytes.starts_with(&passed), "{name}");
            assert_eq!(passed.len() == bytes.len(), want.is_ok(), "{name} in pieces of {piece}");
            for size in [1, 50, 200, bytes.len()] {
                let messages = in_messages(&bytes, size);
                let (passed, ports) = passes(Wire::SpdyInWebSocket, approved, &messages, piece);
                assert_eq!(ports, want, "{name} {approved:?} in messages of {size}");
                assert!(messages.starts_with(&passed), "{name}");
                assert_eq!(passed.len() == messages.len(), want.is_ok(), "{name} {size} {piece}");
            }
        }
    }
}

#[test]
fn no_byte_of_the_stream_that_is_refused_passes() {
    let (bytes, one) = (session("two"), session("one"));
    let (passed, _) = passes(Wire::Spdy, &[80], &bytes, 5);
    // Both begin alike: what passes is what leads to port 80, and nothing of the next stream.
    assert_eq!(passed, one);
}

#[test]
fn what_does_not_parse_ends_the_session() {
    let good = session("one");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let table = [
        (Wire::Spdy, with(1, 2)),
        (Wire::Spdy, with(3, 5)),
        (Wire::Spdy, with(5, 0x7f)),
        (Wire::Spdy, with(18, 0)),
        (Wire::Spdy, with(20, 0)),
        (Wire::Spdy, with(40, !good[40])),
        (Wire::Spdy, b"GET / HTTP/1.1\r\n\r\n".repeat(10)),
        (Wire::SpdyInWebSocket, good.clone()),
        (Wire::Channels, vec![0x82, 0x01, 0x00]),
        (Wire::Channels, vec![0xc2, 0x81, 0, 0, 0, 0, 0]),
        (Wire::Channels, vec![0x83, 0x81, 0, 0, 0, 0, 0]),
        (Wire::Channels, vec![0x09, 0x80, 0, 0, 0, 0]),
    ];
    for (wire, bytes) in table {
        let (passed, ports) = passes(wire, &[80], &bytes, bytes.len());
        // A data frame of any stream is data: what was never opened leads nowhere.
        let is_data = bytes.starts_with(b"GET");
        assert!(ports.is_err() || is_data, "{wire:?} {:?}", &bytes[..8.min(bytes.len())]);
        assert!(passed.is_empty() || is_data, "{wire:?}");
    }
}

#[test]
fn channels_pass_as_they_are() {
    let messages = in_messages(&[0; 300], 140);
    let (passed, ports) = passes(Wire::Channels, &[80], &messages, 3);
    assert_eq!((passed, ports), (messages, Ok(vec![])));
}

#[test]
fn a_wire_is_known_by_what_was_agreed_on() {
    let table = [
        ("SPDY/3.1", "", Some(Wire::Spdy)),
        ("websocket", "SPDY/3.1+portforward.k8s.io", Some(Wire::SpdyInWebSocket)),
        ("WebSocket", "v4.channel.k8s.io", Some(Wire::Channels)),
        ("websocket", "spdy/4", None),
        ("h2c", "", None),
        ("", "", None),
    ];
    for (upgrade, protocol, want) in table {
        assert_eq!(Wire::of(upgrade, protocol), want, "{upgrade} {protocol}");
    }
}

#[test]
fn who_only_listens_may_say_that_they_live_or_leave() {
    let frame = |opcode: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).expect("a short payload");
        [&[0x80 | opcode, 0x80 | length, 1, 2, 3, 4][..], payload].concat()
    };
    let [ping, pong, close] = [frame(9, b"1"), frame(10, b""), frame(8, &[3, 232])];
    let (text, empty, more) = (frame(1, b"exec"), frame(2, b""), frame(0, b""));
    let table = [
        ("nothing", vec![], None),
        ("signs of life", [ping.clone(), pong, ping.clone(), close].concat(), None),
        ("text", [ping.clone(), text].concat(), Some(FrameError::Data)),
        ("no bytes of data", [ping.clone(), empty].concat(), Some(FrameError::Data)),
        ("more of what never began", [ping.clone(), more].concat(), Some(FrameError::Data)),
        (
            "another request",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Some(FrameError::Malformed("an extension that was not agreed on")),
        ),
    ];
    for (what, bytes, want) in table {
        for piece in [1, 3, 1_000] {
            let (mut guard, mut passed) = (SilenceGuard::default(), Vec::new());
            let mut pieces = bytes.chunks(piece);
            let error = pieces.find_map(|it| guard.pass(it, &mut passed).err());
            assert_eq!(error, want, "{what} in pieces of {piece}");
            let may_pass = if want.is_none() { bytes.as_slice() } else { ping.as_slice() };
            assert!(may_pass.starts_with(&passed), "{what} in pieces of {piece}: {passed:?}");
            assert!(want.is_some() || passed == bytes, "{what} in pieces of {piece}");
        }
    }
}
