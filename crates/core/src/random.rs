//! Random bytes of the operating system, fetched ahead: a request needs a handful, and a system call for each costs more than all.

use std::cell::RefCell;

use zeroize::Zeroize as _;

const AHEAD: usize = 512;

struct Ahead {
    bytes: [u8; AHEAD],
    /// How many at the front were not given out yet.
    left: usize,
}

thread_local! {
    static AHEAD_OF_USE: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; AHEAD], left: 0 }) };
}

/// Fills `out` with random bytes, each of which is given out once. For salts, nonces and identifiers; keys that last come from the
/// operating system directly.
///
/// # Errors
/// When the operating system has no random bytes to give.
pub fn fill(out: &mut [u8]) -> Result<(), getrandom::Error> {
    let taken = AHEAD_OF_USE.with(|ahead| {
        let Ok(mut ahead) = ahead.try_borrow_mut() else { return Ok(false) };
        if out.len() > AHEAD {
            return Ok(false);
        }
        if ahead.left < out.len() {
            getrandom::fill(&mut ahead.bytes)?;
            ahead.left = AHEAD;
        }
        let from = ahead.left - out.len();
        let left = ahead.left;
        let Some(given) = ahead.bytes.get_mut(from..left) else { return Ok(false) };
        out.copy_from_slice(given);
        given.zeroize();
        ahead.left = from;
        Ok(true)
    })?;
    if taken { Ok(()) } else { getrandom::fill(out) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::fill;

    #[test]
    fn no_bytes_are_given_twice() {
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            let mut bytes = [0; 16];
            fill(&mut bytes).unwrap();
            assert!(seen.insert(bytes));
        }
        let mut long = [0; 2_000];
        fill(&mut long).unwrap();
        assert!(long.windows(16).all(|window| window != [0; 16]));
        fill(&mut []).unwrap();
    }
}
