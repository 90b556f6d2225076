//! A GPU that computes: what is compiled for it, and what is recorded and not yet submitted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use crate::{memory::Memory, shader::Shader};

/// Threads of a workgroup, in every kernel.
pub(crate) const THREADS: usize = 64;

/// Dispatches that are submitted together: as few as keep a GPU busy while the next are recorded.
const TOGETHER: usize = 32;

/// Workgroups along one axis; a limit that all GPUs have.
const MOST_GROUPS: usize = 65_535;

/// Why a GPU does not compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// It cannot do what the kernels need.
    #[error("{name} lacks {missing}, which the kernels need")]
    Lacking {
        /// Of the adapter.
        name: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// Its driver refuses to open it.
    #[error("{name} cannot be opened: {reason}")]
    Refused {
        /// Of the adapter.
        name: String,
        /// In the driver's words.
        reason: String,
    },
    /// It failed while it computed: out of memory, reset, or gone.
    #[error("the GPU failed: {0}")]
    Failed(String),
}

/// A GPU that was opened for computing.
#[derive(Debug)]
pub struct Gpu {
    name: String,
    pub(crate) device: wgpu::Device,
    queue: wgpu::Queue,
    pub(crate) memory: Memory,
    /// By what they are compiled from.
    pipelines: Mutex<HashMap<Shader, Arc<Pipeline>>>,
    recorder: Mutex<Recorder>,
    /// The first thing that went wrong.
    fault: Arc<Mutex<Option<String>>>,
}

/// A shader that was compiled.
#[derive(Debug)]
struct Pipeline {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroupLayout,
}

/// What is recorded and not yet submitted.
#[derive(Debug, Default)]
struct Recorder {
    /// The pass ends before its commands do.
    pass: Option<wgpu::ComputePass<'static>>,
    commands: Option<wgpu::CommandEncoder>,
    dispatches: usize,
}

