//! Which threads kernels run on.

use std::cell::Cell;

use rayon::prelude::*;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with all its kernels on this thread: where others have work of their own, none waits for another.
/// Results are the same.
pub fn on_this_thread<T>(work: impl FnOnce() -> T) -> T {
    /// As it was before, also where the work panics.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }

    let _before = Before(ALONE.replace(true));
    work()
}

/// How many there are for a kernel.
pub(crate) fn threads() -> usize {
    if ALONE.get() {
        1
    } else {
        rayon::current_num_threads()
    }
}

/// Does `0..count` on those threads, in any order.
pub(crate) fn for_each(count: usize, task: impl Fn(usize) + Sync + Send) {
    if count == 1 || ALONE.get() {
        (0..count).for_each(task);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        thread,
    };

    use super::{for_each, on_this_thread, threads};

    #[test]
    fn alone_is_on_this_thread_and_only_for_as_long() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        pool.unwrap().install(|| {
            assert_eq!(threads(), 3);
            let here = thread::current().id();
            on_this_thread(|| {
                assert_eq!(threads(), 1);
                for_each(100, |_| assert_eq!(thread::current().id(), here));
            });
            let panicking = AssertUnwindSafe(|| on_this_thread(|| panic!("on purpose")));
            assert!(catch_unwind(panicking).is_err());
            assert_eq!(threads(), 3);
        });
    }
}
