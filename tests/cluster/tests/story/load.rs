//! Callers: over HTTP with a picture in the request, over gRPC with its URL.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::task::JoinSet;
use tonic::{Code, transport::Channel};

use crate::{Result, world::figure};

/// How long a caller waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause of a caller between two requests, so that two processors are left some time for the rest.
const PAUSE: Duration = Duration::from_millis(100);

/// What one request came to.
enum Answer {
    Objects(Vec<String>),
    /// 429 or RESOURCE_EXHAUSTED: come back later.
    Refused,
}

/// `inference.InstanceDetectorInput`.
#[derive(Clone, PartialEq, prost::Message)]
struct Input {
    #[prost(string, tag = "1")]
    url: String,
}

/// `inference.InstanceDetectorOutput`.
#[derive(Clone, PartialEq, prost::Message)]
struct Output {
    #[prost(string, repeated, tag = "1")]
    objects: Vec<String>,
}

/// Somebody who asks what is in a picture, always the same.
#[derive(Clone)]
pub(crate) enum Caller {
    /// With the picture in the request.
    Http {
        client: reqwest::Client,
        url: String,
        host: Option<String>,
        picture: Arc<Vec<u8>>,
    },
    /// With its URL.
    Grpc {
        channel: Channel,
        origin: Option<String>,
        url: String,
    },
}

impl Caller {
    /// Calls `base` + `/predict`, under the name `host` where that is another than the URL's.
    pub(crate) fn http(base: &str, host: Option<&str>, picture: &Arc<Vec<u8>>) -> Result<Self> {
        Ok(Self::Http {
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
            url: format!("{base}/predict"),
            host: host.map(str::to_owned),
            picture: Arc::clone(picture),
        })
    }

    /// Calls the gRPC server at `address`, under the name `host` where that is another.
    pub(crate) fn grpc(address: &str, host: Option<&str>, url: &str) -> Result<Self> {
        let endpoint = Channel::from_shared(address.to_owned())?.timeout(PATIENCE);
        let endpoint = match host {
            Some(host) => endpoint.origin(format!("http://{host}").parse()?),
            None => endpoint,
        };
        Ok(Self::Grpc {
            channel: endpoint.connect_lazy(),
            origin: host.map(str::to_owned),
            url: url.to_owned(),
        })
    }

    /// The names of the objects.
    pub(crate) async fn objects(&self) -> Result<Vec<String>> {
        match self.call().await? {
            Answer::Objects(objects) => Ok(objects),
            Answer::Refused => bail!("the queue is full"),
        }
    }

    async fn call(&self) -> Result<Answer> {
        match self {
            Self::Http {
                client,
                url,
                host,
                picture,
            } => {
                #[derive(Deserialize)]
                struct Reply {
                    objects: Vec<String>,
                }
                let mut request = client.post(url).body(picture.to_vec());
                if let Some(host) = host {
                    request = request.header("host", host);
                }
                let reply = request.send().await?;
                let (status, body) = (reply.status(), reply.text().await?);
                if status.as_u16() == 429 {
                    return Ok(Answer::Refused);
                }
                ensure!(status.is_success(), "{status}: {body}");
                let reply: Reply = serde_json::from_str(&body).context(body)?;
                Ok(Answer::Objects(reply.objects))
            }
            Self::Grpc { channel, url, .. } => {
                let mut answer = predict(channel, url).await;
                // What a server that goes has not begun, clients of gRPC ask once more by themselves (gRFC A6,
                // "transparent retries"); tonic leaves it to its caller.
                if answer.as_ref().is_err_and(is_not_begun) {
                    answer = predict(channel, url).await;
                }
                match answer {
                    Ok(output) => Ok(Answer::Objects(output.objects)),
                    Err(status) if status.code() == Code::ResourceExhausted => Ok(Answer::Refused),
                    Err(status) => Err(status.into()),
                }
            }
        }
    }
}