impl Gpu {
    pub(crate) fn open(name: &str, adapter: &wgpu::Adapter) -> Result<Arc<Self>, GpuError> {
        let needed = wgpu::Features::IMMEDIATES;
        if !adapter.features().contains(needed) {
            return Err(GpuError::Lacking {
                name: name.to_owned(),
                missing: "immediate data (push constants)",
            });
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: None,
            required_features: needed,
            required_limits: adapter.limits(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (device, queue) = opened.map_err(|error| GpuError::Refused {
            name: name.to_owned(),
            reason: error.to_string(),
        })?;

        let fault = Arc::new(Mutex::new(None));
        let note = |fault: &Arc<Mutex<Option<String>>>| {
            let fault = Arc::clone(fault);
            move |what: String| {
                tracing::error!("the GPU failed: {what}");
                lock(&fault).get_or_insert(what);
            }
        };
        let of_error = note(&fault);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            of_error(error.to_string());
        }));
        let of_loss = note(&fault);
        device.set_device_lost_callback(move |reason, message| {
            // Which is how every device ends.
            if reason != wgpu::DeviceLostReason::Destroyed {
                of_loss(format!("it is lost: {message}"));
            }
        });
        Ok(Arc::new(Self {
            name: name.to_owned(),
            memory: Memory::default(),
            pipelines: Mutex::default(),
            recorder: Mutex::default(),
            device,
            queue,
            fault,
        }))
    }

    /// Of the adapter that it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What went wrong since it was opened, if anything did. It computes nothing any more then.
    pub fn fault(&self) -> Option<GpuError> {
        lock(&self.fault).clone().map(GpuError::Failed)
    }

    /// The shader, compiled when it is first asked for, with as many inputs and words of immediate data as then.
    fn pipeline(&self, shader: Shader, inputs: usize, words: usize) -> Arc<Pipeline> {
        let mut pipelines = lock(&self.pipelines);
        if let Some(pipeline) = pipelines.get(&shader) {
            return Arc::clone(pipeline);
        }
        let pipeline = Arc::new(self.compile(&shader, inputs, words));
        pipelines.insert(shader, Arc::clone(&pipeline));
        pipeline
    }

    fn compile(&self, shader: &Shader, inputs: usize, words: usize) -> Pipeline {
        let name = format!("{:?}", shader.kernel);
        let label = Some(name.as_str());
        let module = self
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label,
                source: wgpu::ShaderSource::Wgsl(shader.source().into()),
            });
        let entries: Vec<_> = (0..=inputs)
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage {
                        read_only: binding < inputs,
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let bindings = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label,
                entries: &entries,
            });
        let layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&bindings)],
                immediate_size: (words * size_of::<u32>()) as u32,
            });
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
        Pipeline { pipeline, bindings }
    }

    /// Records a call of a shader: what it reads and, last, what it writes, its immediate data, words of 32 bits, and
    /// how many workgroups there are along both axes.
    pub(crate) fn run(
        &self,
        shader: Shader,
        buffers: &[&wgpu::Buffer],
        words: &[usize],
        [x, y]: [usize; 2],
    ) {
        if x == 0 || y == 0 {
            return;
        }
        let kernel = self.pipeline(shader, buffers.len() - 1, words.len());
        let words: Vec<_> = words.iter().map(|&word| word as u32).collect();
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &kernel.bindings,
            entries: &entries,
        });
        let mut recorder = lock(&self.recorder);
        let pass = recorder.pass(&self.device);
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.set_immediates(0, bytemuck::cast_slice(&words));
        pass.dispatch_workgroups(x as u32, y as u32, 1);
        recorder.dispatches += 1;
        if recorder.dispatches >= TOGETHER {
            recorder.submit(&self.queue);
        }
    }

    /// As [`run`](Self::run), with a thread for each of so many items. How many is the first word of the immediate data.
    pub(crate) fn run_each(
        &self,
        shader: Shader,
        buffers: &[&wgpu::Buffer],
        words: &[usize],
        items: usize,
    ) {
        let words = [&[items], words].concat();
        let groups = items.div_ceil(THREADS);
        let rows = groups.div_ceil(MOST_GROUPS).max(1);
        self.run(shader, buffers, &words, [groups.div_ceil(rows), rows]);
    }

    /// Writes to the start of a buffer that nobody else has, after all that is recorded.
    pub(crate) fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        // Writes come before whatever is submitted next, and the buffer may have been another's until now.
        lock(&self.recorder).submit(&self.queue);
        self.queue.write_buffer(buffer, 0, bytes);
    }

    /// Copies buffers, `(from, bytes)`, to one that is then read, one behind the other, and waits until that is done.
    pub(crate) fn copy_and_wait(
        &self,
        from: &[(&wgpu::Buffer, u64)],
        to: &wgpu::Buffer,
    ) -> Result<(), GpuError> {
        let mut recorder = lock(&self.recorder);
        let commands = recorder.commands(&self.device);
        let mut at = 0;
        for &(buffer, bytes) in from {
            commands.copy_buffer_to_buffer(buffer, 0, to, at, bytes);
            at += bytes;
        }
        let submission = recorder.submit(&self.queue);
        drop(recorder);
        let (send, mapped) = mpsc::channel();
        to.map_async(wgpu::MapMode::Read, 0..at, move |result| {
            let _ = send.send(result);
        });
        let done = self.device.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: None,
        });
        let answered = match done {
            // Told by the poll that found it mapped, which may be another thread's and not be done with telling.
            Ok(_) => match mapped.recv() {
                Ok(Ok(())) => Ok(()),
                _ => Err("it answers nothing".to_owned()),
            },
            Err(error) => Err(error.to_string()),
        };
        if let Err(what) = answered {
            // Whether the buffer is mapped is not known any more, and it will be another's.
            lock(&self.fault).get_or_insert(what);
        }
        self.fault().map_or(Ok(()), Err)
    }
}

impl Recorder {
    fn commands(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.commands
            .get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }

    fn pass(&mut self, device: &wgpu::Device) -> &mut wgpu::ComputePass<'static> {
        if self.pass.is_none() {
            let commands = self.commands(device);
            let pass = commands.begin_compute_pass(&Default::default());
            self.pass = Some(pass.forget_lifetime());
        }
        self.pass.get_or_insert_with(|| unreachable!("made above"))
    }

    fn submit(&mut self, queue: &wgpu::Queue) -> Option<wgpu::SubmissionIndex> {
        self.pass = None;
        self.dispatches = 0;
        let commands = self.commands.take()?;
        Some(queue.submit([commands.finish()]))
    }
}

/// What a thread that panicked has left is whole: nothing here is changed in two steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
