//! What a delete of one object takes.

use effects::describe;

use super::unseen::Previewer;
use crate::{
    dry_run::{self, DryRun},
    replaced,
    seen::{Live, Previewed, Seen},
};

impl Previewer<'_> {
    /// Reads the object first: the dry run's answer may be without it.
    pub(crate) async fn delete(&self) -> Previewed {
        let attributes = self.write.attributes();
        let live = self.view.live(self.write).await;
        let mut seen = match dry_run::of_delete(self.view, self.write).await {
            DryRun::Answered(answer) => return Err(answer),
            DryRun::Would(_) => Seen::default(),
            DryRun::Nothing(why) => self.blind_because(why).await?,
        };
        match live {
            Live::Is(object) => {
                let replaced = match attributes.resource.as_str() {
                    "pods" => replaced::pod(self.view, self.remembered, self.write, &object).await,
                    _ => None,
                };
                seen.effects = replaced.unwrap_or_else(|| {
                    effects::of_delete(attributes, std::slice::from_ref(&object))
                });
                // The object is known even where the delete itself has no dry run.
                seen.unknown = None;
                seen.live = Some(object);
                self.compare(&mut seen);
            }
            Live::IsNot => seen.notes.push("there is no such object now".to_owned()),
            Live::Hidden(why) => {
                seen.notes.push(describe::reason(&why));
                seen.unknown = Some(why);
            }
        }
        Ok(seen)
    }
}
