//! Who may do what, as `server/routes.rs` has it: roles, refusals, and how somebody shows
//! who they are.

use serde_json::{Value, json};

use super::operation::Operation;
use crate::server::guard::Right;
use crate::server::problem::Cause;
use crate::server::{login, routes};

/// Whose policy it is, in the words for roles.
const PUBLISHER: &str = "PUBLISHER";

/// Asks something of the right that an operation takes.
fn of<T>(operation: &Operation, ask: impl FnOnce(Right<'_>) -> T) -> T {
    let publisher = operation.parameters.iter().find(|parameter| parameter.name == "publisher").and_then(|parameter| parameter.example);
    let path = publisher.map_or_else(|| operation.sample(), |publisher| operation.sample().replacen(publisher, PUBLISHER, 1));
    // What has no route is answered to nobody.
    ask(routes::right(&operation.method, &path).unwrap_or(Right::Act))
}

/// What the guard refuses an operation for.
pub(super) fn causes(operation: &Operation) -> Vec<Cause> {
    of(operation, |right| right.causes(&operation.method))
}

/// Whether somebody may have to show who they are.
pub(super) fn asks_who(operation: &Operation) -> bool {
    of(operation, |right| !right.is_open(false))
}

/// Which roles may.
pub(super) fn says(operation: &Operation) -> String {
    of(operation, |right| match (right.is_open(true), right.is_open(false)) {
        (_, true) => "Who may: anybody.".into(),
        (true, false) => "Who may: anybody; with `access.public = false` any role.".into(),
        (false, false) => format!("Who may, with `access`: {}.", right.roles()),
    })
}

/// Without `access` in the configuration nothing is needed, and with it one of these.
pub(super) fn security() -> Value {
    json!([{}, { "bearer": [] }, { "certificate": [] }, { "session": [] }])
}

pub(super) fn schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token of `ephor token`, or a JWT of an issuer that the configuration names (RFC 6750)." },
        "certificate": { "type": "mutualTLS", "description": "A client certificate that the configuration names." },
        "session": { "type": "apiKey", "in": "cookie", "name": login::COOKIE_NAME, "description": "The token that a browser keeps, from `/login`." },
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::*;

    #[test]
    fn every_operation_has_a_route_and_says_who_may() {
        for operation in TABLE.operations() {
            let path = operation.sample();
            assert!(routes::right(&operation.method, &path).is_some(), "{path} leads nowhere");
        }
        let says_of = |id: &str| TABLE.operations().find(|one| one.id == id).map(says).unwrap_or_default();
        assert_eq!(says_of("promotePublished"), "Who may, with `access`: the role operator.");
        assert_eq!(says_of("withdraw"), "Who may, with `access`: the role operator.");
        assert_eq!(says_of("withdrawPublished"), "Who may, with `access`: the role operator or regulator:PUBLISHER.");
        assert_eq!(says_of("getLogKey"), "Who may: anybody; with `access.public = false` any role.");
        assert_eq!(says_of("isAlive"), "Who may: anybody.");
    }
}
