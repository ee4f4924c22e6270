//! A sign of life on standard error while the server is waited for; only for somebody who looks.

use std::{future::Future, io::IsTerminal, pin::pin, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// An answer that is quicker than this needs no sign.
const PATIENCE: Duration = Duration::from_millis(300);
const FRAME: Duration = Duration::from_millis(100);

/// Waits for `answer`, with a spinner after a moment where both outputs are a terminal.
///
/// # Cancel safety
/// Dropping it drops `answer` and takes the spinner off the screen.
pub(crate) async fn during<T>(message: String, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    // Output that is piped somewhere is read by a program, and nobody reads what stands beside it.
    if !std::io::stderr().is_terminal() || !std::io::stdout().is_terminal() {
        return answer.await;
    }
    tokio::select! {
        answer = &mut answer => return answer,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let _spinner = Spinner::new(message);
    answer.await
}

/// A bar for so many steps, on standard error; only for somebody who looks, as the spinner.
pub(crate) fn bar(message: &'static str, length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() || !std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:32} {percent:>3} % ({eta} left)");
    let bar = ProgressBar::new(length).with_message(message);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

struct Spinner(ProgressBar);

impl Spinner {
    fn new(message: String) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        let bar = ProgressBar::new_spinner();
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(message);
        bar.enable_steady_tick(FRAME);
        Self(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_the_answer_through() -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let slow = async {
            tokio::time::sleep(PATIENCE + FRAME).await;
            7
        };
        assert_eq!(runtime.block_on(during("waits".to_owned(), slow)), 7);
        Ok(())
    }
}
