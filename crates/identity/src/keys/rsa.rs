//! Which RSA keys are good enough.

/// Bits of the modulus (RFC 7518 §3.3: at least 2048).
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Refuses weak keys. Both numbers are big-endian without leading zeros.
pub(super) fn check(n: &[u8], e: &[u8]) -> Result<(), String> {
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !BITS.contains(&bits) {
        return Err(format!("an RSA key of {bits} bits; {} to {} are accepted", BITS.start(), BITS.end()));
    }
    // With e = 1 a signature is its own message.
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !odd(n) || !odd(e) || e == [1] || e.len() > 4 {
        return Err("an RSA key with an unacceptable modulus or exponent".into());
    }
    if is_roca(n) {
        return Err("an RSA key of a broken generator (ROCA, CVE-2017-15361): have it replaced".into());
    }
    Ok(())
}

/// Whether the modulus has the fingerprint of the broken generator: modulo each of these primes it is a power of 65537.
/// A sound key has it with a probability below 2⁻²⁷ (Nemec et al., "The Return of Coppersmith's Attack", §2.3).
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..*prime).any(|_| {
            power = power * (65_537 % prime) % prime;
            power == rest
        })
    })
}
