//! Downloading weights into the model directory.
//!
//! A download goes on where an earlier one was cut off, is verified whole before it gets its name, and
//! two at a time take turns.

mod error;
mod transfer;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use segmenter_models::catalogue::WeightsFile;
use url::Url;

pub use self::error::DownloadError;
use self::transfer::Transfer;
use crate::{
    fetch::client_builder,
    store::{self, ModelDir, StoreError},
};

/// The largest file that is downloaded, in bytes. The largest of the catalogue has a quarter of it.
const MAX_SIZE: u64 = 1 << 30;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a host may say nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// One file to download.
#[derive(Clone, Debug)]
pub struct Download {
    /// The catalogue's file.
    pub weights: &'static WeightsFile,
    /// Where it is downloaded from, by `http` or `https`.
    pub url: Url,
    /// The first hex digits that its SHA-256 should have.
    pub sha256: String,
}

/// Hears of a download's course.
pub trait Progress {
    /// Another process is downloading into the same directory and has to end first.
    fn waiting(&mut self);
    /// So many bytes are there, of so many if that is known.
    fn bytes(&mut self, done: u64, total: Option<u64>);
}

impl Download {
    /// The catalogue's file from where the catalogue says.
    pub fn new(weights: &'static WeightsFile) -> Result<Self, DownloadError> {
        let url = Url::parse(weights.url).map_err(|source| DownloadError::Url {
            url: weights.url,
            source,
        })?;
        Ok(Self {
            weights,
            url,
            sha256: weights.sha256.to_owned(),
        })
    }

    /// Downloads the file into `models` and answers where it lies; at once if it is there already.
    pub async fn run(
        &self,
        models: &ModelDir,
        progress: &mut (dyn Progress + Send),
    ) -> Result<PathBuf, DownloadError> {
        let path = models.weights_path(self.weights);
        if self.is_there(&path).await {
            return Ok(path);
        }
        let dir = models.path();
        fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
        let lock = lock(dir, progress).await?;
        // Whoever held the lock may have downloaded the same file.
        if !self.is_there(&path).await {
            self.download(models, progress).await?;
        }
        drop(lock);
        Ok(path)
    }

    async fn download(
        &self,
        models: &ModelDir,
        progress: &mut (dyn Progress + Send),
    ) -> Result<(), DownloadError> {
        let part = models
            .path()
            .join(format!("{}.part", self.weights.file_name));
        let client = client_builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|source| self.failed(source))?;
        loop {
            let mut transfer = Transfer::open(self, &client, &part).await?;
            if let Err(error) = transfer.finish(progress).await {
                if matches!(error, DownloadError::Size { .. }) {
                    fs::remove_file(&part).map_err(StoreError::io("remove", &part))?;
                }
                return Err(error);
            }
            let resumed = transfer.resumed;
            drop(transfer);
            let (models, weights) = (models.clone(), self.weights);
            let (from, sha256) = (part.clone(), self.sha256.clone());
            let installed = blocking(move || models.install(&from, weights, &sha256)).await?;
            match installed {
                Err(wrong @ StoreError::Checksum { .. }) => {
                    fs::remove_file(&part).map_err(StoreError::io("remove", &part))?;
                    // The bytes from before may have been of another file.
                    if !resumed {
                        return Err(wrong.into());
                    }
                }
                installed => return Ok(installed.map(drop)?),
            }
        }
    }

    async fn is_there(&self, path: &Path) -> bool {
        let (path, sha256) = (path.to_owned(), self.sha256.clone());
        let verified = blocking(move || store::verify(&path, &sha256)).await;
        matches!(verified, Ok(Ok(())))
    }

    /// The size of the catalogue's file, where it is that file which is wanted.
    fn expected_size(&self) -> Option<u64> {
        self.weights
            .size
            .exactly()
            .filter(|_| self.sha256 == self.weights.sha256)
    }

    fn failed(&self, source: reqwest::Error) -> DownloadError {
        DownloadError::Http {
            file_name: self.weights.file_name,
            host: host(&self.url),
            // It may have a password in it.
            source: source.without_url(),
        }
    }
}

