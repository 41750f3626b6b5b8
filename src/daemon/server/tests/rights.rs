//! Every method for every kind of peer, before the router itself, since a test cannot become another user.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use tower::ServiceExt;

use super::super::limits::Limits;
use super::super::refusals::Refusals;
use super::super::routes;
use super::{Heard, controller, example, peer};
use crate::api::rights::{Access, Door, Method, Need, Right, Verb};
use crate::daemon::command::Peer;
use crate::daemon::rights::{Grantees, Grants, Whom};
use crate::model::policy::NameOf;

const OPERATORS: u32 = 500;

fn operators() -> Grantees {
    let mut whom = Whom::default();
    whom.add(NameOf::User, "ada", 2000);
    whom.add(NameOf::Group, "operators", OPERATORS);
    Grantees::Named(whom)
}

/// Asks the method as the peer, by the door of operators where they reach it, else by that of hooks.
async fn ask(grants: Grants, method: Method, peer: Option<Peer>) -> (StatusCode, Heard) {
    let door = match method.entry().2 {
        Access::Hooks => Door::Hooks,
        Access::Operators(_) | Access::Both(_) => Door::Operators,
    };
    ask_by(door, grants, method, peer).await
}

async fn ask_by(door: Door, grants: Grants, method: Method, peer: Option<Peer>) -> (StatusCode, Heard) {
    let (controller, heard) = controller();
    let refusals = Refusals::new(controller.clone(), Limits::DEFAULT);
    let router = routes::router(controller, refusals, grants, Limits::DEFAULT);
    let (verb, path, body) = example(method);
    let builder = match verb {
        Verb::Get => Request::get(path),
        Verb::Post => Request::post(path).header(header::CONTENT_TYPE, "application/json"),
    };
    let mut request = builder.body(Body::from(body)).unwrap();
    request.extensions_mut().insert(door);
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let status = router.oneshot(request).await.unwrap().status();
    tokio::task::yield_now().await;
    (status, heard)
}

#[tokio::test]
async fn each_right_opens_its_own_methods_to_those_who_hold_it_and_no_other() {
    for granted in Right::ALL {
        let grants = Grants::none().grant(granted, operators());
        for method in Method::ALL {
            let Some(needed) = method.entry().2.right() else {
                continue;
            };
            let (root, member, user, stranger) =
                (peer(0, 0), peer(1000, OPERATORS), peer(2000, 2000), peer(1001, 1001));
            let (status, _) = ask(grants.clone(), method, Some(root)).await;
            assert!(status.is_success(), "root, {method:?}: {status}");
            let mut also = peer(1000, 1000);
            also.process.groups = vec![4, OPERATORS];
            for holder in [member, user, also] {
                let (status, _) = ask(grants.clone(), method, Some(holder)).await;
                assert_eq!(
                    status.is_success(),
                    needed == granted,
                    "{granted:?} for {method:?}: {status}"
                );
            }
            let (status, heard) = ask(grants.clone(), method, Some(stranger)).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method:?}");
            let heard = heard.lock().unwrap().clone();
            assert_eq!(heard.len(), 1, "{method:?}: {heard:?}");
            assert!(
                heard[0].starts_with("uid 1001: refused Forbidden: uid 1001 does not hold the right"),
                "{heard:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_method_is_reached_by_its_own_sockets_and_no_other() {
    // What right anybody holds plays no part at the socket of hooks, nor does being root.
    let grants = || {
        [
            Grants::none(),
            Grants::none().grant(Right::Revert, operators()),
            Grants::default(),
        ]
    };
    for method in Method::ALL {
        let access = method.entry().2;
        for (door, grants) in Door::ALL
            .into_iter()
            .flat_map(|door| grants().map(|grants| (door, grants)))
        {
            for uid in [0, 1001] {
                let (status, heard) = ask_by(door, grants.clone(), method, Some(peer(uid, uid))).await;
                let context = format!("{method:?} by {door:?} as {uid}: {status}");
                match access.at(door) {
                    None => {
                        assert_eq!(status, StatusCode::FORBIDDEN, "{context}");
                        let heard = heard.lock().unwrap().clone();
                        let told = format!("uid {uid}: refused Forbidden: ");
                        assert!(heard.len() == 1 && heard[0].starts_with(&told), "{context}: {heard:?}");
                        assert!(heard[0].contains("is not reached by the socket of"), "{heard:?}");
                    }
                    Some(Need::Door) => assert!(status.is_success(), "{context}"),
                    Some(Need::Right(_)) if uid == 0 || grants == Grants::default() => {
                        assert!(status.is_success(), "{context}");
                    }
                    Some(Need::Right(_)) => assert_eq!(status, StatusCode::FORBIDDEN, "{context}"),
                }
            }
        }
    }
    let by_hooks: Vec<Method> = Method::ALL
        .into_iter()
        .filter(|method| method.entry().2.at(Door::Hooks).is_some())
        .collect();
    assert_eq!(by_hooks, [Method::Status, Method::Alert]);
}

#[tokio::test]
async fn a_request_without_a_door_reaches_no_method() {
    let (controller, heard) = controller();
    let refusals = Refusals::new(controller.clone(), Limits::DEFAULT);
    let router = routes::router(controller, refusals, Grants::default(), Limits::DEFAULT);
    let mut request = Request::get("/v1/status").body(Body::empty()).unwrap();
    request.extensions_mut().insert(peer(0, 0));
    let status = router.oneshot(request).await.unwrap().status();
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(heard.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn by_default_whoever_can_open_the_socket_holds_every_right() {
    for method in Method::ALL {
        let (status, _) = ask(Grants::default(), method, Some(peer(1001, 1001))).await;
        assert!(status.is_success(), "{method:?}: {status}");
    }
}

#[tokio::test]
async fn the_daemon_itself_holds_every_right() {
    let own = nix::unistd::Uid::effective().as_raw();
    for method in Method::ALL {
        let (status, _) = ask(Grants::none(), method, Some(peer(own, 4242))).await;
        assert!(status.is_success(), "{method:?}: {status}");
    }
}

#[tokio::test]
async fn a_request_without_a_peer_reaches_no_method() {
    for method in Method::ALL {
        let (status, heard) = ask(Grants::default(), method, None).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{method:?}");
        assert_eq!(heard.lock().unwrap().len(), 0, "{method:?}");
    }
}
