//! An allocator that tells what it was asked for.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
};

use crate::Allocator;

/// As [`Allocator`], and counts; for tests.
pub struct Counting;

/// What a thread asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How often, growing something counting as asking anew.
    pub count: usize,
    /// Bytes of all.
    pub bytes: usize,
    /// Bytes of the largest.
    pub largest: usize,
}

thread_local! {
    static ALLOCATIONS: Cell<Allocations> = const { Cell::new(Allocations { count: 0, bytes: 0, largest: 0 }) };
}

impl Counting {
    /// What this thread asks for while it does the work. Nothing is counted where this is not the global allocator.
    pub fn during<T>(work: impl FnOnce() -> T) -> (T, Allocations) {
        ALLOCATIONS.take();
        let result = work();
        (result, ALLOCATIONS.take())
    }

    fn count(size: usize) {
        // A thread that ends has none any more.
        let _ = ALLOCATIONS.try_with(|allocations| {
            let Allocations {
                count,
                bytes,
                largest,
            } = allocations.get();
            allocations.set(Allocations {
                count: count + 1,
                bytes: bytes + size,
                largest: largest.max(size),
            });
        });
    }
}

// SAFETY: all is done by an allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's, as for all that follow.
        unsafe { Allocator.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: see `alloc`.
        unsafe { Allocator.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size);
        // SAFETY: see `alloc`.
        unsafe { Allocator.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see `alloc`.
        unsafe { Allocator.dealloc(pointer, layout) }
    }
}
