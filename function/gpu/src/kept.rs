//! Compiled kernels, kept in a file from one start to the next.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// What a driver made of kernels, and where it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// Whether there is more than in the file.
    more: AtomicBool,
}

impl Kept {
    /// In a file of this folder that is for this adapter alone; `None` where the driver keeps nothing.
    #[expect(unsafe_code, reason = "the driver is given a file's bytes")]
    pub(crate) fn open(
        folder: &Path,
        info: &wgpu::AdapterInfo,
        device: &wgpu::Device,
    ) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = folder.join(wgpu::util::pipeline_cache_key(info)?);
        let data = fs::read(&file).ok();
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: None,
            data: data.as_deref(),
            fallback: true,
        };
        // SAFETY: the file was written below, into a folder whose weights are trusted, too; wgpu and the driver leave
        // alone what another version or device has written.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self {
            cache,
            file,
            more: AtomicBool::new(false),
        })
    }

    /// For a kernel that is compiled now.
    pub(crate) fn cache(&self) -> &wgpu::PipelineCache {
        self.more.store(true, Ordering::Relaxed);
        &self.cache
    }

    /// Writes the file, if there is more than in it. A folder that cannot be written to costs time at the next start,
    /// no more.
    pub(crate) fn keep(&self) {
        if !self.more.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.write() {
            tracing::debug!(%error, "compiled kernels are not kept in {}", self.file.display());
        }
    }

    fn write(&self) -> io::Result<()> {
        let Some(data) = self.cache.get_data() else {
            return Ok(());
        };
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        // Of a name that no other process takes.
        let unfinished = self.file.with_extension(std::process::id().to_string());
        fs::write(&unfinished, data)?;
        fs::rename(&unfinished, &self.file)
    }
}
