//! Memory that is used again.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::{Arc, Mutex, PoisonError},
};

/// A cache line, and a vector of the widest instructions.
const ALIGNMENT: usize = 64;

/// Keeps the memory of dropped [`Buffer`]s for the next ones.
///
/// A network that runs again and again on inputs of one shape asks for the same lengths in the same
/// order, so that from its second run on nothing is allocated. Where no kept memory is long enough, the
/// longest is given back for what is allocated: with inputs of many shapes, what is kept stays about as
/// much as the largest of them takes.
#[derive(Clone, Default)]
pub struct Arena {
    kept: Arc<Mutex<Vec<Memory>>>,
}

impl Arena {
    /// `length` values that were anything, aligned to a cache line.
    pub fn take<T: Element>(&self, length: usize) -> Buffer<T> {
        let bytes = length * size_of::<T>();
        Buffer {
            memory: Some(self.take_bytes(bytes)),
            length,
            arena: self.clone(),
            element: std::marker::PhantomData,
        }
    }

    fn take_bytes(&self, bytes: usize) -> Memory {
        let mut kept = self.lock();
        let by_length = |&index: &usize| kept[index].bytes();
        let fits = (0..kept.len()).filter(|&index| kept[index].bytes() >= bytes);
        let chosen = fits
            .min_by_key(by_length)
            .or_else(|| (0..kept.len()).max_by_key(by_length));
        let memory = chosen.map(|index| kept.swap_remove(index));
        drop(kept);
        match memory {
            Some(memory) if memory.bytes() >= bytes => memory,
            too_short => {
                drop(too_short);
                Memory::new(bytes)
            }
        }
    }

    /// Bytes that are kept for later.
    pub fn kept(&self) -> usize {
        self.lock().iter().map(Memory::bytes).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Memory>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
element!(f32 u8 i8 i32);

/// Values in memory that goes back to its [`Arena`].
pub struct Buffer<T: Element> {
    /// None only while dropped.
    memory: Option<Memory>,
    length: usize,
    arena: Arena,
    element: std::marker::PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    fn pointer(&self) -> NonNull<T> {
        self.memory
            .as_ref()
            .map_or(NonNull::dangling(), |memory| memory.pointer.cast())
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the memory is as long, aligned and initialised; every bit pattern is a value.
        unsafe { slice::from_raw_parts(self.pointer().as_ptr(), self.length) }
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and the memory is this buffer's alone.
        unsafe { slice::from_raw_parts_mut(self.pointer().as_ptr(), self.length) }
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.arena.lock().extend(self.memory.take());
    }
}

impl<T: Element> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Initialised memory of its own.
struct Memory {
    pointer: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        // Whole cache lines, so that lengths that differ by little can serve each other.
        let bytes = bytes.next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        #[expect(clippy::expect_used, reason = "as `vec![0; bytes]` would panic")]
        let layout = Layout::from_size_align(bytes, ALIGNMENT).expect("capacity overflow");
        // SAFETY: the layout is not empty.
        let pointer = unsafe { alloc_zeroed(layout) };
        let Some(pointer) = NonNull::new(pointer) else {
            handle_alloc_error(layout);
        };
        Self { pointer, layout }
    }

    fn bytes(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
    }
}

// SAFETY: it is the only owner of what it points to.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn memory_is_used_again() {
        let arena = Arena::default();
        let (first, second) = (arena.take::<f32>(100), arena.take::<f32>(1000));
        let pointers = [first.as_ptr(), second.as_ptr()];
        drop((second, first));
        let kept = arena.kept();
        let (first, second) = (arena.take::<f32>(100), arena.take::<f32>(1000));
        assert_eq!([first.as_ptr(), second.as_ptr()], pointers);
        assert_eq!(arena.kept(), 0);
        drop((first, second));
        assert_eq!(arena.kept(), kept);
    }

    #[test]
    fn what_is_too_short_makes_room() {
        let arena = Arena::default();
        drop(arena.take::<u8>(64));
        assert_eq!(arena.take::<u8>(65).len(), 65);
        assert_eq!(arena.kept(), 128);
    }

    #[test]
    fn nothing_is_a_buffer_too() {
        assert!(Arena::default().take::<f32>(0).is_empty());
    }
}
