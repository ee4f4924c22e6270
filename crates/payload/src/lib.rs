//! What is sent: body bytes and media type -> a JSON tree.
