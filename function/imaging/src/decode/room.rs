//! How much memory may be taken at a time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that are shared by whoever needs some for a while.
pub(super) struct Room {
    size: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// Bytes that are taken until it is dropped.
pub(super) struct Place<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    pub(super) const fn new(size: u64) -> Self {
        Self {
            size,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// Waits until so many bytes are free, or all of them where that is more than there are.
    pub(super) fn take(&self, bytes: u64) -> Place<'_> {
        let mut taken = self.taken();
        while *taken > 0 && *taken + bytes > self.size {
            let freed = self.freed.wait(taken);
            taken = freed.unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
        Place { room: self, bytes }
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        // No change of it can be left half done.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.room.taken() -= self.bytes;
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn no_more_is_taken_at_a_time_than_there_is_or_one_wants() {
        let room = Room::new(10);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for bytes in [4, 5, 6, 10, 3, 12] {
                let (room, now, most) = (&room, &now, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let _place = room.take(bytes);
                        let taken = now.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        most.fetch_max(taken, Ordering::SeqCst);
                        thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        // The one that wants more than there is has it alone.
        assert_eq!(most.into_inner(), 12);
        assert_eq!(*room.taken(), 0);
    }
}
