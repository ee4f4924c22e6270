//! What a write to a custom resource says by its own words: an aggregated API might take a dry run for
//! real, so nobody is asked what would come of it.

use effects::{Effect, Known, Unknown};

use super::unseen::Previewer;
use crate::seen::Previewed;

impl Previewer<'_> {
    /// What the body of a create, update or patch does beyond its own object.
    pub(crate) async fn custom_write(&self) -> Previewed {
        let mut seen = self.blind().await?;
        tokio::task::yield_now().await;
        seen.effects.extend(self.said());
        Ok(seen)
    }

    fn said(&self) -> Vec<Effect> {
        let attributes = self.write.attributes();
        let known = Known::of(self.view.namespaces.config()).with_inert_keys(self.inert_keys);
        let Ok(body) = payload::read(self.write.media, &self.write.body) else {
            return vec![effects::unknown(attributes, Unknown::BodyUnreadable)];
        };
        match attributes.verb.as_str() {
            "patch" => effects::of_custom_patch(attributes, &known, &body),
            _ => effects::of_custom(attributes, &known, None, &body),
        }
    }
}
