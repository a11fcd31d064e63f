//! The name that the Alces customiser would compute for an account's bucket, as a suggestion: names of buckets are the world's, so
//! somebody else may own it, and nothing is ever fetched from a bucket because of its name (decision 19; facts B.1).

use md5::{Digest as _, Md5};

/// What the names begin with.
const PREFIX: &str = "alces-flight-";

/// How many characters of the hash are used.
const HASH_CHARS: usize = 16;

/// The name for an account's id, such as `123456789012`: MD5 as hexadecimal text, in base64, the first 16 characters, in lower case.
pub fn suggested(account: &str) -> String {
    let hexadecimal: String = Md5::digest(account).iter().map(|byte| format!("{byte:02x}")).collect();
    let encoded = aws_smithy_types::base64::encode(hexadecimal).to_lowercase();
    format!("{PREFIX}{}", encoded.chars().take(HASH_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_the_bucket_of_an_account_is_suggested_by_its_hash() {
        assert_eq!(suggested("123456789012"), "alces-flight-mzqxnzk3m2nknjdm");
        assert_ne!(suggested("123456789013"), suggested("123456789012"));
    }
}
