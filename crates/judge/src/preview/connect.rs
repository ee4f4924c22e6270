//! Ways into a pod, service or node: as powerful as what runs there (DEFAULTS Q7).

use effects::{
    About, Effect, EffectKind,
    about::{Part, Parts, Power},
};
use upstream::Probe;

use super::unseen::Previewer;
use crate::seen::Previewed;

impl Previewer<'_> {
    /// What a session could do; what is not known of its other end is the worst.
    pub(crate) async fn connect(&self) -> Previewed {
        let mut seen = self.blind().await?;
        let attributes = self.write.attributes();
        let (namespace, name) = (&attributes.namespace, &attributes.name);
        let pod = match attributes.resource.as_str() {
            "pods" => {
                // `[scheme:]name[:port]`: a name that is not the pod's finds no pod, and is held.
                let target = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                self.view.read_for_preview(self.write, "pods", Probe::get(&target), &target).await
            }
            _ => None,
        };
        seen.effects = match &pod {
            Some(pod) => effects::of_entered(attributes, pod),
            None => vec![Effect {
                kind: EffectKind::Borrow,
                object: effects::object_of(attributes),
                about: About::Parts(Parts { parts: vec![Part::Power(Power::OtherEnd)], more: 0 }),
            }],
        };
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