async fn predict(channel: &Channel, url: &str) -> std::result::Result<Output, tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    let ready = client.ready().await;
    ready.map_err(|error| tonic::Status::from_error(error.into()))?;
    let path = http::uri::PathAndQuery::from_static("/inference.InstanceDetector/Predict");
    let input = tonic::Request::new(Input {
        url: url.to_owned(),
    });
    let codec = tonic_prost::ProstCodec::<Input, Output>::default();
    let answer = client.unary(input, path, codec).await?;
    Ok(answer.into_inner())
}

/// Whether the connection was closed in order before the request's turn came (RFC 9113, section 6.8), which tonic tells
/// in words only.
fn is_not_begun(status: &tonic::Status) -> bool {
    format!("{status:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
}

impl fmt::Display for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, host, .. } => {
                write!(formatter, "HTTP {}", host.as_deref().unwrap_or(url))
            }
            Self::Grpc { origin, .. } => {
                write!(formatter, "gRPC {}", origin.as_deref().unwrap_or_default())
            }
        }
    }
}

/// What became of the requests of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: usize,
    refused: usize,
    /// Asked once more because the first answer was an error.
    retried: usize,
    /// When, since the load began, and why.
    failed: Vec<(Duration, String)>,
    /// Answered otherwise than at the beginning.
    changed: usize,
    longest: Duration,
}

impl Tally {
    /// Says what became of the requests; it is an error where any failed, or was answered otherwise than the first.
    pub(crate) fn expect_nothing_lost(&self, what: &str) -> Result {
        figure(format!("{what}: {self}"));
        ensure!(self.failed.is_empty(), "{what}: {self}");
        ensure!(self.changed == 0, "{what}: {} answers differ", self.changed);
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} answered, {} refused with 429, {} asked again, {} failed; the longest took {:.2?}",
            self.answered,
            self.refused,
            self.retried,
            self.failed.len(),
            self.longest
        )?;
        for (when, why) in self.failed.iter().take(5) {
            write!(formatter, "\n    after {when:.1?}: {why}")?;
        }
        Ok(())
    }
}

/// Callers that go on calling until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    callers: JoinSet<()>,
}

impl Load {
    /// Starts callers, each asking one thing after another; `tries` is how often each asks before it counts a
    /// failure.
    pub(crate) async fn start(callers: Vec<Caller>, tries: usize, pause: Duration) -> Result<Self> {
        let mut expected = Vec::new();
        for caller in &callers {
            expected.push(caller.objects().await.with_context(|| caller.to_string())?);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let begin = Instant::now();
        let mut set = JoinSet::new();
        for (caller, expected) in callers.into_iter().zip(expected) {
            let (stop, tally) = (stop.clone(), tally.clone());
            set.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let mut result = caller.call().await;
                    let mut again = 0;
                    while result.is_err() && again + 1 < tries {
                        again += 1;
                        // Longer every time, as clients do that ask again by themselves.
                        tokio::time::sleep(PAUSE * (1 << again)).await;
                        result = caller.call().await;
                    }
                    {
                        let mut tally = lock(&tally);
                        tally.retried += again;
                        tally.longest = tally.longest.max(asked.elapsed());
                        match result {
                            Ok(Answer::Objects(objects)) => {
                                tally.answered += 1;
                                tally.changed += usize::from(objects != expected);
                            }
                            Ok(Answer::Refused) => tally.refused += 1,
                            Err(error) => {
                                let why = format!("{caller}: {error:#}");
                                tally.failed.push((asked - begin, why));
                            }
                        }
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Ok(Self {
            stop,
            tally,
            callers: set,
        })
    }

    /// Callers at a constant, moderate rate, who ask once.
    pub(crate) async fn steady(callers: Vec<Caller>) -> Result<Self> {
        Self::start(callers, 1, PAUSE).await
    }

    /// Lets the callers finish, and answers what became of all requests.
    pub(crate) async fn stop(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended?;
        }
        Ok(lock(&self.tally).clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
