//! Random ids.

use ring::rand::{SecureRandom, SystemRandom};

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers, which an id needs; is /dev/urandom there?")]
pub struct NoRandom;

/// 128 random bits as 32 hexadecimal digits.
pub fn id() -> Result<String, NoRandom> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(cf_core::names::hex(&bytes, bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_32_digits() {
        let (one, other) = (id().unwrap(), id().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}
