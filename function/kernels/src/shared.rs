//! A slice that several threads write to, each in places of its own.

use std::marker::PhantomData;

/// Hands out pointers into a slice that is borrowed for as long.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    pointer: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            pointer: slice.as_mut_ptr(),
            length: slice.len(),
            slice: PhantomData,
        }
    }

    /// The address of a value.
    ///
    /// # Safety
    /// `index` is at most the length; what is written through the pointer, no other thread reads or writes
    /// meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn at(&self, index: usize) -> *mut T {
        debug_assert!(index <= self.length);
        // SAFETY: the caller's.
        unsafe { self.pointer.add(index) }
    }

    /// A part of it.
    ///
    /// # Safety
    /// The part lies in the slice, and no other thread reads or writes it while it is borrowed.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the parts are apart, says the caller")]
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        debug_assert!(start + length <= self.length);
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), length) }
    }
}

/// So many floats, which `fill` makes; they are no zeros before.
///
/// # Safety
/// `fill` writes all of them and reads none before that.
#[cfg(feature = "training")]
pub(crate) unsafe fn filled(length: usize, fill: impl FnOnce(Shared<'_, f32>)) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    fill(Shared {
        pointer: values.as_mut_ptr(),
        length,
        slice: PhantomData,
    });
    // SAFETY: there is room for as many, and all are written, says the caller.
    unsafe { values.set_len(length) };
    values
}

// SAFETY: a slice may be sent, and what the threads do with it is promised where it is done.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