/// The lock of the directory, which one process at a time has. The file stays: to remove it would take
/// it from under another who waits for it.
async fn lock(dir: &Path, progress: &mut (dyn Progress + Send)) -> Result<File, DownloadError> {
    let path = dir.join(".lock");
    let failed = || StoreError::io("lock", &path);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            progress.waiting();
            let locked = blocking(move || file.lock().map(|()| file)).await?;
            Ok(locked.map_err(failed())?)
        }
        Err(TryLockError::Error(error)) => Err(failed()(error).into()),
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(DownloadError::Stopped)
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use segmenter_models::catalogue::FileSize;
    use sha2::{Digest, Sha256};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    static WEIGHTS: WeightsFile = WeightsFile {
        file_name: "net.pth",
        url: "https://example.org/net.pth",
        sha256: "",
        size: FileSize::About(3),
    };

    fn content() -> Vec<u8> {
        (0..100_000u32).map(|i| (i % 251) as u8).collect()
    }

    /// A host that gives each connection the next of `answers`, then closes it.
    struct Host {
        url: Url,
        requests: Arc<Mutex<Vec<String>>>,
    }

    impl Host {
        async fn new(answers: Vec<Vec<u8>>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let requests = Arc::new(Mutex::new(Vec::new()));
            let heard = Arc::clone(&requests);
            tokio::spawn(async move {
                for answer in answers {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap();
                    let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                    heard.lock().unwrap().push(request);
                    stream.write_all(&answer).await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            });
            Self {
                url: format!("http://secret:word@{address}/net.pth")
                    .parse()
                    .unwrap(),
                requests,
            }
        }

        fn download(&self) -> Download {
            Download {
                weights: &WEIGHTS,
                url: self.url.clone(),
                sha256: store::hex(&Sha256::digest(content())),
            }
        }

        fn requests(&self) -> Vec<String> {
            self.requests.lock().unwrap().clone()
        }
    }

    /// The answer of the whole content, of which only the first `sent` bytes come.
    fn whole(sent: usize) -> Vec<u8> {
        let length = content().len();
        let head = format!("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), &content()[..sent]].concat()
    }

    /// The answer of the content from `first` on.
    fn rest(first: usize) -> Vec<u8> {
        let length = content().len();
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{length}\r\n\
             Content-Length: {}\r\n\r\n",
            length - 1,
            length - first
        );
        [head.as_bytes(), &content()[first..]].concat()
    }

    struct Quiet;

    impl Progress for Quiet {
        fn waiting(&mut self) {}
        fn bytes(&mut self, done: u64, total: Option<u64>) {
            assert!(total.is_none_or(|total| done <= total));
        }
    }

    /// A model directory whose earlier download has left `part`.
    fn models(part: &[u8]) -> (tempfile::TempDir, ModelDir) {
        let dir = tempfile::tempdir().unwrap();
        if !part.is_empty() {
            fs::write(dir.path().join("net.pth.part"), part).unwrap();
        }
        let models = ModelDir::new(Some(dir.path())).unwrap();
        (dir, models)
    }

    fn assert_installed(models: &ModelDir) {
        let path = models.weights_path(&WEIGHTS);
        assert!(fs::read(path).unwrap() == content());
        assert!(!models.path().join("net.pth.part").exists());
    }

    #[tokio::test]
    async fn a_file_is_downloaded_once() {
        let host = Host::new(vec![whole(100_000)]).await;
        let (_dir, models) = models(b"");
        let models = ModelDir::new(Some(&models.path().join("not/there/yet"))).unwrap();
        for _ in 0..2 {
            let path = host.download().run(&models, &mut Quiet).await.unwrap();
            assert_eq!(path, models.path().join("net.pth"));
        }
        assert_installed(&models);
        assert_eq!(host.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_cut_connection_is_taken_up_where_it_was_cut() {
        let host = Host::new(vec![whole(70_000), rest(70_000)]).await;
        let (_dir, models) = models(b"");
        host.download().run(&models, &mut Quiet).await.unwrap();
        assert_installed(&models);
        let requests = host.requests();
        assert!(!requests[0].contains("range"), "{requests:?}");
        assert!(
            requests[1].contains("\r\nrange: bytes=70000-\r\n"),
            "{requests:?}"
        );
        assert!(
            requests[1].contains("\r\nif-range: \"v1\"\r\n"),
            "{requests:?}"
        );
    }

    #[tokio::test]
    async fn what_an_earlier_run_left_is_taken_up() {
        let host = Host::new(vec![rest(60_000)]).await;
        let (_dir, models) = models(&content()[..60_000]);
        host.download().run(&models, &mut Quiet).await.unwrap();
        assert_installed(&models);
    }

    #[tokio::test]
    async fn what_an_earlier_run_left_whole_is_not_downloaded_again() {
        let answer = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */100000\r\n\
                      Content-Length: 0\r\n\r\n";
        let host = Host::new(vec![answer.into()]).await;
        let (_dir, models) = models(&content());
        host.download().run(&models, &mut Quiet).await.unwrap();
        assert_installed(&models);
    }

    #[tokio::test]
    async fn bytes_of_another_file_are_downloaded_again() {
        let (_dir, models) = models(&[7; 60_000]);
        let host = Host::new(vec![rest(60_000), whole(100_000)]).await;
        host.download().run(&models, &mut Quiet).await.unwrap();
        assert_installed(&models);
    }

    #[tokio::test]
    async fn a_host_that_knows_no_ranges_or_wrong_ones_sends_the_whole() {
        for answers in [vec![whole(100_000)], vec![rest(50_000), whole(100_000)]] {
            let host = Host::new(answers).await;
            let (_dir, models) = models(&content()[..60_000]);
            host.download().run(&models, &mut Quiet).await.unwrap();
            assert_installed(&models);
        }
    }

    #[tokio::test]
    async fn a_wrong_file_is_named_and_removed() {
        let mut answer = whole(100_000);
        *answer.last_mut().unwrap() ^= 1;
        let host = Host::new(vec![answer]).await;
        let (_dir, models) = models(b"");
        let download = host.download();
        let error = download
            .run(&models, &mut Quiet)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("has SHA-256"), "{error}");
        assert!(error.ends_with(&download.sha256), "{error}");
        let left: Vec<_> = fs::read_dir(models.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only the lock: {left:?}");
    }

    #[tokio::test]
    async fn a_file_of_another_size_is_not_downloaded() {
        static SIZED: WeightsFile = WeightsFile {
            size: FileSize::Exactly(99_999),
            sha256: "00",
            ..WEIGHTS
        };
        let host = Host::new(vec![whole(100_000)]).await;
        let (_dir, models) = models(b"");
        let download = Download {
            weights: &SIZED,
            sha256: "00".to_owned(),
            ..host.download()
        };
        let error = download
            .run(&models, &mut Quiet)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("has 100000 bytes or more, expected 99999"),
            "{error}"
        );
        assert!(!models.path().join("net.pth.part").exists());
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_at_once_and_a_busy_host_is_asked_again() {
        let status = |status: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into()
        };
        let host = Host::new(vec![status("404 Not Found")]).await;
        let (_dir, models) = models(b"");
        let error = host.download().run(&models, &mut Quiet).await.unwrap_err();
        let error = error.to_string();
        assert!(
            error.ends_with("from 127.0.0.1: it answers 404 Not Found"),
            "{error}"
        );

        let host = Host::new(vec![status("503 Service Unavailable"), whole(100_000)]).await;
        host.download().run(&models, &mut Quiet).await.unwrap();
        assert_installed(&models);
    }

    #[tokio::test]
    async fn two_downloads_take_turns() {
        let host = Host::new(vec![whole(100_000)]).await;
        let (_dir, models) = models(b"");
        let download = || {
            let (download, models) = (host.download(), models.clone());
            tokio::spawn(async move { download.run(&models, &mut Quiet).await.map(drop) })
        };
        let (first, second) = (download(), download());
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert_installed(&models);
        assert_eq!(host.requests().len(), 1);
    }
}
