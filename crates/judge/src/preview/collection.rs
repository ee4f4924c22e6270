//! What a delete of a collection takes.

use effects::Unknown;
use hold::Target;
use serde_json::Value;

use super::unseen::Previewer;
use crate::{
    dry_run::{self, DryRun},
    seen::{Previewed, Seen},
};

impl Previewer<'_> {
    /// The dry run answers with all that matches.
    pub(crate) async fn collection(&self) -> Previewed {
        let mut list = match dry_run::of_delete(self.view, self.write).await {
            DryRun::Answered(answer) => return Err(answer),
            DryRun::Would(list) => list.unwrap_or_default(),
            DryRun::Nothing(why) => return self.unknown_because(why).await,
        };
        let Some(items) = upstream::take_items(&mut list) else {
            return self.unknown_because(Unknown::NotListed).await;
        };
        let mut seen = Seen {
            effects: effects::of_delete(self.write.attributes(), &items),
            targets: items.iter().map(target).collect(),
            ..Seen::default()
        };
        // Sorted, so that the order of a list does not void an approval.
        seen.targets.sort();
        if items.is_empty() {
            seen.notes.push("nothing matches now".to_owned());
        }
        seen.items = Some(items);
        Ok(seen)
    }
}

fn target(object: &Value) -> Target {
    let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Target { name: text("/metadata/name"), uid: text("/metadata/uid") }
}
