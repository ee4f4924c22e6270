//! Whose tokens came with entries: what was not waited for when the call was forwarded.
//!
//! Tokens that were asked about lately need no question. Others are asked about beside them, some at a
//! time, so that a flood of unknown tokens delays nobody whose token is known.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use attributes::User;
use authn::{TokenError, Tokens};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ledger::{Entry, Identity};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    nobody::Nobodies,
    waiting::{Cause, Waiting},
};

/// What waits for a name, at most, in bytes: of everybody, and of one address.
const BYTES_MAX: usize = 8 << 20;
const BYTES_PER_ADDRESS_MAX: usize = 2 << 20;
/// Tokens that are asked about at the same time.
const QUESTIONS_MAX: usize = 16;
/// What is left at the end is asked about for so long.
const STOP_TIME_MAX: Duration = Duration::from_millis(500);

/// What a token is to an entry.
pub(crate) enum Known {
    /// Whoever it belongs to sent the call.
    Unknown,
    /// The API server has answered 401: only a token that is known all the same needs a name.
    Refused,
}

struct Unnamed {
    entry: Entry,
    token: Arc<str>,
    known: Known,
    _room: Room,
}

/// Bytes of entries that wait for a name.
#[derive(Default)]
struct Rooms {
    all: AtomicUsize,
    by_address: Mutex<HashMap<String, usize>>,
}

/// The place of one entry; dropped, it is free again.
struct Room {
    rooms: Arc<Rooms>,
    address: String,
    bytes: usize,
}

impl Rooms {
    fn take(self: &Arc<Self>, entry: &Entry) -> Option<Room> {
        let bytes = entry.weight();
        let address = entry.request.as_ref().map_or("", |it| it.source_ip.as_str());
        let mut by_address = self.by_address.lock();
        let of = by_address.get(address).copied().unwrap_or_default().saturating_add(bytes);
        let all = self.all.load(Relaxed).saturating_add(bytes);
        if of > BYTES_PER_ADDRESS_MAX || all > BYTES_MAX {
            return None;
        }
        self.all.store(all, Relaxed);
        by_address.insert(address.to_owned(), of);
        Some(Room { rooms: Arc::clone(self), address: address.to_owned(), bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut by_address = self.rooms.by_address.lock();
        self.rooms.all.fetch_sub(self.bytes, Relaxed);
        let of = by_address.get(&self.address).copied().unwrap_or_default();
        match of.saturating_sub(self.bytes) {
            0 => by_address.remove(&self.address),
            left => by_address.insert(std::mem::take(&mut self.address), left),
        };
    }
}

/// The way in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Names {
    sender: mpsc::UnboundedSender<Unnamed>,
    rooms: Arc<Rooms>,
    waiting: Arc<Waiting>,
}

impl Names {
    /// The way in, and what finds the names out until `stop`.
    pub(crate) fn new(
        tokens: Tokens,
        waiting: &Arc<Waiting>,
        nobodies: &Arc<Nobodies>,
    ) -> (Self, Namer) {
        // Bounded by `Rooms`, in bytes.
        let (sender, receiver) = mpsc::unbounded_channel();
        let names = Self { sender, rooms: Arc::default(), waiting: Arc::clone(waiting) };
        let namer = Namer {
            receiver,
            tokens,
            waiting: Arc::clone(waiting),
            nobodies: Arc::clone(nobodies),
            by_token: HashMap::new(),
            to_ask: VecDeque::new(),
        };
        (names, namer)
    }

