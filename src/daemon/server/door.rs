//! What every request passes before a handler sees it: its origin, then whether the method that it names is reached by the
//! socket by which it came, and the right that it needs there, then its lane.
//!
//! [`door`] stands around the whole router, also around paths that do not exist, and has every refusal recorded, its
//! own and those from further inside. [`guard`] stands before each method; the router is built from the table of
//! methods with one guard each, so that a handler without a declared right cannot be reached.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::admission::Lane;
use super::problem::{Failure, Refusal};
use super::routes::App;
use crate::api::error::{ApiError, Code};
use crate::api::rights::{Access, Door, Method, Need, Right, Verb};
use crate::daemon::command::Peer;

/// Names for this host that a local client may use.
const HOSTS: [&str; 2] = ["localhost", "portcullis"];

/// Refuses what does not come from a local client; has refusals recorded; marks every answer as not to be guessed at
/// or kept.
pub(super) async fn door(State(app): State<App>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let mut response = match (&peer, check_origin(&request)) {
        (None, _) => no_peer().into_response(),
        (Some(_), Err(failure)) => failure.into_response(),
        (Some(_), Ok(())) => next.run(request).await,
    };
    if let (Some(Refusal(error)), Some(peer)) = (response.extensions_mut().remove::<Refusal>(), peer) {
        app.refusals.record(peer, error);
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Refuses a peer who came by another socket or has not the method's right, and what the method does not take: another verb, a
/// query, a body.
pub(super) async fn guard(State((app, method)): State<(App, Method)>, request: Request, next: Next) -> Response {
    let (Some(peer), Some(door)) = (
        request.extensions().get::<Peer>(),
        request.extensions().get::<Door>().copied(),
    ) else {
        return no_peer().into_response();
    };
    let (verb, path, access) = method.entry();
    let checked = check_access(&app, peer, door, path, access)
        .and_then(|()| check_lane(&request, method, access))
        .and_then(|()| check_verb(&request, verb, path))
        .and_then(|()| check_query(&request, method))
        .and_then(|()| check_bodyless(&request, verb));
    match checked {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

fn check_origin(request: &Request) -> Result<(), Failure> {
    let headers = request.headers();
    let browser = headers
        .keys()
        .find(|name| *name == header::ORIGIN || *name == header::REFERER || name.as_str().starts_with("sec-fetch-"));
    if let Some(name) = browser {
        return Err(foreign(&format!(
            "the request has the header `{name}`, which only browsers send"
        )));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes).unwrap_or_default();
    if hosts.next().is_some() {
        return Err(Failure::refused(
            Code::BadRequest,
            "the request has more than one header `Host`",
            "",
        ));
    }
    let target = request.uri().authority().map(Authority::as_str).unwrap_or_default();
    for name in [host, target.as_bytes()] {
        if !name.is_empty() && !HOSTS.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name)) {
            let name = String::from_utf8_lossy(name);
            return Err(foreign(&format!("the request is for the host `{name}`")));
        }
    }
    Ok(())
}

fn foreign(detail: &str) -> Failure {
    Failure::refused(
        Code::ForeignOrigin,
        detail,
        "send it from a local client, with `Host: localhost` and without browser headers",
    )
}

/// Refuses what is not reached by this door, and at that of operators whoever has not the right.
fn check_access(app: &App, peer: &Peer, door: Door, path: &str, access: Access) -> Result<(), Failure> {
    match access.at(door) {
        Some(Need::Right(right)) => app.grants.check(peer, right).map_err(Failure::Refused),
        Some(Need::Door) => Ok(()),
        None => {
            let detail = format!("{path} is not reached by the socket of {}", door.word());
            let hint = match door {
                Door::Operators => "ask at the socket of hooks: `hook-socket` in portcullis.toml",
                Door::Hooks => "ask at the socket of operators",
            };
            Err(Failure::refused(Code::Forbidden, &detail, hint))
        }
    }
}

/// Beyond a user's places only what cuts and restores is answered; an order may do either, and so may an alert.
fn check_lane(request: &Request, method: Method, access: Access) -> Result<(), Failure> {
    match (request.extensions().get::<Lane>(), access.right()) {
        (Some(Lane::Urgent), Some(Right::Observe | Right::Plan)) if method != Method::Order => {
            Err(Failure::Answered(ApiError::new(
                Code::Busy,
                "too many requests of this user are under way; nothing was done",
                "wait for their answers and ask again; what declares, confirms, extends and reverts is still taken",
            )))
        }
        (Some(Lane::Open | Lane::Urgent) | None, _) => Ok(()),
    }
}

/// A GET route of the router also takes HEAD, which is not in the table.
fn check_verb(request: &Request, verb: Verb, path: &str) -> Result<(), Failure> {
    let (name, other) = match verb {
        Verb::Get => ("GET", request.method() != axum::http::Method::GET),
        Verb::Post => ("POST", request.method() != axum::http::Method::POST),
    };
    if other {
        let detail = format!("{path} does not take {}", request.method());
        return Err(Failure::refused(
            Code::MethodNotAllowed,
            &detail,
            &format!("use {name}"),
        ));
    }
    Ok(())
}

fn check_query(request: &Request, method: Method) -> Result<(), Failure> {
    match request.uri().query() {
        Some(query) if !query.is_empty() && method != Method::Audit => {
            let (_, path, _) = method.entry();
            let field = query.split(['=', '&']).next().unwrap_or_default();
            let detail = format!("unknown field `{field}` in the query: {path} takes none");
            Err(Failure::refused(Code::BadRequest, &detail, "leave the query out"))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_bodyless(request: &Request, verb: Verb) -> Result<(), Failure> {
    if verb == Verb::Get && announces_body(request.headers()) {
        let detail = "a GET request came with a body";
        return Err(Failure::refused(Code::BadRequest, detail, "leave the body out"));
    }
    Ok(())
}

/// Whether the head announces a body (RFC 9112, section 6).
fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length.as_bytes() != b"0")
}

/// The accept loop gives every request its peer and its door; a request without one is not answered on anybody's behalf.
fn no_peer() -> Failure {
    Failure::Answered(ApiError::new(
        Code::Internal,
        "the request has no peer",
        "report this as a fault of the daemon",
    ))
}
