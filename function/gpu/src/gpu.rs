//! A GPU that computes: what is compiled for it, and what is recorded and not yet submitted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use segmenter_kernels::Span;

use crate::{
    adapter::Options,
    kept::Kept,
    memory::{Block, Memory, Use},
    shader::Shader,
    trace::{self, Trace},
};

/// Threads of a workgroup, in every kernel.
pub(crate) const THREADS: usize = 64;

/// Dispatches that are submitted together: as few as keep a GPU busy while the next are recorded.
const TOGETHER: usize = 32;

/// Workgroups along one axis; a limit that all GPUs have.
pub(crate) const MOST_GROUPS: usize = 65_535;

/// Bytes that a thread copies at a time.
const PIECE: usize = 1 << 20;

/// Why a GPU does not compute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// It cannot do what the kernels need.
    #[error("{name} lacks {missing}, which is needed")]
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

/// Whether its kernels can have 16-bit floats.
pub(crate) fn has_halves(adapter: &wgpu::Adapter) -> bool {
    adapter.features().contains(wgpu::Features::SHADER_F16)
}

/// Whether there is what the kernel for products of small matrices needs: those of 16 by 16 with factors of 16 bits and
/// sums of 32, and subgroups of 32 threads.
pub(crate) fn multiplies_matrices(adapter: &wgpu::Adapter) -> bool {
    use wgpu::CooperativeScalarType::{F16, F32};
    let info = adapter.get_info();
    let mut products = adapter.cooperative_matrix_properties().into_iter();
    let matrices = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    has_halves(adapter)
        && adapter.features().contains(matrices)
        && [info.subgroup_min_size, info.subgroup_max_size] == [32; 2]
        && products.any(|product| {
            [product.m_size, product.n_size, product.k_size] == [16; 3]
                && [product.ab_type, product.cr_type] == [F16, F32]
        })
}

/// A GPU that was opened for computing.
#[derive(Debug)]
pub struct Gpu {
    name: String,
    pub(crate) device: wgpu::Device,
    queue: wgpu::Queue,
    pub(crate) memory: Memory,
    /// Whether maps and the factors of dense convolutions have 16 bits.
    half: bool,
    /// Whether dense convolutions are made by units for products of small matrices.
    matrices: bool,
    trace: Option<Trace>,
    kept: Option<Kept>,
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
    /// Since the last answer, where they are timed.
    timed: Vec<Span>,
}

