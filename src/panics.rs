//! Panics that must stay where they are: what one said, how a second one in its midst is avoided, and locks that outlive one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The message of a panic, from its payload.
pub fn text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

/// Lends `thing` to `work`. If that panics, `thing` is dropped before the panic goes on: dropped in the midst of it, a second
/// panic in its drop would end the process.
pub fn lend<T, R>(mut thing: T, work: impl FnOnce(&mut T) -> R) -> (T, R) {
    match catch_unwind(AssertUnwindSafe(|| work(&mut thing))) {
        Ok(result) => (thing, result),
        Err(payload) => {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(thing)));
            resume_unwind(payload)
        }
    }
}

/// Locks what others may have panicked over: only for what each holder leaves whole at every step.
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_the_drop_of_what_panicked_is_not_the_end() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        let caught = catch_unwind(|| lend(Bomb, |_| panic!("in use")).1);
        assert_eq!(text(&*caught.unwrap_err()), "in use");
    }
}
