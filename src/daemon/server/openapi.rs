//! The description of the API: what the handlers say of themselves, and the errors that each method can give.

use std::collections::BTreeMap;

use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{self, Problem};
use crate::api::error::Code;
use crate::api::rights::{Access, Method, Verb};

/// What stands above the paths.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Portcullis")
        .version(crate::api::VERSION)
        .description(Some(
            "Declares, watches and ends emergencies on this host. HTTP/1.1 over Unix sockets, one for operators and one \
             for hooks; who may do what follows from the socket and the credentials of the process that connects. Errors are problem details (RFC 9457) with a stable \
             `code`.",
        ))
        .build();
    OpenApiBuilder::new().info(info).build()
}

/// Adds to every method of the table by which socket it is reached, the right that it needs and the errors that it can give.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_default();
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for method in Method::ALL {
        let (verb, path, access) = method.entry();
        let Some(item) = document.paths.paths.get_mut(path) else {
            continue;
        };
        let operation = match verb {
            Verb::Get => item.get.as_mut(),
            Verb::Post => item.post.as_mut(),
        };
        if let Some(operation) = operation {
            operation.tags = None;
            operation.description = Some(reached(access));
            add_problems(operation, method);
        }
    }
    document
}

fn reached(access: Access) -> String {
    match access {
        Access::Operators(right) => format!("Needs the right `{}`.", right.word()),
        Access::Both(right) => format!(
            "Needs the right `{}`, or to be asked by the socket of hooks, where none is needed.",
            right.word()
        ),
        Access::Hooks => "Reached by the socket of hooks alone, by the users that the policy names.".to_owned(),
    }
}

/// As it is served and committed: indented, with a newline at the end.
pub(super) fn text(document: &OpenApi) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("a description is maps with string keys");
    text.push('\n');
    text
}

fn add_problems(operation: &mut Operation, method: Method) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.into_iter().filter(|code| can_give(method, *code)) {
        by_status.entry(code.http_status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let lines: Vec<String> = codes
            .into_iter()
            .map(|code| format!("`{}`: {}", problem::name(code), problem::title(code)))
            .collect();
        let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
        let response = ResponseBuilder::new()
            .description(lines.join("; "))
            .content("application/problem+json", content)
            .build();
        operation
            .responses
            .responses
            .insert(status.to_string(), response.into());
    }
}

/// Which errors a method can give. Exhaustive over the codes: a new code is described or does not compile.
fn can_give(method: Method, code: Code) -> bool {
    // What an order gives is what it orders gives.
    let by_order = |methods: &[Method]| methods.contains(&method) || method == Method::Order;
    let by_alert = method == Method::Alert;
    let (verb, path, _) = method.entry();
    let changes = by_order(&[
        Method::Declare,
        Method::Confirm,
        Method::Extend,
        Method::Approve,
        Method::Reject,
        Method::Revert,
        Method::CloseReview,
    ]);
    match code {
        Code::BadRequest | Code::Busy | Code::Forbidden | Code::ForeignOrigin => true,
        Code::NoSuchPath | Code::MethodNotAllowed => true,
        Code::ShuttingDown | Code::Internal => method != Method::OpenApi,
        Code::TooLarge | Code::TooSlow => verb == Verb::Post,
        Code::OrderRefused => matches!(method, Method::NewOrder | Method::Order),
        Code::NoSuchPolicy => by_order(&[
            Method::Alert,
            Method::Policy,
            Method::Plan,
            Method::Declare,
            Method::Approve,
            Method::NewOrder,
        ]),
        // A declaration that is repeated under its key may lead to an emergency that is long over.
        Code::NoSuchEmergency => path.contains("{id}") || by_order(&[Method::Declare, Method::NewOrder]),
        Code::WrongState => {
            by_alert
                || (changes && method != Method::Declare && method != Method::CloseReview)
                || method == Method::NewOrder
        }
        Code::SamePerson => by_order(&[Method::Declare, Method::Approve, Method::CloseReview]),
        Code::CoolingDown | Code::TooOften => by_alert,
        Code::ReviewOpen => by_order(&[Method::Declare]),
        Code::OverLimit => by_order(&[
            Method::Plan,
            Method::Declare,
            Method::Extend,
            Method::NewOrder,
            Method::Alert,
        ]),
        Code::PlanRefused => by_order(&[Method::Alert, Method::Plan, Method::Declare, Method::Approve]),
        Code::WrongOccasion => by_order(&[Method::Declare, Method::NewOrder]),
        Code::RiskNotAccepted => method == Method::Declare,
        Code::PlanChanged => by_order(&[Method::Declare, Method::Approve, Method::NewOrder]),
        Code::KeyReused => matches!(method, Method::Declare | Method::Extend),
        Code::Stuck => by_order(&[Method::Alert, Method::Declare, Method::Approve]),
        // A restore waits for no record: promise 1 of the crate.
        Code::NoRecord => by_alert || changes && method != Method::Revert && method != Method::Reject,
        Code::NoJournal => by_alert || changes && method != Method::Revert && method != Method::Reject,
        Code::NoGuardian => by_order(&[Method::Alert, Method::Declare, Method::Approve]),
        Code::KernelRefused => by_order(&[
            Method::Alert,
            Method::Snapshot,
            Method::Plan,
            Method::Declare,
            Method::Approve,
        ]),
        // What a revert could not put back is in its receipt.
        Code::Partial => by_order(&[Method::Alert, Method::Declare, Method::Approve]),
    }
}