impl Gpu {
    #[expect(
        unsafe_code,
        reason = "products of small matrices are an experiment of wgpu's"
    )]
    pub(crate) fn open(
        name: &str,
        adapter: &wgpu::Adapter,
        options: &Options,
    ) -> Result<Arc<Self>, GpuError> {
        let mut needed = wgpu::Features::IMMEDIATES;
        let mut experiments = wgpu::ExperimentalFeatures::disabled();
        let missing = |features| !adapter.features().contains(features);
        let lacking = |missing| GpuError::Lacking {
            name: name.to_owned(),
            missing,
        };
        if missing(needed) {
            return Err(lacking("immediate data (push constants)"));
        }
        if options.half {
            if !has_halves(adapter) {
                return Err(lacking("16-bit floats"));
            }
            needed |= wgpu::Features::SHADER_F16;
        }
        let matrices = options.half && multiplies_matrices(adapter);
        if matrices {
            needed |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: the one text that uses them keeps to the rules for them: all threads of a subgroup come by.
            experiments = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        if options.traced {
            if missing(wgpu::Features::TIMESTAMP_QUERY) {
                return Err(lacking("a clock"));
            }
            needed |= wgpu::Features::TIMESTAMP_QUERY;
        }
        needed |= adapter.features() & wgpu::Features::PIPELINE_CACHE;
        let descriptor = wgpu::DeviceDescriptor {
            label: None,
            required_features: needed,
            required_limits: adapter.limits(),
            experimental_features: experiments,
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
            half: options.half,
            matrices,
            trace: options.traced.then(|| Trace::new(&device)),
            kept: options
                .kept
                .as_ref()
                .and_then(|folder| Kept::open(folder, &adapter.get_info(), &device)),
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

    #[expect(
        unsafe_code,
        reason = "checks stand in the way of every access and every loop"
    )]
    fn compile(&self, shader: &Shader, inputs: usize, words: usize) -> Pipeline {
        let name = format!("{:?}", shader.kernel);
        let label = Some(name.as_str());
        let text = wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(shader.source(self.half).into()),
        };
        let checks = wgpu::ShaderRuntimeChecks::unchecked();
        // SAFETY: no text comes from outside; the kernels check their places themselves, and none loops for ever.
        let module = unsafe { self.device.create_shader_module_trusted(text, checks) };
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
                compilation_options: wgpu::PipelineCompilationOptions {
                    // They write what they read of it; and one thread alone would write the zeros.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.kept.as_ref().map(Kept::cache),
            });
        Pipeline { pipeline, bindings }
    }

    /// Records a call of a shader: what it reads and, last, what it writes, its immediate data, words of 32 bits, how
    /// many workgroups there are along each axis, and what a trace says of it.
    pub(crate) fn run(
        &self,
        shader: Shader,
        buffers: &[&wgpu::Buffer],
        words: &[usize],
        groups: [usize; 3],
        span: impl FnOnce() -> Span,
    ) {
        if groups.contains(&0) {
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
        let times = self.trace.as_ref().and_then(|trace| {
            let call = recorder.timed.len();
            (call < trace::MOST).then(|| trace.writes(call))
        });
        if times.is_some() {
            recorder.timed.push(span());
        }
        let pass = recorder.pass(&self.device, times);
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.set_immediates(0, bytemuck::cast_slice(&words));
        let [x, y, z] = groups.map(|groups| groups as u32);
        pass.dispatch_workgroups(x, y, z);
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
        span: impl FnOnce() -> Span,
    ) {
        let words = [&[items], words].concat();
        let groups = items.div_ceil(THREADS);
        let rows = groups.div_ceil(MOST_GROUPS).max(1);
        self.run(
            shader,
            buffers,
            &words,
            [groups.div_ceil(rows), rows, 1],
            span,
        );
    }

    /// Writes these, one behind the other, to the start of a buffer that nobody else has, after all that is recorded.
    pub(crate) fn write(&self, buffer: &wgpu::Buffer, all: &[&[u8]]) {
        let bytes: usize = all.iter().map(|bytes| bytes.len()).sum();
        let copied = (bytes as u64).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let Some(size) = wgpu::BufferSize::new(copied) else {
            return;
        };
        // Writes come before whatever is submitted next, and the buffer may have been another's until now.
        lock(&self.recorder).submit(&self.queue);
        let Some(mut staged) = self.queue.write_buffer_with(buffer, 0, size) else {
            // The device is lost, which it tells itself.
            return;
        };
        let mut rest = staged.slice(..);
        // By all threads: one alone does not move as much as the GPU can take.
        rayon::in_place_scope(|scope| {
            for bytes in all {
                let (own, others) = rest.split_at(bytes.len());
                rest = others;
                let (pieces, mut last) = own.into_chunks::<PIECE>();
                let (from, from_last) = bytes.as_chunks::<PIECE>();
                for (piece, from) in pieces.into_iter().zip(from) {
                    scope.spawn(move |_| wgpu::WriteOnly::from(piece).copy_from_slice(from));
                }
                last.copy_from_slice(from_last);
            }
        });
    }

    /// Copies buffers, `(from, bytes)`, to one that is then read, one behind the other, and waits until that is done.
    pub(crate) fn copy_and_wait(
        self: &Arc<Self>,
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
        let timed = std::mem::take(&mut recorder.timed);
        let submission = recorder.submit(&self.queue);
        drop(recorder);
        self.wait_for(to, at, submission)?;
        if let Some(kept) = &self.kept {
            kept.keep();
        }
        match &self.trace {
            Some(trace) if !timed.is_empty() => self.read_times(trace, timed),
            _ => Ok(()),
        }
    }

    /// Waits until so many bytes of a buffer can be read, which what was submitted writes.
    fn wait_for(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Result<(), GpuError> {
        let (send, mapped) = mpsc::channel();
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
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

    /// When these calls, which are done, began and ended.
    fn read_times(self: &Arc<Self>, trace: &Trace, calls: Vec<Span>) -> Result<(), GpuError> {
        let bytes = calls.len() * size_of::<[u64; 2]>();
        let resolved = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes as u64,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let read = Block::take(self, Use::ReadBack, bytes);
        let mut commands = self.device.create_command_encoder(&Default::default());
        commands.resolve_query_set(&trace.times, 0..2 * calls.len() as u32, &resolved, 0);
        commands.copy_buffer_to_buffer(&resolved, 0, read.buffer(), 0, bytes as u64);
        let submission = self.queue.submit([commands.finish()]);
        self.wait_for(read.buffer(), bytes as u64, Some(submission))?;
        let nanoseconds = self.queue.get_timestamp_period();
        read.read(calls.len(), |ticks| trace.add(calls, ticks, nanoseconds))
    }

    /// The calls of kernels that were answered since this was last asked for; none where they are not traced.
    pub fn spans(&self) -> Vec<Span> {
        self.trace.as_ref().map(Trace::take).unwrap_or_default()
    }

    /// Bytes of the largest map that its kernels can be given.
    pub fn largest_map(&self) -> u64 {
        let limits = self.device.limits();
        limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
    }

    /// Whether the values of maps and the factors of dense convolutions have 16 bits.
    pub fn half(&self) -> bool {
        self.half
    }

    /// Whether dense convolutions are made by units for products of small matrices.
    pub(crate) fn matrices(&self) -> bool {
        self.matrices
    }

    /// Bytes of a value of a map.
    pub(crate) fn value_bytes(&self) -> usize {
        if self.half {
            size_of::<half::f16>()
        } else {
            size_of::<f32>()
        }
    }
}

impl Recorder {
    fn commands(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.commands
            .get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }

    /// The pass that goes on, or one of its own for a call that is timed.
    fn pass(
        &mut self,
        device: &wgpu::Device,
        times: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) -> &mut wgpu::ComputePass<'static> {
        if self.pass.is_none() || times.is_some() {
            let pass = self
                .commands(device)
                .begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: times,
                });
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
