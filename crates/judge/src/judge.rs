//! The order in which a write is judged: the plan, what is seen of the cluster, the rules.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use attributes::{Attributes, User};
use effects::{Cidr, Effect, Plan, Route};
use hold::Preview;
use ledger::{Action, ClassRecord, DecisionRecord, StoreError};
use payload::Redactor;
use policy::{Decision, Input, Objects, Pack, PolicyDecision};
use upstream::{NoAnswer, Served};

use crate::{
    call::Write,
    commands::commands,
    deletes, environment,
    facts::{Basis, FactsKeeper, Moment},
    history, impact,
    judgement::{Judged, Judgement, decision},
    known::{Counted, OpenHolds},
    left, own,
    preview::{Previewer, is_custom_scale},
    refusal::Refusal,
    release,
    remembered::Remembered,
    reservation::Reservation,
    said::{hides_guarded_target, more_than_said, refused_now},
    seats::Seats,
    seen::{Previewed, Seen},
    shown, undo,
    view::ClusterView,
};

/// Counting again what goes with an approved write may take so long.
const COUNT_AGAIN_TIME: Duration = Duration::from_secs(10);
/// Larger bodies are judged one after the other.
const LIGHT_BODY_MAX: usize = 256 << 10;

/// A write is judged once more where meanwhile somebody changed who serves it.
const SERVED_TRIES: usize = 2;

/// What goes with a write is counted.
#[derive(Clone, Copy, Debug)]
enum Counting {
    /// Within this time, for whoever looks at it; not where that was done for the same request.
    ToShow(Duration),
    /// Within this time, whatever is known: it is about to run.
    ToRun(Duration),
}

/// How a write is to be judged.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// Who answers for it, where the plan depends on that.
    served: Option<Served>,
}

impl Planned {
    /// Whether it is to a custom resource that the API server stores itself.
    fn is_stored(&self) -> bool {
        matches!(self.served, Some(Served::Stored(_)))
    }
}

/// Bounds that a deployment sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a hold may be late for counting what goes with it.
    pub count_time_max: Duration,
    /// A write that is not judged within this time is not sent.
    pub judge_time_max: Duration,
    /// What is kept for a replay of the writes of one user, within an hour.
    pub facts_bytes_per_agent_max: u64,
    /// Where pods have their addresses, besides what the nodes say.
    pub pod_networks: Vec<Cidr>,
}

/// Judges writes, and reads that a rule asks about.
pub struct Judge {
    /// What asks the cluster.
    pub view: ClusterView,
    /// What is remembered of earlier calls.
    pub remembered: Remembered,
    /// What is recorded of a judgement.
    pub facts: FactsKeeper,
    policies: Arc<ArcSwap<Pack>>,
    redactor: Redactor,
    open_holds: Arc<dyn OpenHolds>,
    counted: Counted,
    count_time_max: Duration,
    pod_networks: Vec<Cidr>,
    judge_time_max: Duration,
    seats: Seats,
}

/// Why a write could not be judged: it must not be sent.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// It is not known what its agent did before.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It took too long.
    #[error("it was not judged within {} seconds", .0.as_secs())]
    Late(Duration),
    /// What would tell what it does was not answered.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

impl Judge {
    /// Puts the parts together. `redactor` takes secrets out of what is shown and stored.
    pub fn new(
        view: ClusterView,
        remembered: Remembered,
        policies: Arc<ArcSwap<Pack>>,
        (redactor, open_holds): (Redactor, Arc<dyn OpenHolds>),
        settings: &Settings,
    ) -> Self {
        let facts = FactsKeeper::new(redactor.clone(), settings.facts_bytes_per_agent_max);
        let Settings { count_time_max, judge_time_max, .. } = *settings;
        let (seats, pod_networks) = (Seats::new(), settings.pod_networks.clone());
        Self {
            view,
            remembered,
            facts,
            policies,
            redactor,
            open_holds,
            counted: Counted::default(),
            count_time_max,
            pod_networks,
            judge_time_max,
            seats,
        }
    }

    /// The rules of now.
    pub fn policies(&self) -> Arc<Pack> {
        self.policies.load_full()
    }

    /// Judges a write, within what its agent may take. Asking changes nothing in the cluster.
    ///
    /// # Errors
    /// [`JudgeError`] where it could not be judged: it must not be sent.
    pub async fn judge(&self, write: &Write) -> Result<Judged, JudgeError> {
        self.judge_within(write, Counting::ToShow(self.count_time_max)).await
    }

