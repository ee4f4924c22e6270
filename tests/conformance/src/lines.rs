//! The generator: mostly what clients send, and every part of it disturbed now and then.

use crate::Line;

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
const STARTS: [&str; 10] = [
    "/api/v1",
    "/api/v1",
    "/apis/apps/v1",
    "/apis/batch/v1",
    "/apis/rbac.authorization.k8s.io/v1",
    "/api",
    "/apis",
    "/apis/ex.io",
    "/version",
    "",
];
const SEGMENTS: [&str; 20] = [
    "namespaces",
    "namespaces",
    "prod",
    "dev",
    "pods",
    "deployments",
    "nodes",
    "services",
    "x",
    "status",
    "finalize",
    "scale",
    "exec",
    "proxy",
    "watch",
    "eviction",
    "log",
    "token",
    "default",
    "kube-system",
];
const ODD_SEGMENTS: [&str; 22] = [
    "a%3Ab",
    "web;v=1",
    "é",
    "%C3%A9",
    "%E2%80%AE",
    "\u{202e}",
    "%ff",
    "..",
    ".",
    "",
    "%2F",
    "%2f",
    "%41",
    "%25",
    "%00",
    "%20",
    "a b",
    "@",
    "~",
    "system:node",
    "https:kubernetes:443",
    "*",
];
const OPTIONS: [&str; 30] = [
    "watch=true",
    "watch=1",
    "watch=0",
    "watch=False",
    "watch",
    "watch=",
    "WATCH=true",
    "limit=5",
    "limit=",
    "limit=5x",
    "timeoutSeconds=1",
    "timeoutSeconds=+1",
    "timeoutSeconds=99999999999999999999",
    "dryRun=All",
    "dryRun=all",
    "labelSelector=app%3Dx",
    "labelSelector=app+in+(a,b),!c",
    "labelSelector=a;b",
    "labelSelector==",
    "labelSelector=-a",
    "x=%zz",
    "a=b",
    "a=1&a=2",
    "pretty",
    "resourceVersion=0",
    "allowWatchBookmarks=x",
    "sendInitialEvents=true",
    "%77atch=true",
    "wa+tch=true",
    "=x",
];
const TERMS: [&str; 16] = [
    "metadata.name=x",
    "metadata.name==x",
    "metadata.name!=x",
    "metadata.name=",
    "metadata.name=a",
    "metadata.name=..",
    "metadata.name=a/b",
    "metadata.name=a%b",
    "metadata.name=a\\,b",
    "metadata.name=a\\b",
    "metadata.name=a=b",
    "metadata.name",
    "spec.nodeName=n",
    "status.phase!=Running",
    "=x",
    "",
];
const DISTURBANCES: [&str; 20] = [
    "/", "//", "%", "%2", "%2F", "%70", "?", "&", "=", ";", "+", "#", "\\", ",", "A", " ", "\t",
    "é", "%0a", ":",
];
const ABSOLUTE: [&str; 6] = ["https://h", "http://h:1", "h:443", "//h", "*", "https://u@h"];

/// An endless row of request lines, the same for the same seed.
pub struct Lines(u64);

impl Lines {
    /// From a seed other than 0.
    pub fn new(seed: u64) -> Self {
        // Seeds that lie close together begin alike.
        let mut lines = Self(seed);
        for _ in 0..16 {
            lines.below(2);
        }
        lines
    }

    /// xorshift64*: repeatable, and nothing here needs better.
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let product = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(product).unwrap_or(0) % n
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn target(&mut self) -> String {
        let mut target = self.pick(&STARTS).to_owned();
        if self.once_in(10) {
            target.push_str(self.pick(&["/watch", "/proxy", "/watch/watch", "/Watch"]));
        }
        let segments = if self.once_in(100) { 40 } else { 7 };
        for _ in 0..self.below(segments) {
            target.push('/');
            target.push_str(&self.segment());
        }
        if self.once_in(12) {
            target.push('/');
        }
        for n in 0..self.below(4) {
            target.push(if n == 0 { '?' } else { '&' });
            target.push_str(&self.option());
        }
        if self.once_in(60) {
            target.insert_str(0, self.pick(&ABSOLUTE));
        }
        if self.once_in(8) {
            for _ in 0..=self.below(3) {
                self.disturb(&mut target);
            }
        }
        target
    }

    fn segment(&mut self) -> String {
        match self.below(60) {
            0..=4 => self.pick(&ODD_SEGMENTS).to_owned(),
            5 => "a".repeat(1 + self.below(300)),
            6..=8 => {
                let segment = self.pick(&SEGMENTS);
                self.escaped(segment, 4)
            }
            _ => self.pick(&SEGMENTS).to_owned(),
        }
    }

    fn option(&mut self) -> String {
        if !self.once_in(4) {
            return self.pick(&OPTIONS).to_owned();
        }
        let terms: Vec<&str> = (0..=self.below(3)).map(|_| self.pick(&TERMS)).collect();
        let selector = terms.join(",").replace('%', "%25");
        format!("fieldSelector={}", self.escaped(&selector, 3))
    }

    /// The text with some of what is not a letter percent-encoded, and once in a while a letter too.
    fn escaped(&mut self, text: &str, often: usize) -> String {
        let mut escaped = String::new();
        for char in text.chars() {
            let rare = if char.is_ascii_alphanumeric() { often * 20 } else { often };
            if char.is_ascii() && char != '%' && self.once_in(rare) {
                let byte = u32::from(char);
                escaped.push_str(&match self.once_in(2) {
                    true => format!("%{byte:02X}"),
                    false => format!("%{byte:02x}"),
                });
            } else {
                escaped.push(char);
            }
        }
        escaped
    }

    /// Puts something in, takes something out or says something twice, anywhere.
    fn disturb(&mut self, target: &mut String) {
        let place = self.below(target.len() + 1);
        let at = (0..=place).rev().find(|it| target.is_char_boundary(*it)).unwrap_or(0);
        let end = target.len().min(at + 1 + self.below(4));
        match self.below(4) {
            0 | 1 => target.insert_str(at, self.pick(&DISTURBANCES)),
            2 if target.is_char_boundary(end) => target.replace_range(at..end, ""),
            3 if target.is_char_boundary(end) => {
                let again = target[at..end].to_owned();
                target.insert_str(at, &again);
            }
            _ => {}
        }
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        Some(Line { method: METHODS[self.below(METHODS.len())], target: self.target() })
    }
}
