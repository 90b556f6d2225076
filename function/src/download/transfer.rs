//! Filling a file from a URL, over as many connections as it takes.

use std::{io::SeekFrom, path::Path, time::Duration};

use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, RANGE},
};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::{Download, DownloadError, MAX_SIZE, Progress, host};
use crate::store::StoreError;

/// How often in a row a broken download is taken up again without having gained a byte.
const MAX_RETRIES: u32 = 4;

/// How long to wait before the first such retry; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// A file that is being filled from a URL.
pub(super) struct Transfer<'a> {
    download: &'a Download,
    client: &'a Client,
    file: tokio::fs::File,
    /// Bytes in the file.
    done: u64,
    /// Whether they may be of different versions of the file.
    pub(super) resumed: bool,
    /// What the host called the version that the bytes of this run are of.
    etag: Option<HeaderValue>,
}

impl<'a> Transfer<'a> {
    pub(super) async fn open(
        download: &'a Download,
        client: &'a Client,
        part: &Path,
    ) -> Result<Self, StoreError> {
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(part)
            .await
            .map_err(StoreError::io("open", part))?;
        let done = file
            .seek(SeekFrom::End(0))
            .await
            .map_err(StoreError::io("read", part))?;
        Ok(Self {
            download,
            client,
            file,
            done,
            resumed: done > 0,
            etag: None,
        })
    }

    /// Fills the file up to its end, over as many connections as it takes.
    pub(super) async fn finish(
        &mut self,
        progress: &mut (dyn Progress + Send),
    ) -> Result<(), DownloadError> {
        let mut retries = 0;
        loop {
            let before = self.done;
            let result = self.connect(progress).await;
            // What is written is behind by what the file still buffers.
            self.file.flush().await.map_err(self.write_failed())?;
            match result {
                Err(error) if error.may_pass() => {
                    retries = if self.done > before { 0 } else { retries + 1 };
                    if retries > MAX_RETRIES {
                        return Err(error);
                    }
                    tracing::debug!(%error, done = self.done, "taking the download up again");
                    tokio::time::sleep(FIRST_PAUSE * 2u32.pow(retries)).await;
                }
                result => return result,
            }
        }
    }

    /// Takes from one connection what it has.
    async fn connect(&mut self, progress: &mut (dyn Progress + Send)) -> Result<(), DownloadError> {
        let mut request = self.client.get(self.download.url.clone());
        if self.done > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.done));
            if let Some(etag) = &self.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = request.send().await;
        let response = response.map_err(|source| self.download.failed(source))?;
        let total = match response.status() {
            StatusCode::PARTIAL_CONTENT if self.done > 0 => match content_range(&response) {
                Some((Some(first), total)) if first == self.done => {
                    // Nothing says then that it is a part of the same file.
                    self.resumed |= self.etag.is_none();
                    total
                }
                _ => return self.start_over().await,
            },
            StatusCode::RANGE_NOT_SATISFIABLE if self.done > 0 => {
                return match content_range(&response) {
                    Some((None, Some(total))) if total == self.done => Ok(()),
                    _ => self.start_over().await,
                };
            }
            StatusCode::OK => {
                self.truncate().await?;
                response.content_length()
            }
            status => {
                return Err(DownloadError::Status {
                    file_name: self.download.weights.file_name,
                    host: host(&self.download.url),
                    status,
                });
            }
        };
        self.etag = response
            .headers()
            .get(ETAG)
            .filter(|etag| !etag.as_bytes().starts_with(b"W/"))
            .cloned();
        self.copy(response, total, progress).await
    }

    async fn copy(
        &mut self,
        mut response: Response,
        total: Option<u64>,
        progress: &mut (dyn Progress + Send),
    ) -> Result<(), DownloadError> {
        let expected = self.download.expected_size();
        if let (Some(expected), Some(found)) = (expected, total)
            && expected != found
        {
            return Err(self.wrong_size(found));
        }
        let limit = expected.or(total).unwrap_or(MAX_SIZE).min(MAX_SIZE);
        progress.bytes(self.done, expected.or(total));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.download.failed(source))?
        {
            let done = self.done + chunk.len() as u64;
            if done > limit {
                return Err(self.wrong_size(done));
            }
            self.file
                .write_all(&chunk)
                .await
                .map_err(self.write_failed())?;
            self.done = done;
            progress.bytes(done, expected.or(total));
        }
        match expected.or(total) {
            Some(expected) if expected != self.done => Err(self.wrong_size(self.done)),
            _ => Ok(()),
        }
    }

    /// Forgets what there is, for the next connection to begin at the beginning.
    async fn start_over(&mut self) -> Result<(), DownloadError> {
        self.truncate().await?;
        Err(DownloadError::Range {
            file_name: self.download.weights.file_name,
            host: host(&self.download.url),
        })
    }

    async fn truncate(&mut self) -> Result<(), DownloadError> {
        self.file.set_len(0).await.map_err(self.write_failed())?;
        self.file.rewind().await.map_err(self.write_failed())?;
        self.done = 0;
        self.resumed = false;
        self.etag = None;
        Ok(())
    }

    fn wrong_size(&self, found: u64) -> DownloadError {
        DownloadError::Size {
            file_name: self.download.weights.file_name,
            host: host(&self.download.url),
            found,
            expected: self.download.expected_size().unwrap_or(MAX_SIZE),
        }
    }

    fn write_failed(&self) -> impl FnOnce(std::io::Error) -> DownloadError + use<> {
        let file_name = self.download.weights.file_name;
        move |source| DownloadError::Write { file_name, source }
    }
}

/// The first byte, if any, and the length of the whole that an answer says it is a part of
/// (RFC 9110, section 14.4).
fn content_range(response: &Response) -> Option<(Option<u64>, Option<u64>)> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (part, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let first = part
        .split_once('-')
        .and_then(|(first, _)| first.parse().ok());
    Some((first, total.parse().ok()))
}
