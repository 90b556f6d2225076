//! Memory for bodies that are being read: so much for all of them together.
//!
//! Who still sends a body has no place in the queue, so that slow callers keep nobody from it; what they have sent so far
//! is counted here instead.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::error::Error;

/// Bytes that are left of it.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<AtomicUsize>);

/// What one request holds of it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    memory: Memory,
    held: AtomicUsize,
}

/// What every request holds from its head on, in bytes: its connection has buffers, too, and requests without a body should
/// not be without number. It counts as the beginning of the body.
pub(crate) const LEAST: usize = 64 << 10;

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Room for another request.
    pub(crate) fn room(&self) -> Result<Room, Error> {
        let room = Room {
            memory: self.clone(),
            held: AtomicUsize::new(0),
        };
        room.hold(LEAST)?;
        Ok(room)
    }
}

impl Room {
    /// Holds this many bytes, or as many as before where that is more.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Error> {
        // One body has one reader.
        let more = bytes.saturating_sub(self.held.load(Ordering::Relaxed));
        let Memory(left) = &self.memory;
        let take = |left: usize| left.checked_sub(more);
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_err(|_| Error::Overloaded {
            message: "the bodies of other requests take all the memory that there is for them (--queue and --max-body)"
                .to_owned(),
            retry_after: Duration::from_secs(1),
        })?;
        self.held.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Memory(left) = &self.memory;
        left.fetch_add(*self.held.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_no_more_than_there_is_and_comes_back() {
        let memory = Memory::new(3 * LEAST);
        let (first, second) = (memory.room().unwrap(), memory.room().unwrap());
        first.hold(10).unwrap();
        first.hold(2 * LEAST).unwrap();
        assert!(second.hold(LEAST + 1).is_err());
        let refused = memory.room().unwrap_err();
        assert!(matches!(refused, Error::Overloaded { .. }), "{refused}");
        drop(first);
        second.hold(3 * LEAST).unwrap();
    }
}