    /// Of a dry run, what would be said were it none; `None` where that is not known. What goes with it is not
    /// counted.
    pub(crate) async fn judge_as_real(&self, dry_run: &Write) -> Option<Judged> {
        self.judge_in_turn(&dry_run.as_real()?, Counting::ToShow(Duration::ZERO)).await.ok()
    }

    /// As [`Judge::judge`], before an approved write runs: what goes with it is compared with what was
    /// shown, so counting it may take its time.
    ///
    /// # Errors
    /// As there.
    pub async fn judge_again(&self, write: &Write) -> Result<Judged, JudgeError> {
        let within = self.count_time_max.max(COUNT_AGAIN_TIME);
        self.judge_within(write, Counting::ToRun(within)).await
    }

    async fn judge_within(&self, write: &Write, counting: Counting) -> Result<Judged, JudgeError> {
        let judged = self.judge_in_turn(write, counting);
        let within = tokio::time::timeout(self.judge_time_max, judged);
        let judged = within.await.map_err(|_| JudgeError::Late(self.judge_time_max))??;
        match (&judged, write.silence.noted()) {
            // Nobody need look at what cannot run now; what is denied stays denied.
            (Judged::Decided(it), Some(no_answer)) if it.verdict.decision() != Decision::Deny => {
                Err(no_answer.into())
            }
            _ => Ok(judged),
        }
    }

    /// Beside others; where that turns out to be too large for it, once more on its own.
    async fn judge_in_turn(&self, write: &Write, counting: Counting) -> Result<Judged, StoreError> {
        let share = self.seats.share_of(&write.user.username);
        let mut is_heavy = write.body.len() > LIGHT_BODY_MAX;
        loop {
            let _seat = self.seats.seat(&share, is_heavy).await;
            write.weight.begin(is_heavy);
            let judged = share.metered(self.judge_at_once(write, counting)).await;
            if is_heavy || !write.weight.is_exceeded() {
                return judged;
            }
            is_heavy = true;
        }
    }

    /// By a plan that takes dry runs for what they say only where the API server itself stores the
    /// objects, before and after.
    async fn judge_at_once(&self, write: &Write, counting: Counting) -> Result<Judged, StoreError> {
        let (attributes, is_dry_run) = (write.attributes(), write.is_dry_run);
        let mut planned = self.planned(attributes, is_dry_run).await;
        for _ in 0..SERVED_TRIES {
            if !planned.is_stored() {
                return self.judge_as(write, &planned, counting).await;
            }
            let judged = self.judge_as(write, &planned, counting).await?;
            // INVARIANT: what another server may have answered is no dry run.
            let now = self.planned(attributes, is_dry_run).await;
            if now.served == planned.served {
                return Ok(judged);
            }
            planned = now;
        }
        let blind = Planned { plan: effects::plan(attributes, is_dry_run), served: None };
        self.judge_as(write, &blind, counting).await
    }

    /// Whether the API server would only pretend, asked for a dry run of this: the requests that it does not
    /// store itself (a token, a connection, an API of another server) run as if nothing had been said of one.
    pub async fn pretends(&self, attributes: &Attributes) -> bool {
        self.planned(attributes, true).await.plan.route == Route::DryRun
    }

    /// The plan of a request, by who answers for it now.
    pub(crate) async fn planned(&self, attributes: &Attributes, is_dry_run: bool) -> Planned {
        let served = match effects::plan_stored(attributes, is_dry_run) {
            Some(_) => Some(self.view.served(attributes).await),
            None => None,
        };
        let is_stored = matches!(served, Some(Served::Stored(_)));
        Planned { plan: effects::plan_as(attributes, is_dry_run, is_stored), served }
    }

