//! `watch`: the queue as it lives. On a terminal a screen with keys, elsewhere a line for each change.
//!
//! [`model`] decides what a key does and [`view`] what is on the screen; here is only what waits:
//! keys, answers, the clock and signals.

mod model;
mod queue_lines;
mod screen;
mod view;

use std::{collections::HashMap, future::Future, io::IsTerminal, time::Duration};

use anyhow::{Context, Result};
use api::body::{HoldDetail, HoldSummary, List};
use clap::Args;
use crossterm::event::{Event, EventStream};
use futures_util::{
    StreamExt,
    future::{FutureExt, LocalBoxFuture},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use model::{Action, Busy, Failure, Model};
use queue_lines::QueueLines;
use screen::Screen;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use view::{View, hold_rows};

use crate::{
    client::{Client, ClientError},
    holds, live_names,
    output::print,
    program, restricted,
    urls::query,
};

const POLL_EVERY: Duration = Duration::from_secs(1);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Watch the holds that wait for a decision, and decide them.
///
/// On a terminal: j and k or the arrows move, Enter shows a hold, a approves it (it is shown first,
/// and y confirms, or a reason if a rule requires one), d denies it with a reason, q quits.
/// Otherwise, and with --once, it prints a line for each new or changed hold: TIME ID STATE SENTENCE.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agent-shield watch
  agent-shield watch --namespace payments
  agent-shield watch --once | wc -l
  agent-shield watch | while read -r time id state text; do notify-send \"$state\" \"$text\"; done")]
pub(crate) struct WatchArgs {
    /// Only this namespace.
    #[arg(long, short, add = live_names::namespaces())]
    namespace: Option<String>,
    /// Only this agent.
    #[arg(long, add = live_names::agents())]
    agent: Option<String>,
    /// Print the open holds, one line each, and end.
    #[arg(long)]
    once: bool,
}

impl WatchArgs {
    fn path(&self, state: Option<&str>) -> String {
        let query = query(&[
            ("state", state.map(str::to_owned)),
            ("namespace", self.namespace.clone()),
            ("user", self.agent.clone()),
        ]);
        format!("/v1/holds{query}")
    }
}

/// Runs until it is told to end, or, with `--once`, one time.
pub(crate) async fn run(args: &WatchArgs, client: Client) -> Result<()> {
    // Keys come from a terminal as well as the screen goes to one.
    let is_screen = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    match is_screen && !args.once {
        true => on_screen(&args.path(Some("pending")), args.namespace.as_deref(), client).await,
        false => in_lines(&args.path(None), args.namespace.as_deref(), args.once, client).await,
    }
}

/// What waits as it begins, with what to do where that is refused.
async fn first(client: &Client, path: &str, namespace: Option<&str>) -> Result<Vec<HoldSummary>> {
    let holds = client.get::<List<HoldSummary>>(path).await;
    let holds = holds.map_err(|error| restricted::hinted(error, namespace))?;
    restricted::warn(holds.restricted);
    Ok(holds.items)
}

async fn in_lines(path: &str, namespace: Option<&str>, once: bool, client: Client) -> Result<()> {
    let mut told = QueueLines::default();
    let mut holds = first(&client, path, namespace).await?;
    let mut was_silent = false;
    loop {
        let (lines, gone) = told.changes(&holds);
        for line in lines {
            print(&line)?;
        }
        for id in gone {
            let hold = holds::fetch(&client, &id).await.ok();
            print(&QueueLines::end(&id, hold.as_ref()))?;
        }
        if once {
            return Ok(());
        }
        holds = loop {
            sleep(POLL_EVERY).await;
            match in_time(client.get::<List<HoldSummary>>(path)).await {
                Ok(holds) => break holds.items,
                Err(error) if is_refusal(&error) => return Err(error),
                Err(error) if !was_silent => {
                    was_silent = true;
                    anstream::eprintln!("warning: {}; trying again", first_line(&error));
                }
                Err(_) => {}
            }
        };
        if std::mem::take(&mut was_silent) {
            anstream::eprintln!("warning: {} answers again", client.url());
        }
    }
}

/// What came back from the server.
enum Answer {
    Polled(Result<Vec<HoldSummary>>),
    Read(String, Result<Box<HoldDetail>>),
    Decided(Result<String>),
}

/// What the server is asked at the same time.
type Asked<'a> = FuturesUnordered<LocalBoxFuture<'a, Answer>>;

async fn on_screen(path: &str, namespace: Option<&str>, client: Client) -> Result<()> {
    // Before the screen is taken: an error at the start is to be read, and ends the command.
    let holds = first(&client, path, namespace).await?;
    let client = client.quiet();
    let mut screen = Screen::enter().context("cannot draw on this terminal")?;
    let mut model = Model::new(holds, Screen::size(), hold_rows);
    let ended = live(path, &client, &mut screen, &mut model).await;
    drop(screen);
    if let Some(Busy::Approve { id } | Busy::Deny { id }) = &model.busy {
        eprintln!(
            "warning: whether your decision on {id} arrived is not known here: `{} show {id}` tells",
            program::name()
        );
    }
    ended
}

