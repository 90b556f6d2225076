//! The object store that keeps what clients upload: a folder, or a bucket at Amazon, Google, Microsoft, or whoever
//! speaks as one of them does.
//!
//! Objects are stored by [`Task`], each as a whole or not at all. The original of a task comes last: whoever finds it
//! finds all else, and what lacks it is still on its way or was given up.

use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object_store::{
    Attribute, Attributes, BackoffConfig, Error as StoreError, ObjectStore, ObjectStoreExt,
    ObjectStoreScheme, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder, local::LocalFileSystem, path::Path as Key,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::Instrument;
use url::{Position, Url};
use uuid::Uuid;

use crate::{error::Error, fetch};

/// Tasks that are stored at a time: each has a decoded picture in memory.
const TASKS: usize = 4;

/// Objects of a task that are on their way at a time.
const OBJECTS: usize = 4;

/// How often one is sent again, within a second: callers wait, and know best whether to try it all again.
const RETRIES: usize = 3;

/// No object is written for as long as this.
const STALE: Duration = Duration::from_hours(1);

/// Where a store is: a folder, or the URL of a bucket and a folder in it. What is printed of it has no password.
#[derive(Clone)]
pub struct Address(String);

/// An address that nothing can be stored at.
#[derive(Debug, thiserror::Error)]
#[error("--object-store {address} {reason}")]
pub struct BadAddress {
    address: Address,
    reason: String,
}

/// A store of uploads.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// What is before the names of all tasks.
    prefix: Key,
    /// The same as an address, without a slash at its end.
    address: String,
    /// Where the store is one.
    folder: Option<PathBuf>,
    places: Arc<Semaphore>,
}

/// A place among the tasks that are being stored.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// What is stored together, under `name/`.
pub struct Task<P> {
    /// Not that of any other task.
    pub name: String,
    /// Each by its name, and made when its turn comes.
    pub parts: Vec<(String, P)>,
    /// What the parts were made of, by its name.
    pub original: (String, Content),
}

/// An object.
pub struct Content {
    /// All of it.
    pub bytes: Bytes,
    /// What it is, such as `image/png`.
    pub media_type: &'static str,
}

