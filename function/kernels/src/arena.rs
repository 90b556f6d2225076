//! Memory that is used again.

use std::{
    alloc::{Layout, handle_alloc_error},
    fmt, iter,
    marker::PhantomData,
    ops::{Deref, DerefMut, Range},
    ptr::{self, NonNull},
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libc::{
    MADV_DONTNEED, MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE,
    madvise, mmap, munmap,
};

/// A cache line, and a vector of the widest instructions.
const ALIGNMENT: usize = 64;

/// A multiple of every system's pages.
const PAGE: usize = 64 << 10;

/// Buffers that are taken between two looks at what of the memory is in use: some tens of pictures of a small network.
const LOOK_EVERY: usize = 10_000;

/// Bytes between buffers that belong to none, where somebody looks for accesses to them.
const APART: usize = if cfg!(sanitized) { ALIGNMENT } else { 0 };

/// Keeps the memory of dropped [`Buffer`]s for the next ones.
///
/// A buffer lies in the first gap that is long enough, and what is dropped becomes a gap again, or part of those
/// beside it. So what is kept stays about as much as was ever in use at a time, and a network that runs again on
/// an input of some size allocates nothing. What lies behind all that was in use for a while goes back to the system.
#[derive(Clone, Default)]
pub struct Arena {
    chunks: Arc<Mutex<Chunks>>,
}

impl Arena {
    /// That has room for so many bytes before it needs a second chunk. They take no memory before they are used.
    pub fn with_room(bytes: usize) -> Self {
        let chunks = Chunks {
            least: bytes,
            ..Chunks::default()
        };
        Self {
            chunks: Arc::new(Mutex::new(chunks)),
        }
    }

    /// `length` values that were anything, aligned to a cache line.
    pub fn take<T: Element>(&self, length: usize) -> Buffer<T> {
        // Nothing, too, has a place of its own.
        let bytes = length
            .checked_mul(size_of::<T>())
            .and_then(|bytes| bytes.max(1).checked_next_multiple_of(ALIGNMENT))
            .and_then(|bytes| bytes.checked_add(APART));
        #[expect(clippy::expect_used, reason = "as `vec![0; length]` would panic")]
        let span = self.lock().take(bytes.expect("capacity overflow"));
        sanitizer::allow(span.pointer, length * size_of::<T>());
        Buffer {
            span,
            length,
            arena: self.clone(),
            element: PhantomData,
        }
    }

    /// Bytes that are kept, in use or not.
    pub fn kept(&self) -> usize {
        self.lock().chunks.iter().map(|chunk| chunk.kept).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All memory of an arena.
#[derive(Default)]
struct Chunks {
    chunks: Vec<Chunk>,
    /// Bytes of the next chunk, at the least.
    least: usize,
    /// Buffers that are in use.
    buffers: usize,
    /// Buffers that were taken since the last look.
    taken: usize,
}

impl Chunks {
    fn take(&mut self, bytes: usize) -> Span {
        self.buffers += 1;
        self.taken += 1;
        if self.taken == LOOK_EVERY {
            self.taken = 0;
            self.chunks.retain_mut(Chunk::trim);
        }
        loop {
            if let Some(span) = self.chunks.iter_mut().find_map(|chunk| chunk.take(bytes)) {
                return span;
            }
            self.chunks.push(Chunk::new(bytes.max(self.least)));
        }
    }

    fn give_back(&mut self, span: Span) {
        self.buffers -= 1;
        if let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.holds(span)) {
            chunk.give_back(span);
        }
        // Nothing is in use: from now on one chunk can be as long as all of them, with fewer gaps between.
        if self.buffers == 0 && self.chunks.len() > 1 {
            self.least = self.chunks.iter().map(|chunk| chunk.memory.bytes).sum();
            self.chunks.clear();
        }
    }
}

/// A piece of memory that buffers lie in.
struct Chunk {
    memory: Memory,
    /// Where in it nothing lies, in order, no two side by side.
    gaps: Vec<Range<usize>>,
    /// Up to where it was used and has not gone back to the system.
    kept: usize,
    /// Up to where it was used since the last look.
    used: usize,
}

impl Chunk {
    fn new(bytes: usize) -> Self {
        let memory = Memory::new(bytes);
        Self {
            gaps: iter::once(0..memory.bytes).collect(),
            memory,
            kept: 0,
            used: 0,
        }
    }

    fn take(&mut self, bytes: usize) -> Option<Span> {
        let index = self.gaps.iter().position(|gap| gap.len() >= bytes)?;
        let gap = &mut self.gaps[index];
        let start = gap.start;
        gap.start += bytes;
        self.used = self.used.max(gap.start);
        self.kept = self.kept.max(gap.start);
        if gap.start == gap.end {
            self.gaps.remove(index);
        }
        // SAFETY: the gap lies in the memory.
        let pointer = unsafe { self.memory.pointer.add(start) };
        Some(Span { pointer, bytes })
    }

    /// Gives back what lies behind all that was used since the last time; false where that is all.
    fn trim(&mut self) -> bool {
        self.memory.give_back(self.used..self.kept);
        self.kept = self.used;
        self.used = match self.gaps.last() {
            Some(gap) if gap.end == self.memory.bytes => gap.start,
            _ => self.memory.bytes,
        };
        self.kept > 0
    }

    fn holds(&self, span: Span) -> bool {
        self.offset(span) < self.memory.bytes
    }

    fn give_back(&mut self, span: Span) {
        let start = self.offset(span);
        let end = start + span.bytes;
        let after = self.gaps.partition_point(|gap| gap.start < end);
        let joins_before = after > 0 && self.gaps[after - 1].end == start;
        let joins_after = self.gaps.get(after).is_some_and(|gap| gap.start == end);
        match (joins_before, joins_after) {
            (true, true) => {
                self.gaps[after - 1].end = self.gaps[after].end;
                self.gaps.remove(after);
            }
            (true, false) => self.gaps[after - 1].end = end,
            (false, true) => self.gaps[after].start = start,
            (false, false) => self.gaps.insert(after, start..end),
        }
    }

    /// Bytes from the beginning of the memory; more than it has for what lies elsewhere.
    fn offset(&self, span: Span) -> usize {
        let start = self.memory.pointer.addr().get();
        span.pointer.addr().get().wrapping_sub(start)
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("kept", &self.kept()).finish()
    }
}

/// What a buffer may hold: numbers of which every bit pattern is a value.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($($number:ty)*) => { $(
        impl sealed::Sealed for $number {}
        impl Element for $number {}
    )* };
}
element!(f32 u8 i8 i32 u32 [f32; 4]);

