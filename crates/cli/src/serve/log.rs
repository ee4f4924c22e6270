//! The log of `serve`, on standard error.

/// Logs to standard error from now on, as `AGENT_SHIELD_LOG` filters it.
pub(super) fn log_to_stderr(format: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("AGENT_SHIELD_LOG")
        // The client's own warnings are structs; whoever asks tells what became of it, in words.
        .unwrap_or_else(|_| "info,kube=error".into());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match format {
        "json" => builder.json().flatten_event(true).init(),
        _ => builder.init(),
    }
}
