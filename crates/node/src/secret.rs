//! The cluster's secret, and the keys that follow from it.
//!
//! The stack makes one secret for each cluster, a random text in Secrets Manager, which only this cluster's roles may read. Nothing else
//! goes into a key: no name, no id, no time (acceptance check C16). Each use has a key of its own, by HKDF-SHA-256 (RFC 5869) with a
//! label, so that one which leaks reveals nothing of the others.

use ring::hkdf;

use crate::link::LinkKey;
use crate::members::seal::ClusterKey;

/// The fewest characters: 32 of letters and digits are 190 bits.
pub const CHARS_MIN: usize = 32;

/// The most characters.
pub const CHARS_MAX: usize = 4_096;

/// The bytes of Slurm's key (auth/slurm; slurm.conf(5) asks for at least 16, and its guide makes 1,024).
pub const SLURM_KEY_BYTES: usize = 1_024;

/// Different characters of a random text of 32, at least.
const DIFFERENT_MIN: usize = 5;

/// Another form of secret, or of labels, gets another salt.
const SALT: &[u8] = b"clusterdrop cluster secret 1";

/// The secret of a cluster, ready to derive keys. It is never printed.
#[derive(Clone)]
pub struct ClusterSecret(hkdf::Prk);

/// A text that is no cluster's secret. It shows nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error("the cluster's secret has {0} characters; it must have {CHARS_MIN} to {CHARS_MAX}, as the cluster's template makes it")]
    Length(usize),
    /// Something else than printable ASCII, so it was not made by the template.
    #[error("the cluster's secret has other characters than printable ASCII ones; it must be the text that the cluster's template makes")]
    NotPrintable,
    /// One character again and again.
    #[error("the cluster's secret has only {0} different characters: it is not a random text")]
    NotRandom(usize),
}

impl ClusterSecret {
    /// Reads the text of the secret, to the letter.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(SecretError::NotPrintable);
        }
        if !(CHARS_MIN..=CHARS_MAX).contains(&text.len()) {
            return Err(SecretError::Length(text.len()));
        }
        // Somebody's text in place of the generated one. Of 32 random characters, even hexadecimal ones, a million times a million have more.
        let different = text.bytes().collect::<std::collections::BTreeSet<u8>>().len();
        if different < DIFFERENT_MIN {
            return Err(SecretError::NotRandom(different));
        }
        Ok(Self(hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(text.as_bytes())))
    }

    /// The key of the gossip.
    pub fn members(&self) -> ClusterKey {
        ClusterKey::new(&self.key("members"))
    }

    /// The key of the requests between nodes.
    pub fn link(&self) -> LinkKey {
        LinkKey::derive(&self.key("link"))
    }

    /// Slurm's key, the same on all nodes.
    pub fn slurm(&self) -> SlurmKey {
        SlurmKey(self.bytes("slurm"))
    }

    fn key(&self, label: &str) -> [u8; 32] {
        self.bytes(label)
    }

    fn bytes<const BYTES: usize>(&self, label: &str) -> [u8; BYTES] {
        let mut key = [0; BYTES];
        let filled = self.0.expand(&[label.as_bytes()], Length(BYTES)).and_then(|okm| okm.fill(&mut key));
        assert!(filled.is_ok(), "HKDF-SHA-256 gives up to 8,160 bytes");
        key
    }
}

/// How much is asked of HKDF.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// The content of `/etc/slurm/slurm.key`. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SlurmKey([u8; SLURM_KEY_BYTES]);

impl SlurmKey {
    /// The bytes, for the file alone.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SlurmKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SlurmKey(..)")
    }
}

impl std::fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::members::seal::Seal;

    const SECRET: &str = "Zk3vQ8pTr6WmXc1dNy5hBf9jLs2gAe7u";
    const SLURM_BEGIN: &str = "ee23cc1ed580c7a29da1f606395dcab6";
    const SLURM_END: &str = "16c03f1591a384dafaa57c2743301ad4";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Computed with Python's hmac after RFC 5869, not with this crate.
    #[test]
    fn c16_keys_follow_from_the_secret_as_rfc_5869_has_it_and_each_use_has_its_own() {
        let secret = ClusterSecret::parse(SECRET).unwrap();
        assert_eq!(hex(&secret.key("members")), "16ccd4a99f75957cbdabf1cd40c99e98ff427af2b85fe137b57bf0e3e2511ca8");
        assert_eq!(hex(&secret.key("link")), "6ad53b88c45ed3a7b3dbd169f99997ecadc0c5bb87ad8d3e2d2ae08675c9e38f");
        let slurm = secret.slurm();
        assert_eq!((slurm.bytes().len(), hex(&slurm.bytes()[..16])), (SLURM_KEY_BYTES, SLURM_BEGIN.to_owned()));
        assert_eq!(hex(&slurm.bytes()[SLURM_KEY_BYTES - 16..]), SLURM_END);
        assert_eq!(format!("{slurm:?}"), "SlurmKey(..)");
        let other = ClusterSecret::parse(&SECRET.replace('Z', "z")).unwrap();
        assert_ne!(other.slurm(), slurm);
        assert_ne!(other.key("members"), secret.key("members"));
    }

    #[test]
    fn gossip_and_links_have_the_keys_that_are_meant_for_them() {
        let secret = ClusterSecret::parse(SECRET).unwrap();
        assert_eq!(secret.link(), LinkKey::derive(&secret.key("link")));
        // What a seal sends depends on its key and its randomness only.
        let first_datagram = |key| {
            let mut out = Vec::new();
            Seal::new(key, StdRng::from_seed([1; 32])).unwrap().send("10.0.0.1:1".parse().unwrap(), b"x", &mut out);
            out
        };
        assert_eq!(first_datagram(secret.members()), first_datagram(ClusterKey::new(&secret.key("members"))));
        assert_ne!(first_datagram(secret.members()), first_datagram(ClusterKey::new(&secret.key("link"))));
    }

    #[test]
    fn a_text_that_the_template_did_not_make_is_refused_and_not_shown() {
        let refused = |text: &str| ClusterSecret::parse(text).unwrap_err();
        assert_eq!(refused(""), SecretError::Length(0));
        assert_eq!(refused(&SECRET[1..]), SecretError::Length(31));
        assert!(ClusterSecret::parse(&SECRET.repeat(CHARS_MAX / 32)).is_ok());
        assert_eq!(refused(&format!("{}x", SECRET.repeat(CHARS_MAX / 32))), SecretError::Length(CHARS_MAX + 1));
        assert_eq!(refused(&format!("{SECRET}\n")), SecretError::NotPrintable);
        assert_eq!(refused(&format!("{SECRET}é")), SecretError::NotPrintable);
        assert_eq!(refused(&"xyzx".repeat(16)), SecretError::NotRandom(3));
        for text in ["short", &"xyzx".repeat(16), &format!("{SECRET}\u{7}")] {
            assert!(!refused(text).to_string().contains(text) && !format!("{:?}", refused(text)).contains(text));
        }
        assert_eq!(format!("{:?}", ClusterSecret::parse(SECRET).unwrap()), "ClusterSecret(..)");
    }
}