    /// An entry whose user is whoever this token belongs to.
    pub(crate) fn add(&self, entry: Entry, token: Arc<str>, known: Known) {
        match self.rooms.take(&entry) {
            Some(room) => {
                // It fails where everything has ended: nobody writes any more.
                let _ = self.sender.send(Unnamed { entry, token, known, _room: room });
            }
            None => self.waiting.lose(Cause::Names, &entry),
        }
    }
}

/// Finds out whose tokens they are.
pub(crate) struct Namer {
    receiver: mpsc::UnboundedReceiver<Unnamed>,
    tokens: Tokens,
    waiting: Arc<Waiting>,
    nobodies: Arc<Nobodies>,
    /// What waits for the answer about a token.
    by_token: HashMap<Arc<str>, Vec<Unnamed>>,
    /// Tokens that are not being asked about yet.
    to_ask: VecDeque<Arc<str>>,
}

impl Namer {
    /// Names entries until `stop`, and then, for a moment, those that are left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut asked = FuturesUnordered::new();
        let ended = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_TIME_MAX).await;
        };
        tokio::pin!(ended);
        loop {
            while asked.len() < QUESTIONS_MAX
                && let Some(token) = self.to_ask.pop_front()
            {
                asked.push(ask(self.tokens.clone(), token));
            }
            let idle = asked.is_empty() && stop.is_cancelled();
            tokio::select! {
                biased;
                Some((token, answer)) = asked.next(), if !asked.is_empty() => {
                    self.answered(&token, &answer);
                }
                Some(unnamed) = self.receiver.recv() => self.take(unnamed).await,
                () = &mut ended => break,
                () = std::future::ready(()), if idle => break,
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
        let unasked = TokenError::Unavailable("agent-shield stopped".to_owned());
        let left: Vec<Arc<str>> = self.by_token.keys().cloned().collect();
        for token in left {
            self.answered(&token, &Err(unasked.clone()));
        }
    }

    async fn take(&mut self, unnamed: Unnamed) {
        let remembered = self.tokens.remembered(&unnamed.token).await;
        match (remembered, &unnamed.known) {
            (Some(answer), _) => self.named(unnamed, &answer),
            (None, Known::Refused) => self.named(unnamed, &Err(TokenError::Unauthenticated)),
            (None, Known::Unknown) => {
                let token = Arc::clone(&unnamed.token);
                let waiting = self.by_token.entry(Arc::clone(&token)).or_default();
                if waiting.is_empty() {
                    self.to_ask.push_back(token);
                }
                waiting.push(unnamed);
            }
        }
    }

    fn answered(&mut self, token: &Arc<str>, answer: &Result<User, TokenError>) {
        for unnamed in self.by_token.remove(token).unwrap_or_default() {
            self.named(unnamed, answer);
        }
    }

    fn named(&self, unnamed: Unnamed, answer: &Result<User, TokenError>) {
        let mut entry = unnamed.entry;
        let entry = match answer {
            Ok(user) => {
                entry.user = Some(Identity::from(user));
                Some(entry)
            }
            Err(error) => {
                let noted = entry.note.take().map(|it| format!("{it}; ")).unwrap_or_default();
                entry.note = Some(format!("{noted}not authenticated: {error}"));
                match error {
                    TokenError::Unauthenticated => self.nobodies.tell(entry, Instant::now()),
                    TokenError::NoAnswer(_) | TokenError::Unavailable(_) => Some(entry),
                }
            }
        };
        entry.into_iter().for_each(|entry| self.waiting.add(entry));
    }
}

async fn ask(tokens: Tokens, token: Arc<str>) -> (Arc<str>, Result<User, TokenError>) {
    let answer = tokens.user(&token).await;
    (token, answer)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ledger::{RequestRecord, Stage};

    use super::*;

    fn entry(address: &str) -> Entry {
        let request = RequestRecord {
            source_ip: address.into(),
            request_uri: "x".repeat(16 << 10),
            ..RequestRecord::default()
        };
        Entry {
            request: Some(request),
            ..Entry::new(Timestamp::UNIX_EPOCH, "a", Stage::ResponseComplete)
        }
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let rooms: Arc<Rooms> = Arc::default();
        let take = |address: &str| {
            (0..1_000).map_while(|_| rooms.take(&entry(address))).collect::<Vec<_>>()
        };
        let first = take("10.0.0.1");
        assert!(first.len() * (16 << 10) <= BYTES_PER_ADDRESS_MAX && !first.is_empty());
        let others: Vec<_> = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"].map(take).into();
        let (second, fifth) = (others[0].len(), others[3].len());
        assert_eq!((second, fifth < 8), (first.len(), true), "all of them together");
        drop((first, others));
        assert!(rooms.by_address.lock().is_empty() && rooms.all.load(Relaxed) == 0);
    }
}
