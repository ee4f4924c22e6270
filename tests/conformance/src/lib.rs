//! One input to us and to Kubernetes' own Go code; see `tests/`.
