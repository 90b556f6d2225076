//! A host of pictures on a loopback port, well behaved and not.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path as Segment, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

/// Serves pictures over plain HTTP until it is dropped.
#[derive(Debug)]
pub struct PictureHost {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Pictures {
    by_name: Arc<HashMap<String, Bytes>>,
    requests: Arc<AtomicUsize>,
}

impl PictureHost {
    /// Serves these pictures, by name.
    pub async fn start(pictures: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let pictures = Pictures {
            by_name: Arc::new(
                pictures
                    .into_iter()
                    .map(|(name, bytes)| (name, Bytes::from(bytes)))
                    .collect(),
            ),
            requests: Arc::clone(&requests),
        };
        let router = Router::new()
            .route("/pictures/{name}", get(picture))
            .route("/redirect/{hops}/{name}", get(redirect))
            .route(
                "/to-metadata",
                get(|| moved("http://169.254.169.254/latest/meta-data/")),
            )
            .route("/to-file", get(|| moved("file:///etc/passwd")))
            .route("/text", get(|| async { "this is no picture" }))
            .route("/empty", get(|| async { Body::empty() }))
            .route("/never", get(never))
            .route("/drip", get(drip))
            .route("/endless", get(endless))
            .with_state(pictures);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free loopback port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let task = tokio::spawn(async move {
            // Ends with the test; there is nobody to tell of an error.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// Serves every JPEG of a folder under its file name.
    pub async fn start_with_folder(folder: &Path) -> Self {
        Self::start(jpegs(folder)).await
    }

    /// The URL of a path on this host.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The URL of a picture by its name.
    pub fn picture(&self, name: &str) -> String {
        self.url(&format!("pictures/{name}"))
    }

    /// How many pictures were asked for so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for PictureHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The JPEGs of a folder as file name and content, by name.
pub fn jpegs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut pictures: Vec<(String, Vec<u8>)> = folder
        .read_dir()
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()))
        .map(|entry| entry.expect("a listed file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .map(|path| {
            let bytes = std::fs::read(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.into_owned(), bytes)
        })
        .collect();
    pictures.sort();
    pictures
}

/// One picture; the content type is left out, as the server goes by content.
async fn picture(State(pictures): State<Pictures>, Segment(name): Segment<String>) -> Response {
    pictures.requests.fetch_add(1, Ordering::SeqCst);
    match pictures.by_name.get(&name) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `hops` redirects, the last of them to the picture.
async fn redirect(Segment((hops, name)): Segment<(u32, String)>) -> Response {
    match hops {
        0 | 1 => moved(&format!("/pictures/{name}")).await,
        _ => moved(&format!("/redirect/{}/{name}", hops - 1)).await,
    }
}

async fn moved(to: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

/// Takes the request and says nothing, ever.
async fn never() {
    std::future::pending::<()>().await;
}

/// A byte now and then: always alive, never done.
async fn drip() -> Body {
    Body::from_stream(stream::unfold((), |()| async {
        sleep(Duration::from_millis(100)).await;
        Some((
            Ok::<_, std::convert::Infallible>(Bytes::from_static(b"\xff")),
            (),
        ))
    }))
}

/// Begins like a JPEG and does not end.
async fn endless() -> Body {
    let chunk = Bytes::from(vec![0xff; 64 * 1024]);
    let begin = Bytes::from_static(b"\xff\xd8\xff\xe0");
    Body::from_stream(stream::unfold(Some(begin), move |first| {
        let chunk = first.unwrap_or_else(|| chunk.clone());
        async move { Some((Ok::<_, std::convert::Infallible>(chunk), None)) }
    }))
}
