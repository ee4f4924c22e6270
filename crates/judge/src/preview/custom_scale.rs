//! The count of a custom resource, which is read from the request: an aggregated API might take a dry
//! run for real.

use attributes::Attributes;
use effects::Unknown;

use super::unseen::Previewer;
use crate::{
    scale,
    seen::{Live, Previewed},
};

/// Whether a write is to the `/scale` of what Kubernetes does not serve itself.
pub(crate) fn is_custom_scale(a: &Attributes) -> bool {
    a.subresource == "scale"
        && matches!(a.verb.as_str(), "update" | "patch")
        && !effects::is_builtin(&a.api_group, &a.resource)
}

impl Previewer<'_> {
    /// From which count to which, by the live object and the request's own words.
    pub(crate) async fn custom_scale(&self) -> Previewed {
        let mut seen = self.blind_because(Unknown::SaidScale).await?;
        let attributes = self.write.attributes();
        let live = match self.view.live(self.write).await {
            Live::Is(live) => Some(live),
            Live::IsNot => match self.absence().await {
                Some(answer) => return Err(Box::new(answer)),
                None => None,
            },
            Live::Hidden(_) => None,
        };
        let old = live.as_ref().map(scale::count);
        let is_update = attributes.verb == "update";
        let new = scale::said(self.write.media, is_update, &self.write.body, old.unwrap_or(0));
        seen.effects.extend(effects::of_said_scale(attributes, old, new));
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whose_dry_run_cannot_be_trusted() {
        let table = [
            ("patch", "ex.io", "widgets", "scale", true),
            ("update", "ex.io", "widgets", "scale", true),
            ("get", "ex.io", "widgets", "scale", false),
            ("patch", "ex.io", "widgets", "status", false),
            ("patch", "apps", "deployments", "scale", false),
        ];
        for (verb, group, resource, subresource, want) in table {
            let attributes = Attributes {
                verb: verb.into(),
                api_group: group.into(),
                resource: resource.into(),
                subresource: subresource.into(),
                ..Attributes::default()
            };
            assert_eq!(is_custom_scale(&attributes), want, "{verb} {resource}/{subresource}");
        }
    }
}
