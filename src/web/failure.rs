//! What is answered when something cannot be: what is wrong, and the next step.

use std::fmt;

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use crate::config::nearest;
use crate::payload::{self, json};

/// An answer above 399.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
    hint: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into() }
    }

    /// There is none of that name; the hint has the one that was meant, or all there are.
    pub(super) fn no_such<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Self {
        let known: Vec<&str> = known.collect();
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none at the moment".to_owned(),
            None => format!("there is {}", known.join(", ")),
        };
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what} `{name}`"), hint)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.error, self.hint)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = payload::Failure { error: self.error.as_str().into(), hint: self.hint.as_str().into() };
        HttpResponse::build(self.status).content_type("application/json").body(json(&body))
    }
}

/// For every path that is not ours.
pub(super) async fn no_path(request: HttpRequest) -> HttpResponse {
    let error = format!("there is nothing at {}", request.path());
    let hint = "everything is below /api/v1/; begin with /api/v1/status";
    Failure::new(StatusCode::NOT_FOUND, error, hint).error_response()
}

/// For a path of ours that is asked in another way than `method`.
pub(super) async fn other_method(method: Method) -> HttpResponse {
    let hint = format!("use {method}");
    let mut response =
        Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this path is not asked in that way", hint).error_response();
    if let Ok(value) = header::HeaderValue::from_str(method.as_str()) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}