/// Why a task was not stored.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The time was up.
    #[error("the object store did not take everything in time")]
    Late,
    /// The store refused an object, or is not there.
    #[error("the object store did not take everything")]
    Put(#[source] StoreError),
    /// A part could not be made.
    #[error(transparent)]
    Part(#[from] Error),
}

impl From<BucketError> for Error {
    fn from(error: BucketError) -> Self {
        let message = error.to_string();
        match error {
            BucketError::Late => Self::Deadline(message),
            BucketError::Put(cause) => {
                // The address of the store is not for callers.
                tracing::warn!(%cause, "{message}");
                Self::Internal(message)
            }
            BucketError::Part(error) => error,
        }
    }
}

impl Bucket {
    /// The store at this address, with the options and credentials that the variables of its SDK say. An object that
    /// does not get through is sent again, but not for longer than `patience`.
    ///
    /// # Errors
    /// If the address is neither of a folder that is there nor of a bucket, or the variables cannot be right.
    /// Whether there is such a bucket, and whether it may be written to, is seen when something is stored.
    pub fn open(address: &Address, patience: Duration) -> Result<Self, BadAddress> {
        let refused = |reason: &str| BadAddress {
            address: address.clone(),
            reason: reason.to_owned(),
        };
        let Address(text) = address;
        let no_folder = "is no folder that is there; expected one, or s3://BUCKET, gs://BUCKET or az://CONTAINER with \
                         the path of a folder in it";
        if !text.contains("://") {
            return Self::in_folder(Path::new(text)).ok_or_else(|| refused(no_folder));
        }
        let url = Url::parse(text).map_err(|error| refused(&format!("is no URL: {error}")))?;
        if url.password().is_some() {
            return Err(refused(
                "has a password, which belongs in the variables of the store's SDK, such as AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY",
            ));
        }
        if url.scheme() == "file" {
            let folder = url.to_file_path().ok();
            let bucket = folder.and_then(|folder| Self::in_folder(&folder));
            return bucket.ok_or_else(|| refused(no_folder));
        }
        // Which builds clients.
        fetch::choose_cryptography();
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: patience,
        };
        let (scheme, prefix) =
            ObjectStoreScheme::parse(&url).map_err(|error| refused(&error.to_string()))?;
        let store = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::from_env().with_url(text);
                builder.with_retry(retry).build().map(shared)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(text);
                builder.with_retry(retry).build().map(shared)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(text);
                builder.with_retry(retry).build().map(shared)
            }
            _ => return Err(refused(no_folder)),
        };
        let store = store.map_err(|error| refused(&format!("cannot be used: {error}")))?;
        let address = url[..Position::AfterPath].trim_end_matches('/');
        Ok(Self::new(store, prefix, address.to_owned(), None))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok().filter(|path| path.is_dir())?;
        let url = Url::from_directory_path(&folder).ok()?;
        let store = LocalFileSystem::new_with_prefix(&folder).ok()?;
        // Stored is what outlives the machine's next failure.
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        let address = url.as_str().trim_end_matches('/').to_owned();
        Some(Self::new(
            shared(store),
            Key::default(),
            address,
            Some(folder),
        ))
    }

    fn new(
        store: Arc<dyn ObjectStore>,
        prefix: Key,
        address: String,
        folder: Option<PathBuf>,
    ) -> Self {
        Self {
            store,
            prefix,
            address,
            folder,
            places: Arc::new(Semaphore::new(TASKS)),
        }
    }

    /// Waits for a place, before the picture is decoded that the parts of a task are made of.
    ///
    /// # Errors
    /// If there is none before the deadline.
    pub async fn place(&self, deadline: Instant) -> Result<Place, BucketError> {
        let permit = Arc::clone(&self.places).acquire_owned();
        let permit = tokio::time::timeout_at(deadline.into(), permit).await;
        // The semaphore is never closed.
        let permit = permit.ok().and_then(Result::ok);
        permit
            .map(|permit| Place { _permit: permit })
            .ok_or(BucketError::Late)
    }

    /// Stores a task, and answers the addresses of its parts.
    ///
    /// # Errors
    /// If not all of it is there at the deadline. Then what is gets deleted, as far as the store allows; so it does
    /// where the caller leaves.
    pub async fn store<P>(
        &self,
        task: Task<P>,
        place: Place,
        deadline: Instant,
    ) -> Result<Vec<String>, BucketError>
    where
        P: Future<Output = Result<Content, Error>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let bucket = self.clone();
        let storing = async move {
            // Held until nothing of the task is on its way any more.
            let _place = place;
            let key = |name: &String| bucket.key(&task.name, name);
            let original = key(&task.original.0);
            let parts: Vec<_> = task.parts.iter().map(|(name, _)| key(name)).collect();
            let stored = bucket.put_all(task, &tell).await;
            let failed = stored.is_err();
            let is_heard = tell.send(stored).is_ok();
            if failed || !is_heard {
                bucket.delete(&original, parts).await;
            }
        };
        tokio::spawn(storing.in_current_span());
        match tokio::time::timeout_at(deadline.into(), told).await {
            Ok(Ok(stored)) => stored,
            // It panicked, which is in the log.
            Ok(Err(_)) => Err(Error::internal().into()),
            Err(_) => Err(BucketError::Late),
        }
    }

    async fn put_all<P>(
        &self,
        task: Task<P>,
        listener: &Listener,
    ) -> Result<Vec<String>, BucketError>
    where
        P: Future<Output = Result<Content, Error>> + Send,
    {
        let failed = AtomicBool::new(false);
        let (failed, task_name) = (&failed, &task.name);
        let parts = stream::iter(task.parts).map(|(name, part)| async move {
            if failed.load(Ordering::Relaxed) || listener.is_closed() {
                return Err(BucketError::Late);
            }
            let stored = async { self.put(task_name, &name, part.await?).await };
            stored
                .await
                .inspect_err(|_| failed.store(true, Ordering::Relaxed))
        });
        // Also when one failed, the others that began are waited for: nothing comes after it was deleted.
        let parts: Vec<_> = parts.buffered(OBJECTS).collect().await;
        let addresses = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        if listener.is_closed() {
            return Err(BucketError::Late);
        }
        let (name, content) = task.original;
        self.put(task_name, &name, content).await?;
        Ok(addresses)
    }

    /// Stores an object and answers its address.
    async fn put(&self, task: &str, name: &str, content: Content) -> Result<String, BucketError> {
        let attributes = match self.folder {
            // Files have none.
            Some(_) => Attributes::new(),
            None => Attributes::from_iter([(Attribute::ContentType, content.media_type)]),
        };
        let (key, payload) = (self.key(task, name), content.bytes.into());
        let put = self.store.put_opts(&key, payload, attributes.into());
        put.await.map_err(BucketError::Put)?;
        Ok(format!("{}/{task}/{name}", self.address))
    }

    fn key(&self, task: &str, name: &str) -> Key {
        self.prefix.clone().join(task).join(name)
    }

    /// Deletes what is there of a task. Parts stay where the original cannot be deleted: it may be that it is there.
    async fn delete(&self, original: &Key, parts: Vec<Key>) {
        let mut deleted = absent_is_deleted(self.store.delete(original).await);
        if deleted.is_ok() {
            let parts = stream::iter(parts.into_iter().map(Ok)).boxed();
            let mut results = self.store.delete_stream(parts);
            while let Some(result) = results.next().await {
                deleted = deleted.and(absent_is_deleted(result.map(drop)));
            }
        }
        if let Err(error) = deleted {
            tracing::warn!(%error, "cannot delete what was stored of {original}");
        }
    }

    /// Begins to remove what a server left in a folder that was killed while it wrote: an object has another name until
    /// it is whole.
    pub fn tidy(&self) {
        let Some(folder) = self.folder.clone() else {
            return;
        };
        tokio::task::spawn_blocking(move || {
            let stale = SystemTime::now() - STALE;
            if let Err(error) = remove_leftovers(&folder, stale) {
                tracing::warn!(%error, "cannot look for leftovers in {}", folder.display());
            }
        });
    }
}

