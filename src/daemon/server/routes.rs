//! The router, built from the table of methods: each method with its handler and its guard, and nothing beside it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::door::{door, guard};
use super::limits::Limits;
use super::problem::Failure;
use super::refusals::Refusals;
use super::{handlers, openapi};
use crate::api::error::Code;
use crate::api::rights::Method;
use crate::daemon::command::ControllerHandle;
use crate::daemon::rights::Grants;

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) controller: ControllerHandle,
    pub(super) refusals: Refusals,
    pub(super) grants: Arc<Grants>,
    pub(super) limits: Limits,
    pub(super) description: Arc<str>,
}

/// The router that answers.
pub(super) fn router(controller: ControllerHandle, refusals: Refusals, grants: Grants, limits: Limits) -> Router {
    let mut app = App {
        controller,
        refusals,
        grants: Arc::new(grants),
        limits,
        description: Arc::from(""),
    };
    app.description = openapi::text(&openapi::complete(collect(&app).1)).into();
    let (router, _) = collect(&app);
    router
        .method_not_allowed_fallback(no_method)
        .fallback(no_path)
        .layer(from_fn_with_state(app.clone(), door))
        .with_state(app)
}

/// The description of the API, as the router is.
#[cfg(test)]
pub(super) fn description() -> OpenApi {
    let (controller, _calls) = ControllerHandle::channel();
    let app = App {
        refusals: Refusals::new(controller.clone(), Limits::DEFAULT),
        controller,
        grants: Arc::default(),
        limits: Limits::DEFAULT,
        description: Arc::from(""),
    };
    openapi::complete(collect(&app).1)
}

/// Every method of the table with its guard, and the description of each.
fn collect(app: &App) -> (Router<App>, OpenApi) {
    Method::ALL
        .into_iter()
        .fold(OpenApiRouter::with_openapi(openapi::head()), |router, method| {
            let guarded = from_fn_with_state((app.clone(), method), guard);
            router.routes(route(method).map(|handler| handler.route_layer(guarded)))
        })
        .split_for_parts()
}

/// The handler of each method.
fn route(method: Method) -> UtoipaMethodRouter<App> {
    match method {
        Method::Status => routes!(handlers::status),
        Method::Readiness => routes!(handlers::readiness),
        Method::Snapshot => routes!(handlers::snapshot),
        Method::OpenApi => routes!(handlers::open_api),
        Method::Policies => routes!(handlers::policies),
        Method::Policy => routes!(handlers::policy),
        Method::Plan => routes!(handlers::plan),
        Method::Declare => routes!(handlers::declare),
        Method::Emergencies => routes!(handlers::emergencies),
        Method::Emergency => routes!(handlers::emergency),
        Method::Receipt => routes!(handlers::receipt),
        Method::Confirm => routes!(handlers::confirm),
        Method::Extend => routes!(handlers::extend),
        Method::Approve => routes!(handlers::approve),
        Method::Reject => routes!(handlers::reject),
        Method::Revert => routes!(handlers::revert),
        Method::Reviews => routes!(handlers::reviews),
        Method::CloseReview => routes!(handlers::close_review),
        Method::NewOrder => routes!(handlers::new_order),
        Method::Order => routes!(handlers::order),
        Method::Alert => routes!(handlers::alert),
        Method::Audit => routes!(handlers::audit),
        Method::AuditHead => routes!(handlers::audit_head),
    }
}

async fn no_path(request: Request) -> Failure {
    let detail = format!("no path `{}`", request.uri().path());
    Failure::refused(Code::NoSuchPath, &detail, "/v1/openapi.json lists every path")
}

async fn no_method(request: Request) -> Failure {
    let detail = format!("`{}` does not take {}", request.uri().path(), request.method());
    Failure::refused(Code::MethodNotAllowed, &detail, "/v1/openapi.json lists every method")
}
