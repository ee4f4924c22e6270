//! Who was seen as an agent.

use api::body::AgentBody;
use jiff::Timestamp;

use super::cells::{age, describe_request, e, table};

/// Everybody who was seen as an agent, with the last call.
pub(crate) fn agents(agents: &[AgentBody], now: Timestamp) -> String {
    if agents.is_empty() {
        return "Nobody was seen as an agent yet.".to_owned();
    }
    let mut table = table(&["USER", "LAST SEEN", "LAST CALL", "DECISION"]);
    for agent in agents {
        let call = agent.last_call.as_ref();
        let request = call.and_then(|it| it.request.as_ref());
        table.add_row([
            e(&agent.user),
            call.map(|it| age(it.time, now)).unwrap_or_default(),
            request.map(|it| e(&describe_request(it))).unwrap_or_default(),
            call.map(|it| e(&it.decision)).unwrap_or_default(),
        ]);
    }
    table.trim_fmt()
}