/// Values in memory that goes back to its [`Arena`].
pub struct Buffer<T: Element> {
    span: Span,
    length: usize,
    arena: Arena,
    element: PhantomData<T>,
}

/// Where a buffer lies: whole cache lines of a chunk.
#[derive(Clone, Copy)]
struct Span {
    pointer: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a buffer is the only owner of what it points to.
unsafe impl<T: Element> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Buffer<T> {}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the span is as long, aligned, initialised and this buffer's alone, and the arena keeps its chunk
        // while a buffer lies in it; every bit pattern is a value.
        unsafe { slice::from_raw_parts(self.span.pointer.cast().as_ptr(), self.length) }
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`.
        unsafe { slice::from_raw_parts_mut(self.span.pointer.cast().as_ptr(), self.length) }
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        sanitizer::forbid(self.span.pointer, self.span.bytes);
        self.arena.lock().give_back(self.span);
    }
}

impl<T: Element> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Memory of its own, straight from the system: zeros, which take none before they are written to.
struct Memory {
    pointer: NonNull<u8>,
    bytes: usize,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        let (access, kind) = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
        // SAFETY: a new mapping, anywhere.
        let pointer = unsafe { mmap(ptr::null_mut(), bytes, access, kind | MAP_NORESERVE, -1, 0) };
        match NonNull::new(pointer.cast()) {
            Some(pointer) if pointer.as_ptr() != MAP_FAILED.cast() => {
                sanitizer::forbid(pointer, bytes);
                Self { pointer, bytes }
            }
            _ => {
                let layout = Layout::from_size_align(bytes, ALIGNMENT);
                handle_alloc_error(layout.unwrap_or(Layout::new::<u8>()))
            }
        }
    }

    /// Gives the pages that begin in a range back to the system; what is in them is zeros or stays as it was.
    fn give_back(&self, range: Range<usize>) {
        let range = range.start.next_multiple_of(PAGE)..range.end;
        if !range.is_empty() {
            // SAFETY: whole pages of the mapping, in which nobody has a buffer.
            unsafe {
                let start = self.pointer.add(range.start);
                madvise(start.as_ptr().cast(), range.len(), MADV_DONTNEED);
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        sanitizer::allow(self.pointer, self.bytes);
        // SAFETY: it was mapped with this length, and no buffer lies in it any more.
        unsafe { munmap(self.pointer.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: it is the only owner of what it points to.
unsafe impl Send for Memory {}

/// Tells the address sanitizer, in a build that has it, what of a chunk lies in a buffer. Else it would take
/// the whole chunk for one.
mod sanitizer {
    use std::ptr::NonNull;

    #[cfg(sanitized)]
    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const u8, bytes: usize);
        fn __asan_unpoison_memory_region(start: *const u8, bytes: usize);
    }

    /// From here on the bytes may be read and written.
    #[cfg_attr(not(sanitized), expect(unused_variables, reason = "nobody looks"))]
    pub(super) fn allow(start: NonNull<u8>, bytes: usize) {
        // SAFETY: the bytes are a chunk's, and the caller's alone.
        #[cfg(sanitized)]
        unsafe {
            __asan_unpoison_memory_region(start.as_ptr(), bytes);
        }
    }

    /// From here on they may not.
    #[cfg_attr(not(sanitized), expect(unused_variables, reason = "nobody looks"))]
    pub(super) fn forbid(start: NonNull<u8>, bytes: usize) {
        // SAFETY: as above.
        #[cfg(sanitized)]
        unsafe {
            __asan_poison_memory_region(start.as_ptr(), bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{APART, Arena, LOOK_EVERY, PAGE};

    #[test]
    fn memory_is_used_again() {
        let arena = Arena::default();
        let (first, second) = (arena.take::<f32>(100), arena.take::<f32>(1000));
        drop((second, first));
        let (first, second) = (arena.take::<f32>(100), arena.take::<f32>(1000));
        let (kept, pointers) = (arena.kept(), [first.as_ptr(), second.as_ptr()]);
        drop((first, second));
        let (first, second) = (arena.take::<f32>(100), arena.take::<f32>(1000));
        assert_eq!([first.as_ptr(), second.as_ptr()], pointers);
        assert_eq!(arena.kept(), kept);
    }

    #[test]
    fn gaps_side_by_side_are_one() {
        let arena = Arena::default();
        let whole = 4 * (64 + APART) - APART;
        drop(arena.take::<u8>(whole));
        let kept = arena.kept();
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3], [1, 3, 0, 2]] {
            let mut quarters: Vec<_> = (0..4).map(|_| Some(arena.take::<u8>(64))).collect();
            for index in order {
                quarters[index] = None;
            }
            assert_eq!(arena.take::<u8>(whole).len(), whole);
            assert_eq!(arena.kept(), kept);
        }
    }

    #[test]
    fn there_is_one_chunk_once_nothing_was_in_use() {
        let arena = Arena::default();
        drop((arena.take::<u8>(64), arena.take::<u8>(640)));
        let all = arena.take::<u8>(704 + APART);
        let first = all.as_ptr();
        drop(all);
        assert_eq!(arena.take::<u8>(64).as_ptr(), first);
        assert_eq!(arena.kept(), 704 + 2 * APART);
    }

    #[test]
    fn what_is_not_used_for_long_goes_back() {
        const LARGE: usize = 1 << 20;
        let arena = Arena::with_room(4 * LARGE);
        let in_use = arena.take::<u8>(100);
        let mut large = arena.take::<u8>(LARGE);
        large.fill(1);
        drop(large);
        let small = || (0..LOOK_EVERY).for_each(|_| drop(arena.take::<u8>(LARGE / 2)));
        let two = 128 + 2 * APART;
        small();
        assert_eq!(arena.kept(), two + LARGE, "it was used since the last look");
        small();
        assert_eq!(arena.kept(), two + LARGE / 2);

        let large = arena.take::<u8>(LARGE);
        let back = &large[LARGE - PAGE..];
        assert!(back.iter().all(|byte| *byte == 0), "not kept");
        assert_eq!(in_use.len(), 100);
    }

    /// Buffers of any lengths, dropped in any order, never share memory.
    #[test]
    fn buffers_are_their_owner_s_alone() {
        let arena = Arena::default();
        let mut buffers = Vec::new();
        let mut state = 1_u64;
        for round in 0..2000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let random = (state >> 33) as usize;
            if buffers.len() > 20 || (random.is_multiple_of(3) && !buffers.is_empty()) {
                let (tag, buffer): (i32, super::Buffer<i32>) =
                    buffers.swap_remove(random % buffers.len());
                assert!(buffer.iter().all(|value| *value == tag));
            } else {
                let mut buffer = arena.take(random % 500);
                buffer.fill(round);
                buffers.push((round, buffer));
            }
        }
    }

    #[test]
    fn nothing_is_a_buffer_too() {
        assert!(Arena::default().take::<f32>(0).is_empty());
    }
}
