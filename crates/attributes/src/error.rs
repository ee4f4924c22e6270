//! Why a request is refused before anything else: it can be read in two ways.

/// Every variant is a 400, in the words of who sent the request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AttributesError {
    /// Not one of the seven methods of the Kubernetes API.
    #[error("method `{0}` is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
    Method(String),
    /// `https://host/path`, `host:port`, `*`.
    #[error("the request target must be a path that begins with `/`")]
    Form,
    /// A byte that no client sends unescaped.
    #[error("the request target contains the byte 0x{0:02x}, which must be percent-encoded")]
    Byte(u8),
    /// `//`: Go keeps an empty segment, others drop it.
    #[error("the path contains `//`, which can be read in two ways")]
    EmptySegment,
    /// `.` or `..`: Go keeps it, others resolve it.
    #[error("the path contains `.` or `..` as a segment, which can be read in two ways")]
    DotSegment,
    /// `%2F` is a separator to the API server, `%70` a letter that need not be encoded.
    #[error("the path contains the escape `{0}`, which can be read in two ways")]
    Encoded(String),
    /// `%` and something that is not hexadecimal: Go drops such a query pair.
    #[error("a `%` in the {place} is not followed by two hexadecimal digits")]
    BadEscape {
        /// `path` or `query`.
        place: &'static str,
    },
    /// Go drops a query pair with `;`, others split on it.
    #[error("the query contains `;`, which can be read in two ways")]
    Semicolon,
    /// Bytes that are no text.
    #[error("the {place} is not UTF-8")]
    NotUtf8 {
        /// `path` or `query`.
        place: &'static str,
    },
    /// The first counts for Go, the last for others.
    #[error("the query option `{0}` is given twice")]
    Twice(String),
    /// The server knows `All` alone.
    #[error("dryRun must be `All`, not `{0}`")]
    DryRun(String),
    /// RequestInfo forgets which object a list is limited to where another option does not decode.
    #[error("`fieldSelector` names one object, and `{0}` beside it can be read in two ways")]
    Selector(&'static str),
    /// A bare `/api/v1/watch`.
    #[error("the path names no resource")]
    NoResource,
    /// Two of a header that decides who asks or what is sent.
    #[error("the header `{0}` is given twice")]
    TwoHeaders(&'static str),
    /// `Connection: Impersonate-User` would make a proxy drop the header it has just set.
    #[error("`Connection` may not name `{0}`")]
    Connection(String),
    /// `X_Remote_User` is an identity header to some, and nothing to others.
    #[error("the header `{0}` looks like one that carries an identity: remove it")]
    LookAlike(String),
    /// `gzip, chunked`, or two of them.
    #[error("`Transfer-Encoding` must be `chunked`, once")]
    TransferEncoding,
    /// Its bytes would be the first of the tunnel to some.
    #[error("a request to upgrade may not have a body of its own")]
    UpgradeBody,
    /// A body that nobody would decode.
    #[error("the API server does not decode a request body in `{0}`")]
    ContentEncoding(String),
    /// Words after the token.
    #[error("`Authorization` contains more than one bearer token")]
    Authorization,
    /// A token where only browsers put one.
    #[error("a token may not be in `Sec-WebSocket-Protocol`: send it as `Authorization: Bearer`")]
    Subprotocol,
    /// An agent that asks to be somebody else; a 403.
    #[error("an agent may not impersonate anybody: remove the header `{0}`")]
    Impersonates(String),
}
