//! Ways into a pod, service or node: as powerful as what runs there (DEFAULTS Q7).

use effects::{
    About, Effect, EffectKind, Unknown,
    about::{Part, Parts, Power},
};
use upstream::Probe;

use super::{relay, unseen::Previewer};
use crate::seen::Previewed;

impl Previewer<'_> {
    /// What a session could do; what is not known of its other end is the worst.
    pub(crate) async fn connect(&self) -> Previewed {
        let mut seen = self.blind_because(Unknown::NoPreview).await?;
        let attributes = self.write.attributes();
        let is_proxy = attributes.subresource == "proxy";
        // A name that is none finds no pod, and is held.
        let name = match is_proxy {
            true => relay::name_of(&attributes.name),
            false => Some(attributes.name.as_str()),
        };
        let pod = match (attributes.resource.as_str(), name) {
            ("pods", Some(name)) => {
                let target = format!("/api/v1/namespaces/{}/pods/{name}", attributes.namespace);
                self.view.read_for_preview(self.write, "pods", Probe::get(&target), &target).await
            }
            _ => None,
        };
        if pod.is_none()
            && let Some(answer) = self.absence().await
        {
            return Err(Box::new(answer));
        }
        seen.effects = match &pod {
            Some(pod) => effects::of_entered(attributes, pod),
            None => vec![Effect {
                kind: EffectKind::Borrow,
                object: effects::object_of(attributes),
                about: About::Parts(Parts::of(vec![Part::Power(Power::OtherEnd)])),
            }],
        };
        seen.effects.extend(match (attributes.resource.as_str(), &pod, name) {
            ("pods", Some(pod), _) if is_proxy => self.relayed_by_pod(pod).await,
            ("services", _, Some(name)) if is_proxy => self.relayed_by_service(name).await,
            _ => Vec::new(),
        });
        if pod.is_some() {
            seen.unknown = None;
        }
        if attributes.subresource == "portforward" && attributes.query.first("ports").is_none() {
            let note = "the request names no port: an approval is for any port of the pod";
            seen.notes.push(note.to_owned());
        }
        seen.live = pod;
        Ok(seen)
    }
}
