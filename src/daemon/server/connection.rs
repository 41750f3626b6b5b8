//! One connection, from accept to close.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tower::ServiceExt;

use super::admission::{Lane, Seat, Ticket};
use super::limits::Limits;
use super::refusals::Refusals;
use crate::api::error::{ApiError, Code};
use crate::api::rights::Door;
use crate::daemon::command::Peer;

/// What every connection gets.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) refusals: Refusals,
    pub(super) limits: Limits,
}

/// Who came, and by which socket.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    pub(super) door: Door,
}

/// Answers one connection's requests until it closes, idles, has had its share, has to make room, or the server stops.
/// Dropping the future closes the connection; what the controller was asked goes on.
pub(super) async fn serve(
    stream: UnixStream,
    caller: Caller,
    place: Ticket,
    hall: Shared,
    mut stop: watch::Receiver<bool>,
) {
    let Shared {
        router,
        refusals,
        limits,
    } = hall;
    let (seat, lane, peer) = (place.seat.clone(), place.lane, caller.peer.clone());
    let answered = AtomicUsize::new(0);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let last = answered.fetch_add(1, Ordering::Relaxed) + 1 >= limits.requests_per_connection;
        answer(router.clone(), caller.clone(), lane, seat.clone(), request, last)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_buf_size(limits.buffer_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = connection.as_mut() => return closed(peer, &refusals, end),
        () = place.seat.taken() => return,
        () = tokio::time::sleep(limits.connection_lifetime) => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    let stopped = async {
        // The sender lives as long as the tasks; if it is gone, the server is too.
        if stop.wait_for(|stopped| *stopped).await.is_ok() {
            tokio::time::sleep(limits.shutdown_grace).await;
        }
    };
    tokio::select! {
        end = connection => closed(peer, &refusals, end),
        () = place.seat.taken() => {}
        () = tokio::time::sleep(limits.answer_grace) => tracing::info!(uid = peer.uid, "closed a connection that did not end"),
        () = stopped => tracing::info!(uid = peer.uid, "closed a connection at shutdown"),
    }
}

async fn answer(
    router: Router,
    Caller { peer, door }: Caller,
    lane: Lane,
    seat: Seat,
    request: hyper::Request<Incoming>,
    last: bool,
) -> Result<Response<Body>, Infallible> {
    // A request with a body is whole when that has come; the extractor of bodies says so.
    if request.body().is_end_stream() {
        seat.occupied();
    }
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(door);
    request.extensions_mut().insert(lane);
    request.extensions_mut().insert(seat.clone());
    let mut response = router.oneshot(request).await?;
    seat.idle();
    if last {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response)
}

/// A head that is not HTTP is answered by hyper itself, outside the router, so its refusal is recorded here.
fn closed(peer: Peer, refusals: &Refusals, end: hyper::Result<()>) {
    let Err(error) = end else { return };
    tracing::debug!(uid = peer.uid, %error, "a connection broke off");
    if error.is_parse() || error.is_parse_too_large() {
        let detail = format!("the request's head is not valid: {error}");
        refusals.record(peer, ApiError::new(Code::BadRequest, detail, ""));
    }
}
