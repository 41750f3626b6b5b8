//! From bytes to requests: bodies, path parameters, queries and preconditions, each with its limit and a clean error.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admission::Seat;
use super::limits::{Limits, PATH_PARAMETER_BYTES, TOKEN_BYTES};
use super::problem::Failure;
use super::routes::App;
use crate::api::AuditQuery;
use crate::api::error::Code;
use crate::daemon::command::Preconditions;
use crate::model::duration::written;

/// A JSON body, whole and of the declared form.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// The body of a method that takes none: nothing, or `{}`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// A policy's name or an emergency's id.
#[derive(Debug)]
pub(super) struct Parameter(pub(super) String);

/// The query of the audit log.
#[derive(Debug)]
pub(super) struct Filter(pub(super) AuditQuery);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let bytes = receive(body, &parts.headers, &app.limits).await?;
        if let Some(seat) = parts.extensions.get::<Seat>() {
            seat.occupied();
        }
        if !bytes.is_empty() {
            check_content_type(&parts.headers)?;
        }
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let refused = |why: &str| {
        let detail = format!("the body is not what this method takes: {why}");
        Failure::refused(Code::BadRequest, &detail, "/v1/openapi.json describes every body")
    };
    // An empty body is `{}` for a method without fields, and names the missing field for every other.
    let json = if bytes.is_empty() { b"{}" } else { bytes };
    // A parser made by serde also takes an array, field by field; the description does not offer that.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(refused("it is not a JSON object"));
    }
    serde_json::from_slice(json).map_err(|error| refused(&error.to_string()))
}

async fn receive(body: axum::body::Body, headers: &HeaderMap, limits: &Limits) -> Result<Bytes, Failure> {
    let too_large = || {
        let detail = format!("the body is longer than {} bytes", limits.body_bytes);
        Failure::refused(Code::TooLarge, &detail, "")
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(too_large());
    }
    let whole = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Err(_) => {
            let detail = format!("the body did not arrive within {}", written(limits.body_timeout));
            Err(Failure::refused(Code::TooSlow, &detail, "send head and body at once"))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            let detail = format!("the body broke off: {error}");
            Err(Failure::refused(Code::BadRequest, &detail, ""))
        }
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .map(|v| String::from_utf8_lossy(v.as_bytes()));
    let essence = given
        .as_deref()
        .and_then(|v| v.split(';').next())
        .map(str::trim)
        .unwrap_or_default();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let seen = given.unwrap_or(Cow::Borrowed("none"));
    let detail = format!("the body's content type is {seen}, not application/json");
    Err(Failure::refused(
        Code::BadRequest,
        &detail,
        "send `Content-Type: application/json`",
    ))
}

impl FromRequestParts<App> for Parameter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let refused = |detail: &str| Failure::refused(Code::BadRequest, detail, "");
        let text = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|error: PathRejection| refused(&format!("the path is not valid: {error}")))?
            .0;
        if text.len() > PATH_PARAMETER_BYTES {
            return Err(refused(&format!(
                "a name in the path is longer than {PATH_PARAMETER_BYTES} bytes"
            )));
        }
        if text.chars().any(char::is_control) {
            return Err(refused(&format!(
                "the name `{text}` in the path has a control character"
            )));
        }
        Ok(Self(text))
    }
}

impl FromRequestParts<App> for Filter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match Query::<AuditQuery>::from_request_parts(parts, app).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => {
                let detail = format!("the query is not what this method takes: {}", cause(&error));
                let hint = "it takes after, since, emergency, actor, kind and limit";
                Err(Failure::refused(Code::BadRequest, &detail, hint))
            }
        }
    }
}

/// The parser's own sentence, without the framework's in front of it.
fn cause(error: &QueryRejection) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl FromRequestParts<App> for Preconditions {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        preconditions(&parts.headers)
    }
}

/// Reads `Idempotency-Key` and `If-Match`. An entity tag may come without its quotes; lists, `*` and weak tags name no
/// single plan and are refused.
fn preconditions(headers: &HeaderMap) -> Result<Preconditions, Failure> {
    let key = token(headers, "idempotency-key")?;
    let digest = token(headers, header::IF_MATCH.as_str())?;
    let plan_digest = digest
        .map(|tag| {
            let bare = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(&tag);
            let single = !bare.is_empty()
                && bare
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_:.+/=".contains(&b));
            if single {
                return Ok(bare.to_owned());
            }
            let detail = format!("the header `If-Match` is {tag}, not one plan's digest");
            Err(Failure::refused(
                Code::BadRequest,
                &detail,
                "send the `digest` of the plan",
            ))
        })
        .transpose()?;
    Ok(Preconditions {
        idempotency_key: key,
        plan_digest,
    })
}

/// A header of 1 to [`TOKEN_BYTES`] visible ASCII characters, once at most.
fn token(headers: &HeaderMap, name: &str) -> Result<Option<String>, Failure> {
    let refused = |why: &str| Failure::refused(Code::BadRequest, &format!("the header `{name}` {why}"), "");
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refused("comes more than once"));
    }
    let bytes = value.as_bytes();
    if bytes.is_empty() || bytes.len() > TOKEN_BYTES || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(refused(&format!("is not 1 to {TOKEN_BYTES} visible ASCII characters")));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap());
        values.fold(HeaderMap::new(), |mut headers, value| {
            headers.append(name, value);
            headers
        })
    }

    fn read(name: &'static str, values: &[&str]) -> Result<Preconditions, Failure> {
        preconditions(&headers(name, values))
    }

    #[test]
    fn a_digest_is_read_with_and_without_quotes() {
        for given in ["\"abc123\"", "abc123"] {
            assert_eq!(
                read("if-match", &[given]).unwrap().plan_digest.as_deref(),
                Some("abc123"),
                "{given}"
            );
        }
        assert_eq!(read("if-match", &[]).unwrap(), Preconditions::default());
    }

    #[test]
    fn an_if_match_that_names_no_single_plan_is_refused() {
        for given in ["*", "W/\"abc\"", "\"a\",\"b\"", "\"\"", "\"", "a b", "", "ä"] {
            assert!(read("if-match", &[given]).is_err(), "{given}");
        }
        assert!(read("if-match", &["a", "a"]).is_err());
    }

    #[test]
    fn an_idempotency_key_has_1_to_128_visible_characters() {
        let longest = "k".repeat(TOKEN_BYTES);
        let key = read("idempotency-key", &[&longest]).unwrap().idempotency_key;
        assert_eq!(key, Some(longest.clone()));
        for given in ["", "a b", "a\tb", "ü", &format!("{longest}k")] {
            assert!(read("idempotency-key", &[given]).is_err(), "{given:?}");
        }
        assert!(read("idempotency-key", &["a", "b"]).is_err());
    }
}