/// Who waits for a task to be stored.
type Listener = oneshot::Sender<Result<Vec<String>, BucketError>>;

fn shared(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}

fn absent_is_deleted(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::NotFound { .. }) => Ok(()),
        result => result,
    }
}

/// Removes unfinished files of tasks that were last written to before then. Other servers may be writing.
fn remove_leftovers(folder: &Path, stale: SystemTime) -> io::Result<()> {
    let name = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
    for task in fs::read_dir(folder)? {
        let task = task?.path();
        if name(&task).is_none_or(|name| Uuid::try_parse(&name).is_err()) {
            continue;
        }
        for file in fs::read_dir(&task)? {
            let file = file?.path();
            let modified = fs::metadata(&file).and_then(|data| data.modified());
            let is_stale = modified.is_ok_and(|modified| modified < stale);
            if is_stale && name(&file).is_some_and(|name| is_unfinished(&name)) {
                fs::remove_file(&file)?;
                // Fails where it has something else in it.
                let _ = fs::remove_dir(&task);
            }
        }
    }
    Ok(())
}

/// Whether a file is not yet an object: these have a number behind their names.
fn is_unfinished(name: &str) -> bool {
    let number = name.split_once('#').map(|(_, number)| number);
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let parts = text.split_once("://").and_then(|(scheme, rest)| {
            let (user, host) = rest.rsplit_once('@')?;
            let (user, _) = user.split_once(':')?;
            Some((scheme, user, host))
        });
        match parts {
            Some((scheme, user, host)) => write!(f, "{scheme}://{user}:***@{host}"),
            None => f.write_str(text),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_is_refused_with_what_would_be() {
        for (address, advice) in [
            ("/nonesuch", "expected one, or s3://BUCKET"),
            ("file:///nonesuch", "expected one, or s3://BUCKET"),
            ("http://host/folder", "expected one, or s3://BUCKET"),
            ("s3:///folder", "s3:///folder"),
            ("s3://key:hidden@bucket", "AWS_SECRET_ACCESS_KEY"),
            ("s3://key:hid/den@bucket", "s3://key:***@bucket is no URL"),
        ] {
            let opened = Bucket::open(&Address::from(address.to_owned()), STALE);
            let error = opened.err().unwrap().to_string();
            assert!(error.contains(advice), "{address}: {error}");
            assert!(!error.contains("hid"), "{error}");
        }
    }

    #[test]
    fn objects_are_at_the_address_and_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let real = folder.path().canonicalize().unwrap();
        for (address, expected) in [
            (path.to_owned(), format!("file://{}", real.display())),
            (
                format!("file://{path}/"),
                format!("file://{}", real.display()),
            ),
            ("s3://bucket".to_owned(), "s3://bucket".to_owned()),
            ("gs://bucket/a/b/".to_owned(), "gs://bucket/a/b".to_owned()),
        ] {
            let bucket = Bucket::open(&Address::from(address), STALE).unwrap();
            assert_eq!(bucket.address, expected);
        }
    }

    #[test]
    fn only_old_unfinished_files_of_tasks_are_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let [empty, task] = [(); 2].map(|()| Uuid::new_v4().to_string());
        let paths = [
            format!("{empty}/obj_0.png#1"),
            format!("{task}/obj_0.png"),
            format!("{task}/{task}.jpg#2"),
            "other/obj_0.png#1".to_owned(),
        ];
        let paths = paths.map(|path| folder.path().join(path));
        for path in &paths {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let there = || paths.each_ref().map(|path| path.exists());
        remove_leftovers(folder.path(), SystemTime::now() - STALE).unwrap();
        assert_eq!(there(), [true; 4]);
        remove_leftovers(folder.path(), SystemTime::now() + STALE).unwrap();
        assert_eq!(there(), [false, true, false, true]);
        assert!(!folder.path().join(empty).exists());
    }
}
