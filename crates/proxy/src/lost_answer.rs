//! What can be found out about a write whose answer was lost.

use hold::Hold;
use judge::{ClusterView, Write};
use serde_json::Value;

/// After a lost answer: what the live object says now, for whoever has to find out.
pub(crate) async fn found_out(view: &ClusterView, write: &Write, hold: &Hold) -> String {
    let attributes = write.attributes();
    let path = attributes.target.split('?').next().unwrap_or_default();
    if attributes.verb != "delete" {
        return "whether it ran is not known".to_owned();
    }
    let answer = view.read_as_agent(write, path).await;
    let found = answer.map(|answer| (answer.status.as_u16(), answer.json));
    match found {
        Ok((404, _)) => "afterwards the object was gone".to_owned(),
        Ok((200, Some(object))) => {
            let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let deleting = !text("/metadata/deletionTimestamp").is_empty();
            match text("/metadata/uid") == hold.summary().uid {
                true if deleting => "afterwards the object was being deleted".to_owned(),
                true => "afterwards the object was still there".to_owned(),
                false => "afterwards another object had its name".to_owned(),
            }
        }
        Ok((code, _)) => format!("afterwards the object could not be read: {code}"),
        Err(error) => format!("afterwards the object could not be read: {error}"),
    }
}