async fn live(path: &str, client: &Client, screen: &mut Screen, model: &mut Model) -> Result<()> {
    let mut events = EventStream::new();
    let mut asked: Asked<'_> = FuturesUnordered::new();
    let mut tick = interval(POLL_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_polling = false;
    let mut ending = Box::pin(told_to_end()?);
    loop {
        screen.draw(View { model, now: Timestamp::now() })?;
        let action = tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Resize(..))) => {
                    model.size = Screen::size();
                    None
                }
                Some(Ok(event)) => screen::key(event).and_then(|key| model.press(key)),
                Some(Err(error)) => return Err(error).context("cannot read keys"),
                None => Some(Action::Quit), // The terminal is gone.
            },
            Some(answer) = asked.next() => {
                is_polling &= !matches!(answer, Answer::Polled(_));
                take(model, answer)?
            }
            _ = tick.tick() => {
                if !std::mem::replace(&mut is_polling, true) {
                    asked.push(poll(client, path).boxed_local());
                }
                None
            }
            () = &mut ending => Some(Action::Quit),
        };
        match action {
            None => {}
            Some(Action::Quit) => return Ok(()),
            Some(action) => asked.push(ask(client, action).boxed_local()),
        }
    }
}

/// Hands an answer to the model; a poll that is refused ends the command with what to do.
fn take(model: &mut Model, answer: Answer) -> Result<Option<Action>> {
    match answer {
        Answer::Polled(Err(error)) if is_refusal(&error) => return Err(error),
        Answer::Polled(holds) => model.polled(holds.map_err(|error| first_line(&error))),
        Answer::Read(id, hold) => {
            model.read(&id, hold.map(|hold| *hold).map_err(|error| failure(&error)));
        }
        Answer::Decided(decided) => {
            return Ok(model.decided(decided.map_err(|error| failure(&error))));
        }
    }
    Ok(None)
}

async fn poll(client: &Client, path: &str) -> Answer {
    let holds = in_time(client.get::<List<HoldSummary>>(path)).await;
    Answer::Polled(holds.map(|holds| holds.items))
}

async fn ask(client: &Client, action: Action) -> Answer {
    match action {
        Action::Read { id } => {
            let hold = in_time(holds::fetch(client, &id)).await;
            Answer::Read(id, hold.map(Box::new))
        }
        Action::Approve { id, digest, reason } => {
            let approved = in_time(holds::approve(client, &id, reason, digest)).await;
            Answer::Decided(approved.map(|hold| holds::taken(&hold.summary)))
        }
        Action::Deny { id, reason } => {
            Answer::Decided(in_time(holds::deny(client, &id, reason)).await)
        }
        Action::Quit => Answer::Decided(Ok(String::new())), // Never asked.
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    let seconds = ANSWER_TIME_MAX.as_secs();
    timeout(ANSWER_TIME_MAX, answer)
        .await
        .with_context(|| format!("no answer within {seconds} seconds"))?
}

/// Who may not list, or is not known, will not be by waiting.
fn is_refusal(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<ClientError>();
    matches!(
        error,
        Some(ClientError::Answered { code: 401 | 403, .. } | ClientError::OtherDoor { .. })
    )
}

fn failure(error: &anyhow::Error) -> Failure {
    let why = first_line(error);
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Answered { code: 409, .. }) => Failure::Changed(why),
        // The server's own trouble may have come after the decision was stored.
        Some(ClientError::Answered { code: 500.., .. }) => Failure::Silent(why),
        Some(
            ClientError::Answered { .. }
            | ClientError::NoSuchHold(_)
            | ClientError::OtherDoor { .. },
        ) => Failure::Refused(why),
        Some(ClientError::Unreachable { .. }) | None => Failure::Silent(why),
    }
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Ends when a signal asks the process to.
fn told_to_end() -> Result<impl Future<Output = ()>> {
    let mut signals = HashMap::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        signals.insert(kind, signal(kind)?);
    }
    Ok(async move {
        let each = signals.values_mut().map(|it| it.recv().boxed());
        futures_util::future::select_all(each).await;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_refused_from_what_is_unknown() {
        let answered = |code| ClientError::Answered {
            code,
            message: "why".into(),
            hint: Some("what to do".into()),
        };
        let silent = ClientError::Unreachable { url: "u".into(), why: "w".into() };
        let table = [
            (answered(409).into(), Failure::Changed("why".into()), false),
            (answered(403).into(), Failure::Refused("why".into()), true),
            (answered(404).into(), Failure::Refused("why".into()), false),
            (answered(503).into(), Failure::Silent("why".into()), false),
            (silent.into(), Failure::Silent("cannot reach u: w".into()), false),
            (anyhow::anyhow!("slow"), Failure::Silent("slow".into()), false),
        ];
        for (error, want, ends) in table {
            assert_eq!(failure(&error), want);
            assert_eq!(is_refusal(&error), ends);
        }
    }
}