    async fn judge_as(
        &self,
        write: &Write,
        planned: &Planned,
        counting: Counting,
    ) -> Result<Judged, StoreError> {
        // The whole judgement uses one set of policies, even if somebody swaps it meanwhile.
        let pack = self.policies.load_full();
        let attributes = write.attributes();
        let plan = pack.amend(attributes, planned.plan.clone());
        let is_stored = planned.is_stored();
        // Reviews and dry runs store nothing, so rules about writes do not apply to them.
        let is_write = plan.route.stores();
        let (first, moment, _) = self.decide(&pack, write, is_write, &plan.effects, None).await?;
        // A denial by attributes alone needs no preview: the cluster is not asked.
        if first.decision() == Decision::Deny {
            return Ok(Judged::Decided(Box::new(Judgement {
                effects: plan.effects,
                preview: Preview::default(),
                verdict: first,
                found: None,
                reservation: None,
                facts: Some(self.facts.made_from(write, is_stored, &moment, None)),
                policy: pack.digest().to_owned(),
            })));
        }
        // A preview costs the API server two requests: only a rule or a reviewer is worth them.
        let asks = pack.asks_about(&plan, attributes, &write.class);
        let needs_preview = plan.route.is_looked_at(asks, first.decision() == Decision::Hold);
        let previewed = match needs_preview {
            true => {
                let served = planned.served.as_ref();
                self.preview(write, (plan.route, served), pack.inert_keys()).await
            }
            false => Ok(Seen::default()),
        };
        let mut seen = match previewed {
            Ok(seen) => seen,
            Err(answer) if hides_guarded_target(write, &answer) => refused_now(attributes, &answer),
            Err(answer) => return Ok(Judged::Answered(*answer)),
        };
        let mut effects = more_than_said(plan.effects, std::mem::take(&mut seen.effects));
        deletes::set_options(write, seen.gone(), &mut effects);
        // Between what takes the processor for long: whoever left is not judged to the end.
        tokio::task::yield_now().await;
        let powers = self.view.accounts.weigh(&mut effects).await;
        history::add_up(&self.remembered, &mut effects).await;
        environment::weigh(&self.view, write, &seen, &mut effects).await;
        own::tell_apart(&self.remembered, write, seen.live.as_ref(), &mut effects).await;
        release::weigh(&self.view, &self.remembered, write, &seen, &mut effects).await;
        left::mark_own(&self.view, &self.remembered, write, &seen, &mut effects).await;
        let found = left::found(&self.redactor, write, &seen);
        undo::mark(&self.remembered, write, found.as_ref(), &mut effects).await;
        let (verdict, moment, reservation) =
            self.decide(&pack, write, is_write, &effects, Some(&seen)).await?;
        // Held or denied, it is not sent, and others need not count it.
        let reservation = reservation.filter(|_| verdict.decision() == Decision::Allow);
        // The decision's reason reaches the agent, who must not learn other accounts' rights from it.
        powers.tell(&mut effects);
        let seen_at = needs_preview.then_some(&mut seen);
        let facts = Some(self.facts.made_from(write, is_stored, &moment, seen_at));
        tokio::task::yield_now().await;
        let preview = self.shown(write, &effects, seen, (&verdict, counting)).await;
        let policy = pack.digest().to_owned();
        let judgement = Judgement { effects, preview, verdict, found, reservation, facts, policy };
        Ok(Judged::Decided(Box::new(judgement)))
    }

    /// What is seen of the cluster, by the way that the plan names.
    async fn preview(
        &self,
        write: &Write,
        (route, served): (Route, Option<&Served>),
        inert_keys: &BTreeSet<String>,
    ) -> Previewed {
        let attributes = write.attributes();
        let (view, remembered, redactor) = (&self.view, &self.remembered, &self.redactor);
        let pod_networks = self.pod_networks.as_slice();
        let previewer =
            Previewer { view, remembered, redactor, write, served, inert_keys, pod_networks };
        match route {
            Route::Review | Route::DryRun => Ok(Seen::default()),
            Route::Blind if attributes.is_upgrade => previewer.blind().await,
            Route::Read | Route::Blind if attributes.is_connect() => previewer.connect().await,
            Route::Blind if is_custom_scale(attributes) => previewer.custom_scale().await,
            Route::Blind if effects::writes_custom(attributes) => previewer.custom_write().await,
            Route::Read | Route::Blind => previewer.blind().await,
            Route::Ordinary | Route::Preview => previewer.change().await,
            Route::PreviewDelete => previewer.delete().await,
            Route::PreviewCollection => previewer.collection().await,
        }
    }

