//! What was collected, over HTTP.
//!
//! Logs are handed out in sections of [`SECTION`] positions whose bounds never change: 1 to 100, 101 to 200, and so on. One
//! that is full is the same for ever, has a strong `ETag` and may be cached without asking again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use evenkeel_core::section::SectionReader;
use evenkeel_core::{Epoch, LogId, Position};
use evenkeel_sync::SourceIdentity;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Failure, LogStatus, Metrics, Server, StoredPiece};

/// How many positions a section covers.
pub const SECTION: u64 = 100;
/// Requests at once: more are asked to come again.
const REQUESTS_AT_MOST: usize = 256;
/// How long a request may take.
const WITHIN: Duration = Duration::from_secs(10);
/// How many bytes a request may bring.
const BODY_BYTES_AT_MOST: usize = 16 * 1024;
/// How many logs one page lists.
const LOGS_AT_MOST: u32 = 1000;

/// What stands between the requests and the server.
struct Gate {
    server: Arc<Server>,
    token: Option<String>,
    places: Semaphore,
}

/// Answers requests until the server is told to [end](Server::end). With a token every request but `/health` must bear it:
/// `Authorization: Bearer …`.
pub async fn answer(server: Arc<Server>, listener: TcpListener, token: Option<String>) -> std::io::Result<()> {
    let mut ending = server.ending();
    let ended = async move { while !*ending.borrow() && ending.changed().await.is_ok() {} };
    axum::serve(listener, routes(server, token)).with_graceful_shutdown(ended).await
}

fn routes(server: Arc<Server>, token: Option<String>) -> Router {
    let gate = Arc::new(Gate { server: Arc::clone(&server), token, places: Semaphore::new(REQUESTS_AT_MOST) });
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/v1/logs", get(logs))
        .route("/v1/logs/{device}/{log}/{epoch}", get(log))
        .route("/v1/logs/{device}/{log}/{epoch}/sections/{first}", get(section))
        .route("/v1/logs/{device}/{log}/{epoch}/release", post(release))
        .layer(from_fn_with_state(gate, admit))
        .layer(DefaultBodyLimit::max(BODY_BYTES_AT_MOST))
        .with_state(server)
}

/// A refusal, or what went wrong. The reason is in the log, not in the answer.
enum Wrong {
    NotFound,
    Mistake(&'static str),
    Store,
}

impl From<Failure> for Wrong {
    fn from(error: Failure) -> Self {
        tracing::warn!(%error, "a request failed");
        Self::Store
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such log or section"),
            Self::Mistake(text) => (StatusCode::BAD_REQUEST, text),
            Self::Store => (StatusCode::SERVICE_UNAVAILABLE, "the store failed"),
        };
        refusal(status, text)
    }
}

fn refusal(status: StatusCode, text: &str) -> Response {
    let mut response = json_response(status, &json!({ "error": text }));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// Who may ask, how many at once, and for how long.
async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    Metrics::add(&gate.server.metrics().http_requests, 1);
    if request.uri().path() != "/health" && !gate.knows(request.headers()) {
        let mut response = refusal(StatusCode::UNAUTHORIZED, "a token is needed");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let Ok(_place) = gate.places.try_acquire() else {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests at once");
    };
    match tokio::time::timeout(WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "it took too long"),
    }
}

impl Gate {
    fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Digests are compared, so the time tells nothing of the token.
        Sha256::digest(given) == Sha256::digest(token)
    }
}

async fn health(State(server): State<Arc<Server>>) -> Result<&'static str, Wrong> {
    server.store().logs(None, 1).await?;
    Ok("ok\n")
}

async fn metrics(State(server): State<Arc<Server>>) -> impl IntoResponse {
    let text = server.metrics().text(server.store().load());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json"))
}

#[derive(Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<u32>,
}

async fn logs(State(server): State<Arc<Server>>, Query(page): Query<Page>) -> Result<Response, Wrong> {
    let after = match &page.after {
        Some(text) => Some(parse_key(text).ok_or(Wrong::Mistake("'after' is device/log/epoch of a log"))?),
        None => None,
    };
    let limit = page.limit.unwrap_or(100).clamp(1, LOGS_AT_MOST);
    let logs = server.store().logs(after, limit).await?;
    let full = logs.len() == limit as usize;
    let next = logs.last().filter(|_| full).map(|status| key(&status.identity));
    let logs: Vec<_> = logs.iter().map(told).collect();
    Ok(json_response(StatusCode::OK, &json!({ "logs": logs, "next": next })))
}

fn key(identity: &SourceIdentity) -> String {
    format!("{:016x}/{}/{:016x}", identity.device, identity.log.0, identity.epoch.0)
}

fn parse_key(text: &str) -> Option<SourceIdentity> {
    let mut parts = text.split('/');
    let identity = identity_of(parts.next()?, parts.next()?, parts.next()?)?;
    parts.next().is_none().then_some(identity)
}