    /// Asks the rules. `seen` is what the preview saw of the cluster, once there is one.
    async fn decide(
        &self,
        pack: &Pack,
        write: &Write,
        is_write: bool,
        effects: &[Effect],
        seen: Option<&Seen>,
    ) -> Result<(PolicyDecision, Moment, Option<Reservation>), StoreError> {
        let now = jiff::Timestamp::now();
        let username = write.user.username.as_str();
        let recent = &self.remembered.recent;
        let mut reservation = None;
        let (earlier, window) = if pack.needs_window() {
            let earlier = match seen {
                None => recent.window(username, now).await?,
                Some(_) => {
                    let made = Reservation::make(&self.remembered, write, effects, now).await?;
                    reservation = Some(made.0);
                    made.1
                }
            };
            let window = memory::record(&earlier);
            (earlier, window)
        } else {
            (Vec::new(), recent.window_record(username, now).await?)
        };
        let verdict = pack.decide(&Input {
            attributes: write.attributes(),
            user: &write.user,
            class: &write.class,
            is_write,
            effects,
            objects: seen.map_or(Objects::Later, Seen::objects),
            changes: seen.map(|seen| seen.changes.as_slice()).unwrap_or_default(),
            earlier: &earlier,
            redact: &|object| write.redacted(&self.redactor, object),
            now,
        });
        Ok((verdict, Moment { at: now, window }, reservation))
    }

    /// What the reviewer sees; what goes with the write is worked out where somebody is asked.
    async fn shown(
        &self,
        write: &Write,
        effects: &[Effect],
        seen: Seen,
        (verdict, counting): (&PolicyDecision, Counting),
    ) -> Preview {
        // What passes asks for something too: it may have been denied in another form.
        let asked = shown::asked(&self.redactor, write, effects, &seen.changes);
        if verdict.decision() != Decision::Hold {
            return Preview { asked, ..shown::preview(&self.redactor, effects, seen) };
        }
        let live = seen.live.clone();
        let (commands, cut) = commands(&self.redactor, write, &seen);
        let mut now = Preview { asked, commands, ..shown::preview(&self.redactor, effects, seen) };
        now.cut.extend(cut);
        let within = match counting {
            Counting::ToRun(within) => within,
            Counting::ToShow(within) => {
                let before = self.open_holds.shown(write).await;
                let counted = before.and_then(|it| self.counted.apply(it, &now, &self.redactor));
                if let Some(counted) = counted {
                    return counted;
                }
                within
            }
        };
        let impact = impact::goes_with(&self.view, within, write, effects, live.as_ref()).await;
        let preview = shown::with_impact(&self.redactor, now, impact);
        self.counted.remember(&preview);
        preview
    }

    /// Counts a write that is sent now, for rules that count.
    ///
    /// # Errors
    /// [`StoreError`]: it is not counted, and must not be sent.
    pub async fn remember(
        &self,
        write: &Write,
        judgement: &mut Judgement,
        at: jiff::Timestamp,
    ) -> Result<(), StoreError> {
        let (recent, audit_id) = (&self.remembered.recent, write.call.audit_id.as_str());
        recent.remember(&write.user.username, audit_id, &judgement.effects, at).await?;
        if let Some(reservation) = judgement.reservation.take() {
            reservation.keep();
        }
        Ok(())
    }

    /// The denial of a write that was judged.
    pub async fn refuse(&self, write: &Write, mut judgement: Judgement) -> Box<Refusal> {
        let words = self.view.denial(&write.user, write.attributes(), &judgement.verdict).await;
        let decision = judgement.decision(Action::Deny);
        Box::new(Refusal { words, decision, basis: self.facts.basis(write, &mut judgement) })
    }

    /// The policies, where any of them asks about this read.
    pub fn asked_about_read(&self, attributes: &Attributes) -> Option<Arc<Pack>> {
        let pack = self.policies.load();
        pack.asks_about_read(attributes).then(|| Arc::clone(&pack))
    }

    /// Whether policy lets a read pass, what it said, and how the namespace is classed.
    ///
    /// # Errors
    /// [`Refusal`] where it does not.
    pub async fn judge_read(
        &self,
        pack: &Pack,
        attributes: &Attributes,
        user: &User,
    ) -> Result<(DecisionRecord, ClassRecord), Box<Refusal>> {
        let (class, _) = self.view.class_of(attributes).await;
        let verdict = pack.decide_read(attributes, user, &class, jiff::Timestamp::now());
        let action = match verdict.decision() {
            Decision::Allow => Action::Allow,
            Decision::Hold | Decision::Deny => Action::Deny,
        };
        let decision = decision(action, &verdict, pack.digest());
        let class = ClassRecord::from(&class);
        match action {
            Action::Allow => Ok((decision, class)),
            _ => {
                let words = self.view.denial(user, attributes, &verdict).await;
                let basis = Basis { class: Some(class), ..Basis::default() };
                Err(Box::new(Refusal { words, decision, basis }))
            }
        }
    }
}