fn identity_of(device: &str, log: &str, epoch: &str) -> Option<SourceIdentity> {
    let device = u64::from_str_radix(device, 16).ok()?;
    let epoch = Epoch(u64::from_str_radix(epoch, 16).ok()?);
    Some(SourceIdentity { device, log: LogId(log.parse().ok()?), epoch })
}

fn told(status: &LogStatus) -> Value {
    let SourceIdentity { device, log, epoch } = status.identity;
    json!({
        "device": format!("{device:016x}"),
        "log": log.0,
        "epoch": format!("{:016x}", epoch.0),
        "cursor": status.cursor.0,
        "quarantine": status.quarantine.map(|why| json!({
            "reason": why.reason.to_string(), "first": why.first.0, "last": why.last.0,
        })),
    })
}

type LogPath = Path<(String, String, String)>;

async fn found(server: &Server, (device, log, epoch): &(String, String, String)) -> Result<LogStatus, Wrong> {
    let identity = identity_of(device, log, epoch).ok_or(Wrong::NotFound)?;
    let known = server.store().known(vec![identity], 0).await?;
    let known = known.first().ok_or(Wrong::NotFound)?;
    let (cursor, quarantine) = (known.cursor, known.quarantine);
    if cursor == Position::START && quarantine.is_none() {
        Err(Wrong::NotFound)
    } else {
        Ok(LogStatus { identity, cursor, quarantine })
    }
}

async fn log(State(server): State<Arc<Server>>, Path(path): LogPath) -> Result<Response, Wrong> {
    Ok(json_response(StatusCode::OK, &told(&found(&server, &path).await?)))
}

async fn release(State(server): State<Arc<Server>>, Path(path): LogPath) -> Result<Response, Wrong> {
    let status = found(&server, &path).await?;
    let was = server.store().release(status.identity).await?;
    tracing::info!(identity = %status.identity, was, "released from quarantine");
    Ok(json_response(StatusCode::OK, &json!({ "released": was })))
}

async fn section(
    State(server): State<Arc<Server>>,
    Path((device, log, epoch, first)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Wrong> {
    let first: u64 = first.parse().map_err(|_| Wrong::Mistake("a section begins at a position"))?;
    if first % SECTION != 1 {
        return Err(Wrong::Mistake("sections begin at 1, 101, 201 and so on"));
    }
    let status = found(&server, &(device, log, epoch)).await?;
    if first > status.cursor.0 {
        return Err(Wrong::NotFound);
    }
    let end = first.saturating_add(SECTION - 1);
    let last = Position(end).min(status.cursor);
    let pieces = server.store().pieces(status.identity, Position(first - 1), 2 * SECTION as u32).await?;
    let items = items(&pieces, Position(first), last).ok_or(Wrong::Store)?;
    let closed = last.0 == end;
    let next = closed.then(|| format!("/v1/logs/{}/sections/{}", key(&status.identity), end + 1));
    let body = json!({ "first": first, "last": last.0, "closed": closed, "items": items, "next": next }).to_string();
    Ok(tagged(body, closed, &headers))
}

/// What stands at these positions; `None` if what is stored does not decode.
fn items(pieces: &[StoredPiece], first: Position, last: Position) -> Option<Vec<Value>> {
    let mut items = Vec::new();
    let mut due = first;
    for piece in pieces {
        match piece {
            StoredPiece::Section { first, bytes, .. } => {
                for event in SectionReader::new(*first, bytes) {
                    let event = event.ok()?;
                    let at = event.position?;
                    if at < due || at > last {
                        continue;
                    }
                    items.push(json!({
                        "position": at.0, "stream": format!("{:016x}", event.stream.0), "kind": event.kind.0,
                        "schema": event.schema, "version": event.version.0, "payload": hex(event.payload),
                    }));
                    due = at.next();
                }
            }
            StoredPiece::Gap(gap) => {
                let (from, to) = (gap.first.max(due), gap.last.min(last));
                if from <= to {
                    items.push(json!({ "gap": { "first": from.0, "last": to.0, "reason": gap.reason.to_string() } }));
                    due = to.next();
                }
            }
        }
    }
    Some(items)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn tagged(body: String, closed: bool, headers: &HeaderMap) -> Response {
    let digest = Sha256::digest(&body);
    let tag = format!("\"{}\"", hex(digest.get(..16).unwrap_or_default()));
    let caching = if closed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value.to_str().is_ok_and(|value| value == "*" || value.split(',').any(|known| known.trim() == tag))
    });
    let (status, body) = if known { (StatusCode::NOT_MODIFIED, Body::empty()) } else { (StatusCode::OK, body.into()) };
    let headers: [(HeaderName, String); 3] = [
        (header::CONTENT_TYPE, "application/json".into()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, caching.into()),
    ];
    (status, headers, body).into_response()
}
